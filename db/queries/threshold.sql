-- Step and time at which each run first reached a value; runs that never did stand last.
--   :metric      (required)
--   :value       (required)
--   :goal        min: at or below, max: at or above; without it what the run declared, else min
--   :experiment  one experiment; without it all
with c as (
  select r.id, r.uid, r.experiment, r.name, r.seed, r.started_ms, l.name_id, l.min, l.max,
         coalesce(:goal, n.goal, 'min') as goal
  from metric_name n join metric_last l on l.name_id = n.id join run r on r.id = l.run_id
  where n.name = :metric and r.archived = 0 and (:experiment is null or r.experiment = :experiment)
), hit as (
  select c.*, case
    when goal = 'min' and min <= :value then
      (select m.step from metric m where m.run_id = c.id and m.name_id = c.name_id and m.value <= :value order by m.step limit 1)
    when goal = 'max' and max >= :value then
      (select m.step from metric m where m.run_id = c.id and m.name_id = c.name_id and m.value >= :value order by m.step limit 1)
    end as step
  from c
)
select h.uid, h.experiment, h.name, h.seed, h.step, (m.t_ms - h.started_ms) / 1000.0 as seconds, m.value
from hit h left join metric m on m.run_id = h.id and m.name_id = h.name_id and m.step = h.step
order by h.step is null, seconds, h.uid;
