-- Two alternatives compared seed by seed: differences a - b, their mean, sd, and how often a is larger.
-- Without :key the alternatives are methods of the same runs; with it, values of a parameter.
--   :a           a method, or a value of :key (required)
--   :b           the other (required)
--   :metric      of the results: accuracy; with :key a metric, or a result as method/split/metric (required)
--   :split       of the results; ood. Not used with :key
--   :key         a parameter, as model.dim
--   :experiment  one experiment; without it all
with v as (
  select x.experiment, x.seed, case x.method when :a then 'a' else 'b' end as side, x.value, x.run_id
  from result_newest x
  where :key is null and x.metric = :metric and x.split = coalesce(:split, 'ood') and x.factor = ''
    and x.method in (:a, :b) and x.seed is not null
  union all
  select r.experiment, r.seed, case when coalesce(p.txt, p.num) = :a then 'a' else 'b' end, f.value, r.id
  from run r join param p on p.run_id = r.id and p.key = :key join figure f on f.run_id = r.id
  where f.figure = :metric and coalesce(p.txt, p.num) in (:a, :b) and r.seed is not null
    and r.status in ('done', 'running') and r.archived = 0
), newest as (
  select experiment, seed, side, value,
         row_number() over (partition by experiment, seed, side order by run_id desc) as nth
  from v where :experiment is null or experiment = :experiment
), pair as (
  select a.experiment, a.seed, a.value as a, b.value as b, a.value - b.value as difference
  from newest a join newest b on b.experiment = a.experiment and b.seed = a.seed and b.side = 'b' and b.nth = 1
  where a.side = 'a' and a.nth = 1
), m as (
  select experiment, avg(a) as a, avg(b) as b, avg(difference) as d, count(*) as n, sum(difference > 0) as wins
  from pair group by experiment
)
select experiment, seed, a, b, difference from (
  select 1 as rank, experiment, seed, a, b, difference from pair
  union all select 2, experiment, 'mean', a, b, d from m
  union all
  select 3, m.experiment, 'sd',
         case when m.n > 1 then sqrt(sum((p.a - m.a) * (p.a - m.a)) / (m.n - 1)) end,
         case when m.n > 1 then sqrt(sum((p.b - m.b) * (p.b - m.b)) / (m.n - 1)) end,
         case when m.n > 1 then sqrt(sum((p.difference - m.d) * (p.difference - m.d)) / (m.n - 1)) end
  from m join pair p using (experiment) group by m.experiment
  union all select 4, experiment, 'a larger, of n', wins, n, null from m)
order by experiment, rank, seed;
