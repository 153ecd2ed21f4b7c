-- schema.sql: the tables of a percept database, version 2 (PRAGMA user_version).
--
-- One row of `run` is one execution of one script; everything measured hangs on
-- it by run_id. Times are Unix milliseconds (…_ms); digests are XXH3-128, 32 hex
-- digits; NULL in metric.value is a NaN that was logged. Plain sqlite3 and every
-- viewer read this file: no custom collation, no virtual table, no generated
-- column. Blobs stand in `source` alone.

create table run (
  id            integer primary key,
  uid           text not null unique,            -- 20260131-235959-1a2b3c4d: sorts by time, safe in a file name
  experiment    text not null,                   -- what is being studied; groups runs in every table
  name          text,                            -- the user's word for this run
  parent_id     integer references run(id) on delete set null, -- the run whose decoder this one inverts or replays
  sweep         text,                            -- which sweep the run is a cell of
  seed          integer,
  status        text not null check (status in ('queued', 'running', 'done', 'failed', 'killed')),
  started_ms    integer not null,
  ended_ms      integer,
  heartbeat_ms  integer not null,                -- last sign of life; a running run writes it every two seconds
  host          text not null,
  pid           integer not null,
  pid_start     integer,                         -- the process's start time in kernel ticks: a pid comes again, this pair does not
  user          text,
  cwd           text,                            -- relative paths of this run's rows are relative to it
  script        text,
  command       text,                            -- as it was typed
  commit_id     text,                            -- of the script's git repository; NULL outside of one
  dirty         integer check (dirty in (0, 1)), -- 1: the work tree differed; the diff is a source of kind 'diff'
  cpu           text,
  threads       integer,
  peak_rss_bytes integer,                        -- of the process, as of the last heartbeat
  config_json   text not null default '{}' check (json_valid(config_json)),
  config_digest text not null,                   -- of every parameter except the seed: equal = same configuration
  resumed       integer not null default 0,      -- how often the run was taken up again
  error         text,                            -- message and traceback of a failed or killed run
  note          text,
  archived      integer not null default 0 check (archived in (0, 1)),
  repeats_id    integer references run(id) on delete set null -- the run that this one did over again (percept repro)
);
create index run_by_experiment on run(experiment, status);
create index run_by_parent on run(parent_id) where parent_id is not null;
create index run_by_sweep on run(sweep, config_digest, seed) where sweep is not null;
create index run_by_status on run(status);
create index run_by_start on run(started_ms);

-- The configuration, flattened to a.b.c. Numbers are in num, words in txt; a boolean has both (1, 'true').
-- A list is one parameter: its JSON text.
create table param (
  run_id integer not null references run(id) on delete cascade,
  key    text not null,
  num    numeric,
  txt    text,
  primary key (run_id, key)
) without rowid;
create index param_by_key on param(key, num, txt);

create table metric_name (
  id   integer primary key,
  name text not null unique,
  goal text check (goal in ('min', 'max')) -- which way is better; NULL: not said
);

create table metric (
  run_id  integer not null references run(id) on delete cascade,
  name_id integer not null references metric_name(id),
  step    integer not null,
  value   real,
  t_ms    integer not null,
  primary key (run_id, name_id, step)
) without rowid;

-- One row per run and metric, kept by the writer in the transaction that adds to `metric`: lists need no scan.
create table metric_last (
  run_id  integer not null references run(id) on delete cascade,
  name_id integer not null references metric_name(id),
  step    integer not null, -- the last one
  last    real,
  min     real,             -- over the values that are not NaN
  max     real,
  n       integer not null, -- rows in metric
  n_nan   integer not null default 0,
  t_ms    integer not null,
  primary key (run_id, name_id)
) without rowid;

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

create table tag (
  run_id integer not null references run(id) on delete cascade,
  tag    text not null,
  primary key (run_id, tag)
) without rowid;
create index tag_by_tag on tag(tag);

-- Figures: what a table of the paper is made of. One row per run, method, split, metric, factor and seed.
create table result (
  id     integer primary key,
  run_id integer not null references run(id) on delete cascade,
  method text not null,            -- encoder, encoder+search, …
  split  text not null,            -- id, ood, …
  metric text not null,            -- the variant is in the name: accuracy, ari_fg, …
  factor text not null default '', -- object, background, …; '' is all of them
  value  real,
  seed   integer,                  -- the run's, unless the result has its own
  n      integer,                  -- how many images stand behind the value
  extra_json text check (extra_json is null or json_valid(extra_json)),
  t_ms   integer not null
);
create unique index result_key on result(run_id, method, split, metric, factor, ifnull(seed, -1));
create index result_by_metric on result(metric, split, method);

-- Files. A row says what lies at `path` now: writing the same path again replaces the row.
create table artifact (
  id       integer primary key,
  run_id   integer not null references run(id) on delete cascade,
  kind     text not null,                   -- checkpoint, figure, table, report, …
  step     integer,
  path     text not null,
  digest   text,
  bytes    integer,
  complete integer not null default 1 check (complete in (0, 1)), -- 0: announced, not yet renamed into place
  t_ms     integer not null,
  unique (run_id, path)
);
create index artifact_by_digest on artifact(digest);

create table dataset (
  digest text primary key,
  name   text not null,
  n      integer,
  path   text
) without rowid;

create table run_dataset (
  run_id integer not null references run(id) on delete cascade,
  digest text not null references dataset(digest),
  role   text not null default 'data', -- data, train, test, bank, …
  primary key (run_id, digest, role)
) without rowid;
create index run_dataset_by_digest on run_dataset(digest);

-- Texts that made a run: scripts, required modules, the git diff. Each distinct text is stored once.
create table source (
  digest text primary key,
  bytes  integer not null, -- of the text
  body   blob not null     -- zstd; percept sql reads it with unzstd(body)
);

create table run_source (
  run_id integer not null references run(id) on delete cascade,
  kind   text not null check (kind in ('script', 'module', 'diff', 'other')),
  path   text not null,
  digest text not null references source(digest),
  primary key (run_id, kind, path)
) without rowid;
create index run_source_by_digest on run_source(digest);

-- Versions and settings of what the run stood on: openblas, luajit, simd, …
create table env (
  run_id integer not null references run(id) on delete cascade,
  key    text not null,
  value  text not null,
  primary key (run_id, key)
) without rowid;

create table event (
  id     integer primary key,
  run_id integer not null references run(id) on delete cascade,
  t_ms   integer not null,
  level  text not null check (level in ('info', 'warning', 'error')),
  text   text not null
);
create index event_by_run on event(run_id, t_ms);

create table system_sample (
  run_id    integer not null references run(id) on delete cascade,
  t_ms      integer not null,
  rss_bytes integer not null,
  cpu_s     real not null, -- user + system time of the process so far
  primary key (run_id, t_ms)
) without rowid;

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
