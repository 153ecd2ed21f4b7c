--- page.query: the report of a query: its table, and bars of its numbers.
local figures = require "percept.page.figures"
local html = require "percept.page.html"
local plot = require "percept.plot"
local recorder = require "percept.recorder"
local show = require "percept.page.show"
local e = html.e

local most_rows = 5000

-- Which columns hold numbers alone (and some).
local function numeric(rows, columns)
  local out = {}
  for _, name in ipairs(columns) do
    local any, all = false, true
    for _, row in ipairs(rows) do
      local v = row[name]
      any, all = any or v ~= nil, all and (v == nil or type(v) == "number")
    end
    out[name] = any and all
  end
  return out
end

-- Bars: one group a row (its words joined), one series a column of numbers.
local function bars(rows, columns, is_number)
  local groups, series = {}, {}
  if #rows > 60 then error(("report: --bars draws up to 60 rows, this query gives %d"):format(#rows), 0) end
  for i, row in ipairs(rows) do
    local words = {}
    for _, name in ipairs(columns) do
      if not is_number[name] and row[name] then words[#words + 1] = tostring(row[name]) end
    end
    groups[i] = #words > 0 and table.concat(words, " · ") or tostring(i)
  end
  local sd
  for _, name in ipairs(columns) do
    if is_number[name] and name ~= "n" and name ~= "seed" then
      local y = {}
      for i, row in ipairs(rows) do y[i] = row[name] or 0 / 0 end
      if name == "sd" then sd = y else series[#series + 1] = {name = name, y = y} end
    end
  end
  if #series == 0 then error("report: --bars needs a column of numbers", 0) end
  for _, s in ipairs(series) do
    if sd and (s.name == "mean" or #series == 1) then s.sd = sd end
  end
  if sd and series[1].name == "mean" then series = {series[1]} end -- min and max are in the table
  return e.div{class = "wide", figures.card(plot.bars{groups = groups, series = series, numbers = true, width = 520, height = 340})}
end

local page = {}

--- The report of a query: title and body. options: params, bars, title.
function page.page(db, sql, options)
  local rows, columns = recorder.query(db, sql, options.params)
  local is_number, cells = numeric(rows, columns), {}
  for i = 1, math.min(#rows, most_rows) do
    local line = {}
    for k, name in ipairs(columns) do line[k] = rows[i][name] end
    cells[i] = line
  end
  local heads = {}
  for k, name in ipairs(columns) do heads[k] = {name, number = is_number[name]} end
  local title = options.title or (sql:sub(1, 1) == "@" and sql) or "Query"
  local given = {}
  for key, value in pairs(options.params or {}) do given[#given + 1] = ("%s = %s"):format(key, value) end
  table.sort(given)
  return title, html.join(
    e.h1{title},
    e.p{class = "lead", ("%d row%s"):format(#rows, #rows == 1 and "" or "s"), #given > 0 and " · " .. table.concat(given, ", ") or ""},
    options.bars and #rows > 0 and bars(rows, columns, is_number) or nil,
    #rows > 0 and show.table(heads, cells) or e.p{"No rows."},
    #rows > most_rows and e.p{class = "muted", ("the first %d of %d rows"):format(most_rows, #rows)} or nil,
    e.details{e.summary{"The query"}, e.pre{sql}})
end

return page
