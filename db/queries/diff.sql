-- How two runs differ: parameters, provenance, versions, sources, data, last metrics, results.
--   :a  a run: its uid, the beginning of it, or its name (required)
--   :b  another (required)
with pick(side, id) as (
  select 'a', (select id from run where substr(uid, 1, length(:a)) = cast(:a as text) or name = cast(:a as text)
               order by uid = :a desc, started_ms desc limit 1)
  union all
  select 'b', (select id from run where substr(uid, 1, length(:b)) = cast(:b as text) or name = cast(:b as text)
               order by uid = :b desc, started_ms desc limit 1)
), -- the pluses drop the columns' affinity: in a union it would turn numbers into text
fact(side, rank, kind, key, value) as (
  select side, 1, 'run', 'experiment', +r.experiment from pick join run r using (id)
  union all select side, 1, 'run', 'seed', +r.seed from pick join run r using (id)
  union all select side, 1, 'run', 'status', +r.status from pick join run r using (id)
  union all select side, 1, 'run', 'commit', r.commit_id || case r.dirty when 1 then ' + changes' else '' end
            from pick join run r using (id)
  union all select side, 1, 'run', 'script', +r.script from pick join run r using (id)
  union all select side, 1, 'run', 'host', +r.host from pick join run r using (id)
  union all select side, 1, 'run', 'cpu', +r.cpu from pick join run r using (id)
  union all select side, 1, 'run', 'threads', +r.threads from pick join run r using (id)
  union all select side, 2, 'param', p.key, coalesce(p.txt, p.num) from pick join param p on p.run_id = id
  union all select side, 3, 'env', e.key, +e.value from pick join env e on e.run_id = id
  union all select side, 4, 'data', d.role, group_concat(s.name || ' ' || d.digest, ', ')
            from pick join run_dataset d on d.run_id = id join dataset s using (digest) group by side, d.role
  union all select side, 5, 'source', s.kind || ' ' || s.path, +s.digest from pick join run_source s on s.run_id = id
  union all select side, 6, 'figure', n.name, +l.last
            from pick cross join metric_last l on l.run_id = pick.id join metric_name n on n.id = l.name_id
  union all select side, 6, 'figure', x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end,
                   +x.value from pick cross join result x on x.run_id = pick.id
), keys as (select distinct rank, kind, key from fact)
select k.kind, k.key, a.value as a, b.value as b
from keys k
left join fact a on a.side = 'a' and a.kind = k.kind and a.key = k.key
left join fact b on b.side = 'b' and b.kind = k.kind and b.key = k.key
where a.value is not b.value
order by k.rank, k.key;
