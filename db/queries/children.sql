-- Child runs (inversions, replays) with the run whose decoder they used, and their figures.
--   :run  the parent: uid, the beginning of it, or its name; without it all
select p.uid as decoder, p.name as decoder_name,
       (select c.digest from checkpoint c where c.run_id = p.id and c.complete = 1 order by c.step desc, c.t_ms desc limit 1)
         as decoder_checkpoint,
       r.uid, r.experiment, r.name, r.seed, r.status, f.figure, f.value
from run r
join run p on p.id = r.parent_id
left join figure f on f.run_id = r.id
where r.archived = 0
  and (:run is null or substr(p.uid, 1, length(:run)) = cast(:run as text) or p.name = cast(:run as text))
order by p.started_ms desc, p.id desc, r.started_ms, r.id, f.figure;
