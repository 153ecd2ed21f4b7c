-- The paper's table: method by split, mean ± sd (n) over seeds.
--   :metric      accuracy
--   :factor      one factor; without it all together
--   :experiment  one experiment; without it all
-- pivot: 3
select experiment, substr(config_digest, 1, 8) as config, method, split,
       case when sd is null then printf('%.3f (%d)', mean, n) else printf('%.3f ± %.3f (%d)', mean, sd, n) end as value
from result_summary
where metric = coalesce(:metric, 'accuracy') and factor = coalesce(:factor, '')
  and (:experiment is null or experiment = :experiment)
order by experiment, config_digest,
         case method when 'encoder' then 1 when 'encoder+search' then 2 when 'encoder+replay' then 3
                     when 'encoder+replay+search' then 4 else 5 end, method, split;
