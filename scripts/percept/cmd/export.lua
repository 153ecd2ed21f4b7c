--- percept export: a folder of plain tables, or a small database to give away.
local datasette = require "percept.page.datasette"
local options = require "percept.cli.options"
local files = require "percept.files"
local recorder = require "percept.recorder"
local sys = require "percept.sys"

local command = {
  help = "writes everything as CSV or JSON, or as a smaller database",
  usage = {"-o FOLDER", "-o FILE.db"},
  about = "In CSV an apostrophe stands before a text that a spreadsheet would run as a formula. A folder gets one file a "
    .. "table, runs named by uid, and metadata.json. A FILE.db gets the same schema, curves "
    .. "thinned: results, last, least and largest values stay what they are. metadata.json (for FILE.db: FILE.metadata.json) "
    .. "is what Datasette reads: titles, columns, and the shipped queries as links: datasette FILE.db -m FILE.metadata.json",
  options = options.join({
    {flag = "--output", short = "-o", value = "PATH", kind = "file", text = "where to"},
    {flag = "--thin", value = "N", kind = "int(2..)", text = "at most N rows of each curve, evenly spaced; FILE.db: 200, a folder: all"},
    {flag = "--experiment", value = "NAME", text = "runs of one experiment"},
    {flag = "--archived", text = "archived runs, too"},
    {flag = "--anonymous", text = "FILE.db: without machine, user and process; paths below a run's folder become relative to it"},
    {flag = "--json", text = "JSON instead of CSV"},
    {flag = "--metadata", text = "only metadata.json, to standard output"},
  }, options.db),
  examples = {
    {"percept export -o tables", "for a spreadsheet, R, pandas"},
    {"percept export -o results.db --thin 100", "small enough for a repository"},
    {"percept export -o results.db --anonymous", "to publish beside a paper"},
  },
}

-- {name, SELECT over run r}; :thin is there where curves are
local exported = {
  {"run", [[select r.uid, r.experiment, r.name, p.uid as parent, r.sweep, r.seed, r.status, r.started_ms, r.ended_ms, r.host, r.user,
     r.cwd, r.script, r.command, r.commit_id, r.dirty, r.cpu, r.threads, r.peak_rss_bytes, r.config_json, r.config_digest, r.resumed,
     r.error, r.note, r.archived, o.uid as repeats
     from run r left join run p on p.id = r.parent_id left join run o on o.id = r.repeats_id where %s order by r.id]]},
  {"param", "select r.uid, x.key, x.num, x.txt from run r join param x on x.run_id = r.id where %s order by r.id, x.key"},
  {"metric", [[select r.uid, n.name as metric, x.step, x.value, x.t_ms from (
       select *, row_number() over (partition by run_id, name_id order by step) - 1 as i from metric) x
     join metric_last l on l.run_id = x.run_id and l.name_id = x.name_id join metric_name n on n.id = x.name_id
     join run r on r.id = x.run_id where %s and (:thin = 0 or l.n <= :thin or x.i = 0
       or x.i * (:thin - 1) / (l.n - 1) <> (x.i - 1) * (:thin - 1) / (l.n - 1)) order by r.id, n.name, x.step]]},
  {"metric_last", [[select r.uid, n.name as metric, n.goal, x.step, x.last, x.min, x.max, x.n, x.n_nan
     from run r join metric_last x on x.run_id = r.id join metric_name n on n.id = x.name_id where %s order by r.id, n.name]]},
  {"result", [[select r.uid, x.method, x.split, x.metric, x.factor, x.value, coalesce(x.seed, r.seed) as seed, x.n, x.extra_json
     from run r join result x on x.run_id = r.id where %s order by x.id]]},
  {"tag", "select r.uid, x.tag from run r join tag x on x.run_id = r.id where %s order by r.id, x.tag"},
  {"artifact", [[select r.uid, x.kind, x.step, x.path, x.digest, x.bytes, x.complete, x.t_ms
     from run r join artifact x on x.run_id = r.id where %s order by x.id]]},
  {"dataset", [[select r.uid, x.role, d.digest, d.name, d.n, d.path from run r join run_dataset x on x.run_id = r.id
     join dataset d on d.digest = x.digest where %s order by r.id, x.role]]},
  {"source", [[select r.uid, x.kind, x.path, x.digest, unzstd(s.body) as text from run r join run_source x on x.run_id = r.id
     join source s on s.digest = x.digest where %s order by r.id, x.kind, x.path]]},
  {"env", "select r.uid, x.key, x.value from run r join env x on x.run_id = r.id where %s order by r.id, x.key"},
  {"event", "select r.uid, x.t_ms, x.level, x.text from run r join event x on x.run_id = r.id where %s order by x.id"},
}

