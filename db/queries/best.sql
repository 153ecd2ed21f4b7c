-- The best run of every configuration (the seed apart), best configuration first.
--   :metric      a metric, or a result as method/split/metric (required)
--   :goal        min or max; without it what the run declared, else min
--   :experiment  one experiment; without it all
with f as (
  select r.experiment, r.config_digest, r.uid, r.name, r.seed, r.status,
         coalesce(:goal, f.goal, 'min') as goal,
         case coalesce(:goal, f.goal, 'min') when 'max' then f.max else f.min end as best
  from figure f join run r on r.id = f.run_id
  where f.figure = :metric and r.archived = 0 and (:experiment is null or r.experiment = :experiment)
), ranked as (
  select *, row_number() over (partition by experiment, config_digest
                               order by case goal when 'max' then -best else best end, uid) as nth,
         count(*) over (partition by experiment, config_digest) as runs
  from f where best is not null
)
select experiment, substr(config_digest, 1, 8) as config, uid, name, seed, status, best, runs
from ranked where nth = 1
order by experiment, case goal when 'max' then -best else best end, uid;
