--- percept report: a run, a sweep or a query as one self-contained HTML file.
local files = require "percept.files"
local html = require "percept.page.html"
local options = require "percept.cli.options"
local percept = require "percept"
local recorder = require "percept.recorder"

local command = {
  help = "a run, a sweep or a query as one HTML file",
  usage = {"UID", "SWEEP", "SQL|@QUERY [NAME=VALUE ...]"},
  about = "The file holds everything: plots as SVG, pictures, tables; no network, no script; light and dark, readable on a phone. "
    .. "Of a run: configuration, provenance, curves, results, pictures, child runs, and the traceback if it failed. Of a sweep: its "
    .. "configurations with mean ± sd (n) over seeds, the best of them, curves with bands. Of a query: its table.",
  options = options.join({
    {flag = "--output", short = "-o", value = "FILE", kind = "file", text = "where to; else NAME.html here; - is standard output"},
    {flag = "--metric", value = "NAME", text = "what a sweep's configurations are compared by: a metric, or method/split/metric/factor"},
    {flag = "--goal", value = "min|max", kind = "str(min|max)",
      text = "which way it is better; else what the runs declared, else from its name"},
    {flag = "--bars", text = "a query's numbers as bars, too"},
    {flag = "--title", value = "TEXT", text = "of a query's report"},
  }, options.db),
  examples = {
    {"percept report 20260131-1 -o run.html"},
    {"percept report my-sweep --metric encoder/ood/accuracy/animals"},
    {"percept report @paper factor=animals -o paper.html", "a shipped query with a parameter"},
  },
  positional = {"uid"},
}

-- "run", "sweep" or "query", and its name in full. What something is called exactly goes before what it looks like: a run may be
-- named "first try", "@best" or "select 1".
local function kind_of(db, what)
  local text = "'" .. what:gsub("'", "''") .. "'" -- a parameter 1e3 would be a number
  local sweep = recorder.query(db, ([[select name from sweep where name = %s
    union all select sweep from run where sweep = %s limit 1]]):format(text, text))[1]
  if sweep then return "sweep", sweep.name end
  local looks_like_sql = what:sub(1, 1) == "@" or what:find "%s"
  local named = recorder.query(db, ("select 1 as is_run from run where name = %s or uid = %s limit 1"):format(text, text))[1]
  if looks_like_sql and not named then return "query", what end
  local ok, uid = pcall(recorder.find, db, what)
  if ok then return "run", uid end
  local sweeps = {}
  for i, r in ipairs(recorder.query(db, "select distinct sweep from run where sweep is not null order by sweep limit 20")) do
    sweeps[i] = r.sweep
  end
  error(("report: %s%s"):format(tostring(uid):gsub("^[^%s:]+:%d+: ", ""),
    #sweeps > 0 and "; sweeps are " .. table.concat(sweeps, ", ") or "; there is no sweep of that name either"), 0)
end

local function write(path, text)
  if path == "-" then
    io.write(text)
    return
  end
  local ok, why = pcall(files.write, path, text)
  if not ok then error(("report: cannot write %s: %s"):format(path, options.reason(why):match ": ([^:]*)$"), 0) end
end

function command.run(opts)
  local what = opts[1]
  if not what then return options.mistake("report", "of what? A run (percept runs lists them), a sweep, or a query") end
  local params, why = options.parameters(opts)
  if not params then return options.mistake("report", "%s", why) end
  local db = options.path(opts)
  local kind, name = kind_of(db, what)
  local title, body = require("percept.page." .. kind).page(db, name,
    {params = params, metric = opts.metric, goal = opts.goal, bars = opts.bars, title = opts.title})
  local out = opts.output or (kind == "query" and "query" or name:gsub("[^%w._-]+", "-")) .. ".html"
  local text = html.document(title, {body, html.e.footer{
    ("percept %s · %s · %s"):format(percept.version, db:match "[^/]*$", os.date "%Y-%m-%d %H:%M")}})
  write(out, text)
  if out ~= "-" then print(("report: %s (%d KiB)"):format(out, math.ceil(#text / 1024))) end
  return 0
end

return command
