-- views.sql: the joins everybody needs. Dropped and made again at every migration.
-- Only functions that plain sqlite3 has. Window means before squares: sums of
-- squares of large numbers would lose the deviation.

-- percept runs: one line a run
create view run_list as
select r.uid, r.experiment, r.name, r.seed, r.status,
       case when r.status = 'running' and r.heartbeat_ms < (julianday('now') - 2440587.5) * 86400000 - 60000
            then 1 else 0 end as stale,
       datetime(r.started_ms / 1000, 'unixepoch', 'localtime') as started,
       round((coalesce(r.ended_ms, r.heartbeat_ms) - r.started_ms) / 1000.0, 1) as seconds,
       (select max(l.step) from metric_last l where l.run_id = r.id) as step,
       p.uid as parent, r.sweep,
       (select group_concat(t.tag, ' ') from tag t where t.run_id = r.id) as tags,
       r.note, r.archived
from run r left join run p on p.id = r.parent_id
order by r.started_ms desc, r.id desc;

-- Says running, shows no sign of life. `percept runs --reap` also asks this host for the process.
create view run_stale as
select uid, experiment, name, host, pid,
       round((julianday('now') - 2440587.5) * 86400 - heartbeat_ms / 1000.0, 1) as silent_s
from run
where status = 'running' and heartbeat_ms < (julianday('now') - 2440587.5) * 86400000 - 60000;

create view run_param as
select r.uid, r.experiment, r.name, r.seed, p.key, coalesce(p.txt, p.num) as value, p.num, p.txt
from param p join run r on r.id = p.run_id;

create view run_metric as
select r.uid, r.experiment, r.name, r.seed, m.name as metric, m.goal,
       l.step, l.last, l.min, l.max, case m.goal when 'max' then l.max when 'min' then l.min end as best, l.n, l.n_nan
from metric_last l join metric_name m on m.id = l.name_id join run r on r.id = l.run_id;

create view curve as
select r.uid, r.experiment, r.name, r.seed, n.name as metric, m.step, m.value, (m.t_ms - r.started_ms) / 1000.0 as seconds
from metric m join metric_name n on n.id = m.name_id join run r on r.id = m.run_id;

create view run_result as
select r.uid, r.experiment, r.name, r.status, r.config_digest, x.method, x.split, x.metric, x.factor, x.value,
       coalesce(x.seed, r.seed) as seed, x.n, r.commit_id
from result x join run r on r.id = x.run_id;

create view checkpoint as
select r.uid, a.step, a.path, a.digest, a.bytes, a.complete,
       datetime(a.t_ms / 1000, 'unixepoch', 'localtime') as written, a.run_id, a.t_ms
from artifact a join run r on r.id = a.run_id
where a.kind = 'checkpoint';

-- The spreadsheet for plain sqlite3: parameters and last metrics as JSON objects (percept sql @sheet has columns)
create view run_sheet as
select r.uid, r.experiment, r.name, r.seed, r.status,
       (select json_group_object(p.key, coalesce(p.txt, p.num)) from param p where p.run_id = r.id) as params,
       (select json_group_object(n.name, l.last)
        from metric_last l join metric_name n on n.id = l.name_id where l.run_id = r.id) as metrics
from run r;

-- Results that count once: of runs with the same configuration and seed the newest one. Runs without a seed
-- all count. Failed, killed and archived runs do not.
create view result_newest as
select * from (
  select x.*, r.uid, r.experiment, r.config_digest, r.seed as run_seed,
         row_number() over (
           partition by r.experiment, r.config_digest, x.method, x.split, x.metric, x.factor,
                        ifnull(x.seed, 'run ' || r.uid)
           order by r.started_ms desc, r.id desc) as nth
  from result x join run r on r.id = x.run_id
  where r.status in ('done', 'running') and r.archived = 0)
where nth = 1;

-- mean, sd (n-1) and n over seeds, for every experiment, configuration, method, split, metric, factor
create view result_summary as
select experiment, config_digest, method, split, metric, factor, avg(value) as mean,
       case when count(value) > 1 then sqrt(sum((value - m) * (value - m)) / (count(value) - 1)) end as sd,
       min(value) as min, max(value) as max, count(value) as n
from (select *, avg(value) over (partition by experiment, config_digest, method, split, metric, factor) as m
      from result_newest)
group by experiment, config_digest, method, split, metric, factor;

-- Every figure a run can be compared by: metrics under their name, results as method/split/metric[/factor].
create view figure as
select l.run_id, n.name as figure, l.last as value, l.min, l.max, n.goal
from metric_last l join metric_name n on n.id = l.name_id
union all
select x.run_id, x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end,
       x.value, x.value, x.value, (select n.goal from metric_name n where n.name = x.metric)
from result x;

-- What became of every cell of a sweep, by its runs: the one that is done, else the one that runs, else the newest.
create view sweep_cell as
select c.sweep, c.nth, c.config_digest, c.seed, c.set_json,
       case when r.status = 'running' and r.heartbeat_ms < (julianday('now') - 2440587.5) * 86400000 - 60000
            then 'stale' else coalesce(r.status, 'queued') end as status,
       r.uid, r.id as run_id,
       (select count(*) from run n where n.sweep = c.sweep and n.config_digest = c.config_digest and n.seed = c.seed)
         as runs,
       round((coalesce(r.ended_ms, r.heartbeat_ms) - r.started_ms) / 1000.0, 1) as seconds, c.claim
from cell c
left join run r on r.id = (
  select x.id from run x where x.sweep = c.sweep and x.config_digest = c.config_digest and x.seed = c.seed
  order by x.status = 'done' desc, x.status = 'running' desc, x.started_ms desc, x.id desc limit 1);
