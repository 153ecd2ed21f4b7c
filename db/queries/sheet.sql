-- The spreadsheet: a row a run, a column for every parameter, last metric and result.
--   :experiment  one experiment; without it all
--   :status      one status; without it all
-- pivot: 5 by 1
-- Rows, then columns, stand in the order of their first cell: each part reads an index in the order that is meant.
select * from (
  select r.uid, r.experiment, r.name, r.seed, r.status, null as "column", null as value from run r
  where r.archived = 0 and (:experiment is null or r.experiment = :experiment) and (:status is null or r.status = :status)
  order by r.started_ms desc, r.id desc limit -1)
union all
select r.uid, null, null, null, null, p.key, coalesce(p.txt, p.num)
from param p indexed by param_by_key cross join run r on r.id = p.run_id
where p.key <> 'seed' and r.archived = 0 and (:experiment is null or r.experiment = :experiment)
  and (:status is null or r.status = :status)
union all
select r.uid, null, null, null, null, n.name, l.last
from (select id, case when exists (select 1 from param p where p.key = name) then 'last ' else '' end || name as name
      from metric_name order by name limit -1) n
cross join run r cross join metric_last l on l.run_id = r.id and l.name_id = n.id
where r.archived = 0 and (:experiment is null or r.experiment = :experiment) and (:status is null or r.status = :status)
union all
select r.uid, null, null, null, null,
       x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end, x.value
from result x cross join run r on r.id = x.run_id
where r.archived = 0 and (:experiment is null or r.experiment = :experiment) and (:status is null or r.status = :status);
