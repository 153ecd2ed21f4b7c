-- A metric's curve for many runs, thinned to :points rows a run: evenly spaced steps, first and last among them.
--   :metric      (required)
--   :run         one run: uid, the beginning of it, or its name; without it all
--   :experiment  one experiment; without it all
--   :points      rows a run; 200, fewer where many runs are asked for: 6,000 rows in all
with recursive asked as (
  select r.id, r.uid, r.name, r.seed, r.started_ms, l.name_id, l.n, l.step as final
  from metric_name n
  join metric_last l on l.name_id = n.id
  join run r on r.id = l.run_id
  where n.name = :metric and r.archived = 0
    and (:run is null or substr(r.uid, 1, length(:run)) = cast(:run as text) or r.name = cast(:run as text))
    and (:experiment is null or r.experiment = :experiment)
), points(points) as (
  select max(2, coalesce(:points, min(200, 6000 / max(1, (select count(*) from asked)))))
), chosen as materialized (
  select a.*, points,
         (select m.step from metric m where m.run_id = a.id and m.name_id = a.name_id order by m.step limit 1) as first
  from asked a, points
), tick(i) as (
  select 0 union all select i + 1 from tick, points where i + 1 < points
), thin as ( -- the first row of each of :points stretches of steps; the last stretch is the last step
  select c.*,
         (select m.step from metric m where m.run_id = c.id and m.name_id = c.name_id
            and m.step >= c.first + (c.final - c.first) * t.i / (c.points - 1)
            and m.step < c.first + (c.final - c.first) * (t.i + 1) / (c.points - 1) + (t.i = c.points - 1)
          order by m.step limit 1) as step
  from chosen c, tick t where c.n > c.points
  union all
  select c.*, m.step from chosen c join metric m on m.run_id = c.id and m.name_id = c.name_id where c.n <= c.points
)
select t.uid, t.name, t.seed, m.step, m.value, (m.t_ms - t.started_ms) / 1000.0 as seconds
from thin t
cross join metric m on m.run_id = t.id and m.name_id = t.name_id and m.step = t.step
order by t.started_ms, t.id, m.step;
