--- percept runs: what ran, newest first; --reap closes runs whose process is gone.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"
local records = require "percept.records"

local command = {
  help = "lists runs, newest first",
  usage = {"[TEXT]"},
  about = "TEXT is looked for in uid, experiment, name and note. Archived runs are left out.",
  options = options.join({
    {flag = "--experiment", value = "NAME", text = "runs of one experiment"},
    {flag = "--sweep", value = "NAME", text = "runs of one sweep"},
    {flag = "--status", value = "STATUS", kind = "str(queued|running|done|failed|killed)",
      text = "queued, running, done, failed or killed"},
    {flag = "--tag", value = "TAG", many = true, text = "runs with this tag; several: with all of them"},
    {flag = "--seed", value = "N", kind = "int64", text = "runs with this seed"},
    {flag = "--failed", text = "runs that failed, were killed or show no sign of life, with the line that tells why"},
    {flag = "--stale", text = "runs that say running, but whose process is gone or silent"},
    {flag = "--reap", text = "marks stale runs killed"},
    {flag = "--archived", text = "archived runs, too"},
    {flag = "--limit", value = "N", kind = "int64(0..)", default = 200, text = "how many at most, 0: all"},
    {flag = "--columns", value = "LIST", text = "which columns, separated by commas: of the table run, parameters "
      .. "(model.width), last metrics (vae/loss), results (encoder/ood/accuracy). A list that begins with + adds to the usual ones"},
  }, options.formats, options.db),
  hidden = {{flag = "--uids"}},
  examples = {
    {"percept runs --failed"},
    {"percept runs --experiment quickstart --columns +model.hidden,search/ood/accuracy"},
    {"percept runs --reap", "closes what a crash left open"},
  },
}

local usual = {"uid", "experiment", "name", "seed", "status", "started", "seconds", "step", "tags", "error"}
local computed = {
  started = "datetime(r.started_ms / 1000, 'unixepoch', 'localtime')",
  ended = "datetime(r.ended_ms / 1000, 'unixepoch', 'localtime')",
  seconds = "round((coalesce(r.ended_ms, r.heartbeat_ms) - r.started_ms) / 1000.0, 1)",
  step = "(select max(l.step) from metric_last l where l.run_id = r.id)",
  tags = "(select group_concat(t.tag, ' ') from tag t where t.run_id = r.id)",
  error = "substr(substr(r.error, 1, instr(r.error || char(10), char(10)) - 1), 1, 60)",
  parent = "(select p.uid from run p where p.id = r.parent_id)",
  repeats = "(select p.uid from run p where p.id = r.repeats_id)",
  status = "case when r.uid in (select value from json_each(:stale)) then 'stale' else r.status end",
}
local plain = {}
for name in ("uid experiment name sweep seed host pid user cwd script command commit_id dirty cpu threads peak_rss_bytes "
  .. "config_digest resumed note archived"):gmatch "%S+" do plain[name] = true end

local function column_list(text)
  if not text then return usual end
  local out = {}
  if text:sub(1, 1) == "+" then
    for _, c in ipairs(usual) do out[#out + 1] = c end
    text = text:sub(2)
  end
  for c in text:gmatch "[^,]+" do out[#out + 1] = c end
  return out
end

-- What is neither a column of run nor computed is a parameter, a last metric or a result; nothing of that name: an error.
local function select_list(db, columns, params)
  local out = {}
  for i, c in ipairs(columns) do
    local alias = ('"%s"'):format(c:gsub('"', '""'))
    if computed[c] then
      out[i] = computed[c] .. " as " .. alias
    elseif plain[c] then
      out[i] = "r." .. c .. " as " .. alias
    else
      local known = recorder.query(db, [[select exists (select 1 from param where key = :c) as param,
        exists (select 1 from metric_name where name = :c) or exists (select 1 from result where metric = :m) as figure]],
        {c = c, m = c:match "^[^/]+/[^/]+/([^/]+)" or ""})[1]
      if known.param + known.figure == 0 then
        error(("runs: there is neither a column nor a parameter, metric or result '%s'"):format(c), 0)
      end
      params["c" .. i] = c
      out[i] = known.param == 1
        and ("(select coalesce(p.txt, p.num) from param p where p.run_id = r.id and p.key = :c%d) as %s"):format(i, alias)
        or ("(select f.value from figure f where f.run_id = r.id and f.figure = :c%d limit 1) as %s"):format(i, alias)
    end
  end
  return table.concat(out, ",\n  ")
end

local function condition(opts, params)
  local where = {}
  local function add(text, name, value)
    where[#where + 1] = text
    if name then params[name] = value end
  end
  if not opts.archived then add "r.archived = 0" end
  if opts.experiment then add("r.experiment = :experiment", "experiment", opts.experiment) end
  if opts.sweep then add("r.sweep = :sweep", "sweep", opts.sweep) end
  if opts.status then add("r.status = :status", "status", opts.status) end
  if opts.seed then add("r.seed = :seed", "seed", opts.seed) end
  for i, tag in ipairs(opts.tag or {}) do
    add(("exists (select 1 from tag t where t.run_id = r.id and t.tag = :tag%d)"):format(i), "tag" .. i, tag)
  end
  if opts.stale then add "r.uid in (select value from json_each(:stale))" end
  if opts.failed then add "(r.status in ('failed', 'killed') or r.uid in (select value from json_each(:stale)))" end
  if opts[1] then
    add("instr(lower(r.uid || ' ' || r.experiment || ' ' || ifnull(r.name, '') || ' ' || ifnull(r.note, '')), lower(:text)) > 0",
      "text", opts[1])
  end
  return #where > 0 and "where " .. table.concat(where, " and ") or ""
end

function command.run(opts)
  local db = options.path(opts)
  if opts[2] then return options.mistake("runs", "one text at a time; '%s' is one too many", opts[2]) end
  if opts.uids then
    for _, row in ipairs(recorder.query(db, "select uid from run order by id desc limit 1000")) do print(row.uid) end
    return 0
  end
  local stale = recorder.stale(db, {reap = opts.reap or false})
  local uids = {}
  for i, s in ipairs(stale) do uids[i] = s.uid end
  local params = {stale = #uids > 0 and not opts.reap and recorder.json(uids) or "[]"}
  if opts.reap and (opts.stale or opts.failed) then opts.stale = nil end
  local columns = select_list(db, column_list(opts.columns), params)
  local where = condition(opts, params)
  local limit = opts.limit
  local sql = ("select %s\nfrom run r %s order by r.started_ms desc, r.id desc limit %d"):format(columns, where,
    limit > 0 and limit or -1)
  if not sql:find(":stale", 1, true) then params.stale = nil end
  options.query(opts, sql, params)
  if options.format(opts) ~= "table" then return 0 end
  for _, s in ipairs(stale) do
    local what = opts.reap and "marked killed" or "stale"
    print(("%s: %s (%s, pid %d, silent for %.0f s)"):format(what, records.shown(s.uid), records.shown(s.host), s.pid, s.silent))
  end
  if #stale > 0 and not opts.reap then print "percept runs --reap marks them killed; percept run --resume UID goes on with one" end
  return 0
end

return command
