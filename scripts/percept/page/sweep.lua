--- page.sweep: the report of a sweep: configurations with mean ± sd over seeds, the best one, curves with bands.
local figures = require "percept.page.figures"
local html = require "percept.page.html"
local percept = require "percept"
local plot = require "percept.plot"
local recorder = require "percept.recorder"
local run_page = require "percept.page.run"
local show = require "percept.page.show"
local e = html.e

-- Of runs of one configuration and seed the newest that is done counts.
local chosen = [[
  select id, uid, name, seed, status, config_digest, started_ms, ended_ms, heartbeat_ms, error from (
    select r.*, row_number() over (partition by config_digest, ifnull(seed, uid)
                                   order by status = 'done' desc, started_ms desc, id desc) as nth
    from run r where r.sweep = :sweep and r.archived = 0) where nth = 1]]

--- The figure a sweep is judged by when nobody says: one with a declared goal, else OOD accuracy, else a last metric.
local function main_figure(list)
  local function first(test)
    for _, f in ipairs(list) do
      if test(f) then return f end
    end
  end
  return first(function(f) return f.goal and not f.figure:find("^attempt") end)
    or first(function(f) return f.figure:find "/ood/accuracy" end)
    or first(function(f) return f.figure:find "accuracy" end)
    or first(function(f) return f.figure:find "loss" or f.figure:find "error" end)
    or list[1]
end

local function goal_of(figure, list)
  for _, f in ipairs(list) do
    if f.figure == figure and f.goal then return f.goal end
  end
  return (figure:find "accuracy" or figure:find "ari" or figure:find "r2") and "max" or "min"
end

