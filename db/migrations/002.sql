-- 002.sql: version 1 to 2: blocks of metric rows, sweeps, repeated runs. Only adds.
alter table run add column repeats_id integer references run(id) on delete set null;
create index run_by_start on run(started_ms);

-- Every 128 rows of a series in one: what did not stay below a threshold within them, or above, need not be looked
-- for there. The blocks of a series cover its rows from the first one on without a gap; the rows behind the last
-- block are its tail. Kept by the writer in the transaction that adds to `metric`.
create table metric_block (
  run_id  integer not null references run(id) on delete cascade,
  name_id integer not null references metric_name(id),
  step    integer not null, -- the first one of the block
  final   integer not null, -- the last one
  min     real,             -- over the values that are not NaN
  max     real,
  n       integer not null, -- rows
  primary key (run_id, name_id, step)
) without rowid;

-- Who rewrites a series begins with its line in metric_last: blocks of it that were counted are void then.
create trigger metric_block_void after delete on metric_last begin
  delete from metric_block where run_id = old.run_id and name_id = old.name_id;
end;

-- A sweep: one script over cells, a cell being a configuration and a seed. Its runs have run.sweep = name.
create table sweep (
  name       text primary key, -- experiment and digest of the grid, or the user's word
  experiment text not null,
  script     text not null,
  spec_json  text not null default '{}' check (json_valid(spec_json)), -- axes: the swept parameters; args: the script's words; tags
  command    text,             -- as it was typed
  created_ms integer not null
) without rowid;

create table cell (
  sweep         text not null references sweep(name) on delete cascade on update cascade,
  config_digest text not null,    -- run.config_digest of its runs
  seed          integer not null, -- run.seed of its runs
  nth           integer not null, -- its place in the sweep
  set_json      text not null check (json_valid(set_json)), -- {parameter: value as typed}: what differs from the script
  claim         text,             -- host:pid:ticks of who set out to run it last
  claim_ms      integer,
  primary key (sweep, config_digest, seed)
) without rowid;

-- the blocks of what is there
insert into metric_block(run_id, name_id, step, final, min, max, n)
select run_id, name_id, min(step), max(step), min(value), max(value), count(*)
from (select run_id, name_id, step, value,
             (row_number() over (partition by run_id, name_id order by step) - 1) / 128 as b from metric)
group by run_id, name_id, b having count(*) = 128;
