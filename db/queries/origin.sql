-- Which run, commit, seed and dataset made a file.
--   :file  its path, the end of its path, or its digest (required)
select a.path, a.digest, r.uid, r.experiment, r.seed, r.commit_id, r.dirty, d.name as dataset, d.digest as dataset_digest,
       (select s.digest from run_source s where s.run_id = r.id and s.kind = 'script') as script_digest,
       r.command, datetime(a.t_ms / 1000, 'unixepoch', 'localtime') as written
from artifact a
join run r on r.id = a.run_id
left join run_dataset rd on rd.run_id = r.id
left join dataset d on d.digest = rd.digest
where a.digest = :file or a.path = :file or substr(a.path, -length(:file) - 1) = '/' || :file
order by a.t_ms desc, d.digest;
