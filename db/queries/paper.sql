-- The paper's table: method by split, mean ± sd (n) over seeds.
--   :metric      accuracy
--   :factor      one factor; without it every factor
--   :experiment  one experiment; without it all
-- pivot: 4
with asked as materialized (
  select r.id, r.uid, r.experiment, r.config_digest, r.seed,
         dense_rank() over (order by r.experiment, r.config_digest) as config,
         row_number() over (order by r.started_ms, r.id) as age
  from run r
  where r.status in ('done', 'running') and r.archived = 0 and (:experiment is null or r.experiment = :experiment)
), newest as ( -- of the same configuration and seed: max() takes the value along (the plus keeps an index away)
  select a.config, x.factor, x.method, x.split, x.value, max(a.age) as age, a.experiment, a.config_digest
  from asked a cross join result x on x.run_id = a.id
  where +x.metric = coalesce(:metric, 'accuracy') and (:factor is null or x.factor = :factor)
  group by a.config, x.factor, x.method, x.split, ifnull(x.seed, 'run ' || a.uid)
), s as ( -- squares about the mean of all: the figures of one table are of one size, three digits are printed
  select experiment, config_digest, config, factor, method, split, avg(value) as mean, count(value) as n,
         case when count(value) > 1 then
           sqrt(max(0, (sum((value - k) * (value - k)) - sum(value - k) * sum(value - k) / count(value)) / (count(value) - 1)))
         end as sd
  from newest, (select avg(value) as k from newest) group by config, factor, method, split
)
select experiment, substr(config_digest, 1, 8) as config, factor, method, split,
       case when sd is null then printf('%.3f (%d)', mean, n) else printf('%.3f ± %.3f (%d)', mean, sd, n) end as value
from s
order by s.config, factor,
         case replace(method, 'encoder+', '') when 'encoder' then 1 when 'search' then 2 when 'replay' then 3
                     when 'replay+search' then 4 when 'replay + search' then 4 else 5 end, method, split;
