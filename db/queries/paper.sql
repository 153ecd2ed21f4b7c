-- The paper's table: method by split, mean ± sd (n) over seeds.
--   :metric      accuracy
--   :factor      one factor; without it every factor
--   :experiment  one experiment; without it all
-- pivot: 4
select experiment, substr(config_digest, 1, 8) as config, factor, method, split,
       case when sd is null then printf('%.3f (%d)', mean, n) else printf('%.3f ± %.3f (%d)', mean, sd, n) end as value
from result_summary
where metric = coalesce(:metric, 'accuracy') and (:factor is null or factor = :factor)
  and (:experiment is null or experiment = :experiment)
order by experiment, config_digest, factor,
         case replace(method, 'encoder+', '') when 'encoder' then 1 when 'search' then 2 when 'replay' then 3
                     when 'replay+search' then 4 when 'replay + search' then 4 else 5 end, method, split;
