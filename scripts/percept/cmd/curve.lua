--- percept curve UID METRIC: a metric's curve in the terminal.
local braille = require "percept.braille"
local options = require "percept.cli.options"
local percept = require "percept"
local recorder = require "percept.recorder"
local sys = require "percept.sys"

local command = {
  help = "draws a metric's curve in the terminal",
  usage = {"UID [UID ...] METRIC", "UID"},
  about = "With a run alone: its metrics. With --csv and the like the rows themselves.",
  options = options.join({
    {flag = "--points", value = "N", kind = "int(2..1000000)", default = 400, text = "rows a run, evenly spaced"},
    {flag = "--log", text = "a logarithmic axis of values"},
    {flag = "--width", value = "N", kind = "int(20..10000)", text = "characters; else the terminal's"},
    {flag = "--height", value = "N", kind = "int(4..1000)", default = 16, text = "lines"},
  }, options.formats, options.db),
  examples = {{"percept curve 20260131-1 vae/loss --log"}, {"percept curve mine theirs vae/loss --csv > curves.csv"}},
  positional = {"uid"},
}

local function metrics(opts, uid)
  options.query(opts, [[select n.name as metric, l.n as rows, l.step, l.last, l.min, l.max
    from metric_last l join metric_name n on n.id = l.name_id join run r on r.id = l.run_id
    where r.uid = :uid order by n.name]], {uid = uid})
  return 0
end

local function check(db, uid, metric)
  local names = {}
  for _, row in ipairs(recorder.query(db, [[select n.name from metric_last l join metric_name n on n.id = l.name_id
      join run r on r.id = l.run_id where r.uid = :uid order by n.name]], {uid = uid})) do
    names[#names + 1] = row.name
    if row.name == metric then return end
  end
  local near = percept.nearest(metric, names)
  error(("curve: %s has no metric '%s'%s; it has %s"):format(uid, metric, near and (", did you mean %s?"):format(near) or "",
    #names > 0 and table.concat(names, ", ") or "none"), 0)
end

function command.run(opts)
  if #opts == 0 then return options.mistake("curve", "of which run?") end
  if #opts == 1 then return metrics(opts, options.uid(opts, opts[1])) end
  local db, metric = options.path(opts), opts[#opts]
  local series, uids = {}, {}
  for i = 1, #opts - 1 do
    uids[i] = options.uid(opts, opts[i])
    check(db, uids[i], metric)
  end
  if options.format(opts) ~= "table" then
    options.query(opts, [[select r.uid, m.step, m.value, (m.t_ms - r.started_ms) / 1000.0 as seconds
      from json_each(:uids) u join run r on r.uid = u.value join metric m on m.run_id = r.id
      join metric_name n on n.id = m.name_id where n.name = :metric order by u.key, m.step]],
      {uids = recorder.json(uids), metric = metric})
    return 0
  end
  for i, uid in ipairs(uids) do
    local points = {}
    for k, row in ipairs(recorder.query(db, "@curve", {metric = metric, run = uid, points = opts.points})) do
      points[k] = {row.step, row.value}
    end
    series[i] = {points = points, name = uid}
  end
  local width = opts.width or math.min(sys.isatty(1) and (sys.terminal_size(1) or 80) or 80, 120)
  local lines, why = braille.plot(series, {
    title = ("%s%s"):format(metric, #uids == 1 and ", " .. uids[1] or ""), xlabel = "steps", log = opts.log,
    width = width, height = opts.height, colour = options.colour(opts),
  })
  if not lines then error("curve: " .. why, 0) end
  print(table.concat(lines, "\n"))
  return 0
end

return command