local function write(path, text)
  local ok, why = pcall(files.write, path, text)
  if not ok then error("export: " .. options.reason(why), 0) end
end

local function to_folder(opts, db)
  local where, format = {}, opts.json and "json" or "csv"
  where[1] = opts.archived and "1" or "r.archived = 0"
  if opts.experiment then where[2] = "r.experiment = :experiment" end
  sys.mkdir(opts.output)
  for _, f in ipairs(exported) do
    local params = {experiment = opts.experiment, thin = f[1] == "metric" and (opts.thin or 0) or nil}
    recorder.print(db, f[2]:format(table.concat(where, " and ")),
      {format = format, params = params, to = ("%s/%s.%s"):format(opts.output, f[1], format), defuse = true})
  end
  write(opts.output .. "/metadata.json", datasette.metadata(db) .. "\n")
  print(("%s: %d tables as %s, metadata.json"):format(opts.output, #exported, format:upper()))
end

-- Columns that may hold a path: table, column, how its row finds its run.
local pathed = {
  {"run", "script", "id"}, {"run", "command", "id"}, {"run", "config_json", "id"}, {"run", "error", "id"}, {"param", "txt", "run_id"},
  {"artifact", "path", "run_id"}, {"run_source", "path", "run_id"}, {"event", "text", "run_id"},
}

-- Takes out of a database who made its runs and where. What lay outside of a run's folder keeps its path; returns how many such
-- columns' values there are.
local function anonymous(db)
  local function write_sql(text) recorder.query(db, text, {}, true) end
  for _, c in ipairs(pathed) do
    write_sql(([[update or replace %s set %s = replace(%s, (select cwd || '/' from run r where r.id = %s.%s), '')
      where instr(%s, (select cwd || '/' from run r where r.id = %s.%s)) > 0]]):format(c[1], c[2], c[2], c[1], c[3], c[2], c[1], c[3]))
  end
  write_sql [[update dataset set path = replace(path, (select r.cwd || '/' from run_dataset x join run r on r.id = x.run_id
      where x.digest = dataset.digest and instr(dataset.path, r.cwd || '/') = 1 limit 1), '')
    where exists (select 1 from run_dataset x join run r on r.id = x.run_id
      where x.digest = dataset.digest and instr(dataset.path, r.cwd || '/') = 1)]]
  write_sql "update run set host = 'anonymous', user = null, pid = 0, pid_start = null, cwd = null"
  write_sql "vacuum" -- nothing of it stays in free pages
  local left = 0
  for _, c in ipairs(pathed) do
    local sql = ("select count(*) as n from %s where %s like '/%%' or %s like '%%\"/%%' or %s like '%% /%%'"):format(c[1], c[2], c[2], c[2])
    left = left + recorder.query(db, sql, {})[1].n
  end
  return left + recorder.query(db, "select count(*) as n from dataset where path like '/%'", {})[1].n
end

local function to_database(opts, db)
  if sys.exists(opts.output) then error(("export: %s is there already; percept merge adds to a database"):format(opts.output), 0) end
  local ok, added, left = pcall(function()
    local n = recorder.merge(opts.output, db, {thin = opts.thin or 200, experiment = opts.experiment, archived = opts.archived or false})
    return n, opts.anonymous and anonymous(opts.output) or 0
  end)
  if not ok then -- half a database is none
    for _, tail in ipairs{"", "-wal", "-shm", "-journal"} do os.remove(opts.output .. tail) end
    error("export: " .. options.reason(added), 0)
  end
  if left > 0 then print(("%d values hold a path outside of their run's folder: they were left as they are"):format(left)) end
  local metadata = opts.output:gsub("%.db$", "") .. ".metadata.json"
  write(metadata, datasette.metadata(opts.output) .. "\n")
  local bytes = files.stat(opts.output).bytes
  print(("%s: %d runs, %.1f MiB; datasette %s -m %s"):format(opts.output, added, bytes / 2 ^ 20, opts.output, metadata))
end

function command.run(opts)
  local db = options.path(opts)
  if opts.metadata then
    print(datasette.metadata(opts.output or db))
    return 0
  end
  if opts[1] then return options.mistake("export", "'%s' is one word too many; -o says where to", opts[1]) end
  if not opts.output then return options.mistake("export", "where to? -o FOLDER or -o FILE.db") end
  if opts.anonymous and not opts.output:match "%.db$" then return options.mistake("export", "--anonymous goes with -o FILE.db") end
  if not sys.exists(db) then error(("export: there is no database %s; name one with --db FILE"):format(db), 0) end
  if opts.output:match "%.db$" then to_database(opts, db) else to_folder(opts, db) end
  return 0
end

return command
