--- summary: figures of runs by the values of parameters, mean ± sd (n) over seeds.
-- Of runs with the same experiment, configuration and seed the newest that is done counts.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"

local summary = {}

local picked = [[
with picked as (
  select * from (
    select r.id, r.experiment, r.config_digest, r.seed,
           row_number() over (partition by r.experiment, r.config_digest, ifnull(r.seed, r.uid)
                              order by r.started_ms desc, r.id desc) as nth
    from run r where r.archived = 0 and r.status = 'done' and (:experiment = '' or r.experiment = :experiment)
      and (:sweep = '' or r.sweep = :sweep))
  where nth = 1)
]]

-- What is told when nobody asked (never of single slots: their numbers mean another thing in each run):
-- results that stand for all factors, else all results, else metrics with a goal,
-- else the last value of every metric that is no rate or norm.
local function usual_figures(db, params)
  local rows = recorder.query(db, picked .. [[
    select figure, rank from (
      select distinct x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end as figure,
             case x.factor when '' then 1 else 2 end as rank
      from picked p join result x on x.run_id = p.id where not x.method glob 'slot [0-9]*'
      union all
      select distinct n.name, case when n.goal is not null then 3 else 4 end
      from picked p join metric_last l on l.run_id = p.id join metric_name n on n.id = l.name_id
      where n.goal is not null or not (n.name like '%lr' or n.name like '%grad_norm' or n.name like '%seconds%' or n.name like '%/s'))
    where rank < 5 order by rank, figure]], params)
  local out = {}
  for _, row in ipairs(rows) do
    if row.rank == rows[1].rank then out[#out + 1] = row.figure end
  end
  return out
end

-- Parameters that differ between the runs: what the rows are told apart by when nobody said.
local function differing(db, params)
  local out = {}
  for _, row in ipairs(recorder.query(db, picked .. [[
      select q.key from picked p join param q on q.run_id = p.id where q.key <> 'seed'
      group by q.key having count(distinct ifnull(q.txt, q.num)) > 1 order by q.key]], params)) do
    out[#out + 1] = row.key
  end
  return out
end

local function collect(db, params, by, figures)
  local groups, list = {}, {}
  local query = {experiment = params.experiment, sweep = params.sweep, by = recorder.json(by), figures = recorder.json(figures)}
  if #by == 0 then query.by = "[]" end
  local values = {}
  for _, row in ipairs(recorder.query(db, picked .. [[
      select p.id, q.key, coalesce(q.txt, q.num) as value from picked p join param q on q.run_id = p.id
      where q.key in (select value from json_each(:by))]], {experiment = query.experiment, sweep = query.sweep, by = query.by})) do
    values[row.id] = values[row.id] or {}
    values[row.id][row.key] = row.value
  end
  for _, row in ipairs(recorder.query(db, picked .. [[
      select p.id, p.experiment, f.figure, f.value from picked p join figure f on f.run_id = p.id
      where f.figure in (select value from json_each(:figures)) order by p.id]],
      {experiment = query.experiment, sweep = query.sweep, figures = query.figures})) do
    local of = values[row.id] or {}
    local words = {row.experiment}
    for i, key in ipairs(by) do words[i + 1] = tostring(of[key]) end
    local name = table.concat(words, "\0")
    local group = groups[name]
    if not group then
      group = {experiment = row.experiment, by = of, figures = {}}
      groups[name] = group
      list[#list + 1] = group
    end
    local f = group.figures[row.figure] or {n = 0, mean = 0, m2 = 0}
    group.figures[row.figure] = f
    if row.value then -- Welford; NaN is NULL and does not count
      f.n = f.n + 1
      local d = row.value - f.mean
      f.mean = f.mean + d / f.n
      f.m2 = f.m2 + d * (row.value - f.mean)
    end
  end
  return list
end

local function before(a, b)
  if type(a) == type(b) and a ~= nil then return a < b, a == b end
  return tostring(a) < tostring(b), a == b
end

local function sort(list, by)
  table.sort(list, function(x, y)
    if x.experiment ~= y.experiment then return x.experiment < y.experiment end
    for _, key in ipairs(by) do
      local less, same = before(x.by[key], y.by[key])
      if not same then return less end
    end
    return false
  end)
end

--- "0.8312 ± 0.012 (3)"; without sd where n is 1.
function summary.text(f)
  if not f or f.n == 0 then return nil end
  if f.n == 1 then return ("%.4g (1)"):format(f.mean) end
  return ("%.4g ± %.2g (%d)"):format(f.mean, math.sqrt(f.m2 / (f.n - 1)), f.n)
end

local function wide(list, by, figures, several)
  local names, rows = {}, {}
  if several then names[1] = "experiment" end
  for _, key in ipairs(by) do names[#names + 1] = key end
  for _, figure in ipairs(figures) do names[#names + 1] = figure end
  for i, group in ipairs(list) do
    local row, k = {}, 0
    local function put(v)
      k = k + 1
      row[k] = v
    end
    if several then put(group.experiment) end
    for _, key in ipairs(by) do put(group.by[key]) end
    for _, figure in ipairs(figures) do put(summary.text(group.figures[figure])) end
    rows[i] = row
  end
  return names, rows
end

local function long(list, by, figures, several, numbers)
  local names, rows = {}, {}
  if several then names[1] = "experiment" end
  for _, key in ipairs(by) do names[#names + 1] = key end
  names[#names + 1] = "figure"
  for _, name in ipairs(numbers and {"mean", "sd", "n"} or {"mean ± sd (n)"}) do names[#names + 1] = name end
  for _, group in ipairs(list) do
    for _, figure in ipairs(figures) do
      local f = group.figures[figure]
      if f and f.n > 0 then
        local row, k = {}, 0
        local function put(v)
          k = k + 1
          row[k] = v
        end
        if several then put(group.experiment) end
        for _, key in ipairs(by) do put(group.by[key]) end
        put(figure)
        if numbers then
          put(f.mean)
          put(f.n > 1 and math.sqrt(f.m2 / (f.n - 1)) or nil)
          put(f.n)
        else
          put(summary.text(f))
        end
        rows[#rows + 1] = row
      end
    end
  end
  return names, rows
end

--- Prints the table. what: experiment, sweep (either may be nil), by (list of parameters; nil: those that differ),
-- figures (list; nil: the usual ones). opts: database and format, as percept.cli.options has them.
-- For people one row a configuration (or one a figure, where they are many); for programs mean, sd, n as numbers.
function summary.print(opts, what)
  local db = options.path(opts)
  local params = {experiment = what.experiment or "", sweep = what.sweep or ""}
  local by, figures = what.by or differing(db, params), what.figures
  if not figures or #figures == 0 then figures = usual_figures(db, params) end
  local list = #figures > 0 and collect(db, params, by, figures) or {}
  if #list == 0 then return false end
  sort(list, by)
  local several = false
  for _, group in ipairs(list) do several = several or group.experiment ~= list[1].experiment end
  local format = options.format(opts)
  if format == "csv" or format == "json" then
    options.table(opts, long(list, by, figures, several, true))
  elseif #figures <= 6 then
    options.table(opts, wide(list, by, figures, several))
  else
    options.table(opts, long(list, by, figures, several, false))
  end
  return true
end

return summary