-- Configurations in the order of their values: {digest, runs, values = {key -> value}, figure -> {mean, sd, n}}.
local function configurations(db, sweep, keys)
  local list, by = {}, {}
  for _, r in ipairs(recorder.query(db, chosen .. " order by config_digest, seed", {sweep = sweep})) do
    local c = by[r.config_digest]
    if not c then
      c = {digest = r.config_digest, runs = {}, values = {}, figures = {}}
      by[r.config_digest], list[#list + 1] = c, c
    end
    c.runs[#c.runs + 1] = r
  end
  for _, p in ipairs(recorder.query(db, ("select c.config_digest, p.key, coalesce(p.txt, p.num) as value from (%s) c "
    .. "join param p on p.run_id = c.id group by c.config_digest, p.key"):format(chosen), {sweep = sweep})) do
    by[p.config_digest].values[p.key] = p.value
  end
  for _, f in ipairs(recorder.query(db, ("select c.config_digest, f.figure, avg(f.value) as mean, stddev(f.value) as sd, "
    .. "count(f.value) as n from (%s) c join figure f on f.run_id = c.id where c.status = 'done' "
    .. "group by c.config_digest, f.figure"):format(chosen), {sweep = sweep})) do
    by[f.config_digest].figures[f.figure] = f
  end
  table.sort(list, function(a, b)
    for _, key in ipairs(keys) do
      local x, y = a.values[key], b.values[key]
      if x ~= y then
        if type(x) == type(y) and x ~= nil then return x < y end
        return tostring(x) < tostring(y)
      end
    end
    return a.digest < b.digest
  end)
  return list
end

local function label(c, keys)
  local parts = {}
  for i, key in ipairs(keys) do
    local v = c.values[key]
    parts[i] = ("%s = %s"):format(key:match "[^.]+$", type(v) == "number" and ("%.6g"):format(v) or tostring(v))
  end
  return #parts > 0 and table.concat(parts, ", ") or c.digest:sub(1, 8)
end

-- Runs of a configuration as rows over the union of their steps.
local function seeds(db, c, metric)
  local steps, at, rows = {}, {}, {}
  for _, r in ipairs(c.runs) do
    local x, y = figures.curve(db, r.uid, metric, 200)
    if #x > 0 then
      local row = {}
      for i, step in ipairs(x) do
        if not at[step] then
          at[step] = true
          steps[#steps + 1] = step
        end
        row[step] = y[i]
      end
      rows[#rows + 1] = row
    end
  end
  table.sort(steps)
  for i, row in ipairs(rows) do
    local values = {}
    for k, step in ipairs(steps) do values[k] = row[step] or 0 / 0 end
    rows[i] = values
  end
  return steps, rows
end

local function curves(db, list, keys, metrics)
  local cards = {}
  for _, metric in ipairs(metrics) do
    local series, all = {}, {}
    for i, c in ipairs(list) do
      if i > 7 then break end
      local x, rows = seeds(db, c, metric)
      if #rows > 0 then
        series[#series + 1] = {name = label(c, keys), x = x, y = rows}
        for _, row in ipairs(rows) do all[#all + 1] = row end
      end
    end
    if #series > 0 then
      cards[#cards + 1] = figures.card(plot.lines{
        title = metric, xlabel = "step", yscale = figures.scale(all), series = series, width = 420, height = 300,
      })
    end
  end
  return #cards > 0 and e.div{class = "grid", cards} or nil
end

-- One parameter that varies alone: the figure over it.
local function over_parameter(list, keys, figure)
  if #keys ~= 1 or #list < 2 then return nil end
  local x, y, sd, numeric, least = {}, {}, {}, true, math.huge
  for i, c in ipairs(list) do
    local v, f = c.values[keys[1]], c.figures[figure] or {}
    numeric = numeric and type(v) == "number"
    if numeric then least = math.min(least, v) end
    x[i], y[i], sd[i] = v, f.mean or 0 / 0, f.sd or 0 / 0
  end
  local p
  if numeric then
    local log = least > 0 and x[#x] / least > 50
    p = plot.lines{
      title = figure, xlabel = keys[1], xscale = log and "log" or "linear", width = 420, height = 270,
      {x = x, y = y, sd = sd, points = true},
    }
  else
    for i, v in ipairs(x) do x[i] = tostring(v) end
    p = plot.bars{title = figure, xlabel = keys[1], groups = x, width = 420, height = 270, numbers = true, {y = y, sd = sd}}
  end
  return e.div{class = "grid", figures.card(p)}
end

-- Columns beside the main figure: results over one factor (all, or animals, or the first), OOD first, then last metrics.
local function columns_of(list, main)
  local names, factor = {main}, nil
  local function result(f) return f.figure:match "^[^/]+/([^/]+)/[^/]+$", f.figure:match "^[^/]+/([^/]+)/[^/]+/([^/]+)$" end
  for _, f in ipairs(list) do
    local plain, _, of = result(f)
    if plain then factor = "" elseif of and factor ~= "" and (not factor or of == "animals") then factor = of end
  end
  for _, wanted in ipairs{"ood", "id", "other", "metric"} do
    for _, f in ipairs(list) do
      local plain, split, of = result(f)
      split = plain or split
      local kind = split and (split == "ood" and "ood" or split == "id" and "id" or "other") or "metric"
      local fits = kind == "metric" and not f.figure:find "^attempt" or split and (of or "") == factor
      if kind == wanted and fits and f.figure ~= main and #names < 7 then names[#names + 1] = f.figure end
    end
  end
  return names
end

local function best_of(list, figure, goal)
  local best
  for i, c in ipairs(list) do
    local f = c.figures[figure]
    if f and f.mean and (not best or (goal == "max" and f.mean > list[best].figures[figure].mean)
      or (goal == "min" and f.mean < list[best].figures[figure].mean)) then
      best = i
    end
  end
  return best
end

local function failures(db, sweep)
  local rows = {}
  for i, r in ipairs(recorder.query(db, [[select uid, seed, status, error from run where sweep = :sweep and archived = 0
    and status in ('failed', 'killed') order by id desc limit 50]], {sweep = sweep})) do
    rows[i] = {e.code{r.uid}, r.seed and ("%d"):format(r.seed) or "", r.status, (r.error or ""):match "[^\n]*"}
  end
  return #rows > 0 and show.table({{"run"}, {"seed", number = true}, {"status"}, {"error"}}, rows) or nil
end

local page = {}

--- The report of a sweep: title and body. options: metric, goal.
function page.page(db, sweep, options)
  local keys = {}
  for i, row in ipairs(recorder.query(db, [[select p.key from param p join run r on r.id = p.run_id
    where r.sweep = :sweep and r.archived = 0 group by p.key
    having count(distinct coalesce(p.txt, p.num)) > 1 and count(distinct r.config_digest) > 1 and p.key <> 'seed'
    order by count(distinct coalesce(p.txt, p.num)) desc, p.key limit 6]], {sweep = sweep})) do
    keys[i] = row.key
  end
  local all = recorder.query(db, ("select f.figure, max(f.goal) as goal, count(*) as n from (%s) c join figure f on f.run_id = c.id "
    .. "where c.status = 'done' group by f.figure order by f.figure"):format(chosen), {sweep = sweep})
  local list = configurations(db, sweep, keys)
  local main = options.metric or (main_figure(all) or {}).figure
  local counts, total = {}, 0
  for _, r in ipairs(recorder.query(db, ("select status, count(*) as n from (%s) group by status"):format(chosen), {sweep = sweep})) do
    counts[#counts + 1] = ("%d %s"):format(r.n, r.status)
    total = total + r.n
  end
  local waiting = recorder.query(db, "select count(*) as n from sweep_cell where sweep = :sweep and status = 'queued'",
    {sweep = sweep})[1].n
  if waiting > 0 then counts[#counts + 1] = ("%d queued"):format(waiting) end
  local parts, names, best, goal = {}, {}, nil, nil
  if main then
    goal = options.goal or goal_of(main, all)
    best = best_of(list, main, goal)
    if options.metric and not best then
      local known = {}
      for i, f in ipairs(all) do known[i] = f.figure end
      local near = percept.nearest and percept.nearest(main, known)
      error(("report: no finished run of sweep %s has the figure '%s'%s"):format(sweep, main,
        near and ("; did you mean %s?"):format(near)
          or #known > 0 and "; there are " .. table.concat(known, ", ", 1, math.min(#known, 12)) or ""), 0)
    end
    names = columns_of(all, main)
  end
  local columns, rows = {}, {}
  for _, key in ipairs(keys) do
    local number = true
    for _, c in ipairs(list) do number = number and type(c.values[key]) == "number" end
    columns[#columns + 1] = {key, number = number}
  end
  if #keys == 0 then columns[1] = {"configuration"} end
  for _, name in ipairs(names) do columns[#columns + 1] = {name, number = true} end
  for i, c in ipairs(list) do
    local row = {}
    for k, key in ipairs(keys) do row[k] = c.values[key] end
    if #keys == 0 then row[1] = e.code{c.digest:sub(1, 8)} end
    for k, name in ipairs(names) do
      local f = c.figures[name]
      row[math.max(#keys, 1) + k] = f and f.n > 0 and show.mean(f.mean, f.sd, f.n) or "–"
    end
    rows[i] = row
  end
  parts[#parts + 1] = html.join(
    e.h1{sweep}, e.p{class = "lead", "sweep · ", ("%d configuration%s, %d run%s: %s"):format(
      #list, #list == 1 and "" or "s", total, total == 1 and "" or "s", table.concat(counts, ", "))})
  if best then
    local f = list[best].figures[main]
    parts[#parts + 1] = show.facts{
      {"best by " .. main, html.join(show.mean(f.mean, f.sd, f.n))}, {"configuration", label(list[best], keys)},
      {"goal", goal == "max" and "the larger, the better" or "the smaller, the better"},
    }
  end
  parts[#parts + 1] = show.section("cells", "Configurations", #rows > 0 and show.table(columns, rows, {best = best}) or nil,
    main and e.p{class = "muted", "mean ± standard deviation (n) over seeds; of runs of one configuration and seed the newest counts."},
    main and over_parameter(list, keys, main) or nil)
  local metrics = {}
  for _, m in ipairs(recorder.query(db, ("select n.name, max(l.n) as n from (%s) c join metric_last l on l.run_id = c.id "
    .. "join metric_name n on n.id = l.name_id where l.n > 1 and n.name not like 'attempt%%' group by n.name order by n.name limit 24")
    :format(chosen), {sweep = sweep})) do
    metrics[#metrics + 1] = m.name
  end
  if best and best > 7 then table.insert(list, 1, table.remove(list, best)) end
  parts[#parts + 1] = show.section("curves", "Curves", curves(db, list, keys, metrics),
    #list > 7 and e.p{class = "muted", ("7 of %d configurations are drawn."):format(#list)} or nil)
  if best then
    local c = #list > 7 and best > 7 and list[1] or list[best]
    parts[#parts + 1] = show.section("best", "Results of the best configuration", run_page.results(recorder.query(db, ([[
      select x.method, x.split, x.metric, x.factor, avg(x.value) as mean, stddev(x.value) as sd, count(*) as n
      from (%s) c join result x on x.run_id = c.id where c.config_digest = '%s' and c.status = 'done'
        and not x.method glob 'slot [0-9]*'
      group by x.method, x.split, x.metric, x.factor order by min(x.id)]]):format(chosen, c.digest), {sweep = sweep})))
  end
  parts[#parts + 1] = show.section("failures", "Failed runs", failures(db, sweep))
  local runs = {}
  for _, c in ipairs(list) do
    for _, r in ipairs(c.runs) do
      local f = main and recorder.query(db, [[select f.value from figure f join run r on r.id = f.run_id
        where r.uid = :uid and f.figure = :figure]], {uid = r.uid, figure = main})[1]
      runs[#runs + 1] = {e.code{r.uid}, label(c, keys), r.seed and ("%d"):format(r.seed) or "", r.status,
        show.seconds(((r.ended_ms or r.heartbeat_ms) - r.started_ms) / 1000), f and f.value or "–"}
    end
  end
  parts[#parts + 1] = show.section("runs", "Runs", #runs > 0 and
    show.table({{"run"}, {"configuration", short = true}, {"seed", number = true}, {"status"}, {"took", number = true},
      {main or "figure", number = true}}, runs))
  return sweep, html.join(unpack(parts))
end

return page
