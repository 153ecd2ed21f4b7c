-- The checkpoints of a run; newest = 1 marks the complete one that a resume starts from.
--   :run  uid, the beginning of it, or its name; without it every run's newest
with c as (
  select c.*, row_number() over (partition by c.run_id, c.complete order by c.step desc, c.t_ms desc) as nth
  from checkpoint c join run r on r.id = c.run_id
  where :run is null or substr(r.uid, 1, length(:run)) = cast(:run as text) or r.name = cast(:run as text)
)
select uid, step, complete and nth = 1 as newest, path, bytes, digest, complete, written
from c where :run is not null or (complete and nth = 1)
order by run_id desc, step desc, t_ms desc;
