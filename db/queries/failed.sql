-- Runs that failed, were killed, or say running but show no sign of life; with the line that tells why.
--   :experiment  one experiment; without it all
select r.uid, r.experiment, r.name,
       case when r.status = 'running' then 'stale' else r.status end as status,
       datetime(coalesce(r.ended_ms, r.heartbeat_ms) / 1000, 'unixepoch', 'localtime') as ended,
       (select max(l.step) from metric_last l where l.run_id = r.id) as step,
       coalesce(
         nullif(trim(substr(r.error, 1, ifnull(nullif(instr(r.error, char(10)), 0) - 1, length(r.error)))), ''),
         (select e.text from event e where e.run_id = r.id and e.level = 'error' order by e.t_ms desc, e.id desc limit 1),
         'silent for ' || cast((julianday('now') - 2440587.5) * 86400 - r.heartbeat_ms / 1000 as integer) || ' s') as error
from run r
where r.archived = 0 and (:experiment is null or r.experiment = :experiment)
  and (r.status in ('failed', 'killed')
       or (r.status = 'running' and r.heartbeat_ms < (julianday('now') - 2440587.5) * 86400000 - 60000))
order by coalesce(r.ended_ms, r.heartbeat_ms) desc, r.id desc;
