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
), begin as ( -- the first block that reached it, else the tail behind the blocks
  select c.*, coalesce(
    (select b.step from metric_block b where b.run_id = c.id and b.name_id = c.name_id
       and case c.goal when 'min' then b.min <= :value else b.max >= :value end order by b.step limit 1),
    (select b.final + 1 from metric_block b where b.run_id = c.id and b.name_id = c.name_id order by b.step desc limit 1),
    (select m.step from metric m where m.run_id = c.id and m.name_id = c.name_id order by m.step limit 1)) as start
  from c where case goal when 'min' then min <= :value else max >= :value end
), hit as (
  select c.*,
    (select m.step from metric m where m.run_id = c.id and m.name_id = c.name_id and m.step >= b.start
       and case c.goal when 'min' then m.value <= :value else m.value >= :value end order by m.step limit 1) as step
  from c left join begin b using (id)
)
select h.uid, h.experiment, h.name, h.seed, h.step, (m.t_ms - h.started_ms) / 1000.0 as seconds, m.value
from hit h left join metric m on m.run_id = h.id and m.name_id = h.name_id and m.step = h.step
order by h.step is null, seconds, h.uid;
