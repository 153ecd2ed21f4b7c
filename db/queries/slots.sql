-- Slot health: what each slot of a run holds and tells, and whether each factor has a slot of its own.
--   :run         uid, the beginning of it, or its name; without it all
--   :experiment  one experiment; without it all
--   :good        1: good runs, 0: the others; without it both
-- present: share of the images that the slot holds a part of. tells: factors, its own first. verdict: own, shared (by factors
-- without one of their own), redundant (tells what another slot is for), nothing, empty. good: no slot of the run is empty, each
-- factor has its own. The share of good runs over seeds: @seeds metric=slots/id/good a=PARAMETER.
with slot as materialized (
  select r.id, r.started_ms, x.split, ifnull(x.seed, r.seed) as seed, r.seed as run_seed, x.method,
         max(case x.metric when 'usage' then x.value end) as usage,
         max(case x.metric when 'present' then x.value end) as present,
         max(case x.metric when 'entropy' then x.value end) as entropy,
         max(case x.metric when 'empty' then x.value end) as empty,
         sum(x.metric = 'tells' and ifnull(json_extract(x.extra_json, '$.own'), 0)) as own,
         sum(x.metric = 'tells' and ifnull(json_extract(x.extra_json, '$.place'), 0)) as places,
         sum(x.metric = 'tells' and ifnull(json_extract(x.extra_json, '$.told'), 0)) as told,
         sum(x.metric = 'tells') as factors
  from run r cross join result x on x.run_id = r.id
  where x.method glob 'slot [0-9]*' and r.archived = 0
    and (:run is null or substr(r.uid, 1, length(:run)) = cast(:run as text) or r.name = cast(:run as text))
    and (:experiment is null or r.experiment = :experiment)
  group by r.id, x.split, ifnull(x.seed, r.seed), x.method
), judged as (
  select s.*, (select g.value from result g where g.run_id = s.id and g.method = 'slots' and g.split = s.split
               and g.metric = 'good' and ifnull(g.seed, s.run_seed) is s.seed) as good
  from slot s
)
select r.uid, r.experiment, r.name, j.seed, j.split, cast(substr(j.method, 6) as integer) as slot, j.usage, j.present, j.entropy,
       (select group_concat(name, ', ') from (
          select ifnull(json_extract(t.extra_json, '$.name'), t.factor) as name from result t
          where t.run_id = j.id and t.method = j.method and t.split = j.split and t.metric = 'tells'
            and ifnull(t.seed, r.seed) is j.seed and json_extract(t.extra_json, '$.told')
          order by json_extract(t.extra_json, '$.own') desc, json_extract(t.extra_json, '$.place') desc, t.value desc, t.factor
          limit -1)) as tells,
       case when j.empty then 'empty' when j.places > 1 then 'shared' when j.own then 'own' when j.told then 'redundant'
            when j.factors then 'nothing' end as verdict,
       cast(j.good as integer) as good
from judged j join run r on r.id = j.id
where :good is null or (j.good = 1) = (:good = 1)
order by j.started_ms desc, j.id desc, j.split, slot;
