-- The spreadsheet: a row a run, a column for every parameter, last metric and result.
--   :experiment  one experiment; without it all
--   :status      one status; without it all
-- pivot: 5
with cell(run_id, rank, name, value) as (
  select run_id, 1, key, coalesce(txt, num) from param where key <> 'seed'
  union all
  select run_id, 2, case when exists (select 1 from param p where p.key = figure) then 'last ' else '' end || figure, value
  from figure
)
select r.uid, r.experiment, r.name, r.seed, r.status, c.name as "column", c.value
from run r left join cell c on c.run_id = r.id
where r.archived = 0 and (:experiment is null or r.experiment = :experiment) and (:status is null or r.status = :status)
order by r.started_ms desc, r.id desc, c.rank, c.name;
