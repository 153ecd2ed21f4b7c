-- Child runs (inversions, replays) with the run whose decoder they used, and their figures.
--   :run  the parent: uid, the beginning of it, or its name; without it all
with child as materialized (
  select r.*, p.uid as decoder, p.name as decoder_name, p.started_ms as decoder_ms, p.id as decoder_id
  from run r join run p on p.id = r.parent_id
  where r.archived = 0
    and (:run is null or substr(p.uid, 1, length(:run)) = cast(:run as text) or p.name = cast(:run as text))
), shown(run_id, figure, value) as (
  select c.id, n.name, l.last from child c cross join metric_last l on l.run_id = c.id join metric_name n on n.id = l.name_id
  union all
  select c.id, x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end, x.value
  from child c cross join result x on x.run_id = c.id
)
select c.decoder, c.decoder_name,
       (select k.digest from checkpoint k where k.run_id = c.decoder_id and k.complete = 1
        order by k.step desc, k.t_ms desc limit 1) as decoder_checkpoint,
       c.uid, c.experiment, c.name, c.seed, c.status, f.figure, f.value
from child c left join shown f on f.run_id = c.id
order by c.decoder_ms desc, c.decoder_id desc, c.started_ms, c.id, f.figure;
