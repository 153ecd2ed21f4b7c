-- Mean, standard deviation and n over seeds, by the values of one or two parameters.
-- Of runs with the same configuration and seed the newest counts.
--   :metric      a metric (its last value), or a result as method/split/metric (required)
--   :a           a parameter, as model.dim (required)
--   :b           a second one
--   :experiment  one experiment; without it all
with f as (
  select r.experiment, coalesce(a.txt, a.num) as a, coalesce(b.txt, b.num) as b, f.value,
         row_number() over (partition by r.experiment, r.config_digest, ifnull(r.seed, r.uid)
                            order by r.started_ms desc, r.id desc) as nth
  from figure f
  join run r on r.id = f.run_id
  left join param a on a.run_id = r.id and a.key = :a
  left join param b on b.run_id = r.id and b.key = :b
  where f.figure = :metric and r.archived = 0 and r.status in ('done', 'running')
    and (:experiment is null or r.experiment = :experiment)
), m as (
  select *, avg(value) over (partition by experiment, a, b) as mean from f where nth = 1
)
select experiment, a, b, avg(value) as mean,
       case when count(value) > 1 then sqrt(sum((value - mean) * (value - mean)) / (count(value) - 1)) end as sd,
       count(value) as n, min(value) as min, max(value) as max
from m group by experiment, a, b order by experiment, a, b;
