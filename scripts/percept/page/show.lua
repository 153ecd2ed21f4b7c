--- page.show: numbers, bytes, times, tables and lists of facts for people.
local html = require "percept.page.html"
local e = html.e

local show = {}

--- A number in about `digits` significant digits (4), as an element.
function show.number(v, digits)
  if v == nil then return "–" end
  if type(v) ~= "number" then return tostring(v) end
  if v ~= v then return "NaN" end
  if v == math.huge or v == -math.huge then return v > 0 and "∞" or "−∞" end
  local a = math.abs(v)
  local text
  if v == math.floor(v) and a < 1e15 then
    text = ("%d"):format(v)
    if a >= 1e5 then -- groups of three, thin spaces between
      local n
      repeat text, n = text:gsub("^(-?%d+)(%d%d%d)", "%1\226\128\175%2") until n == 0
    end
  elseif a >= 1e6 or a < 1e-3 then
    local m, power = ("%." .. (digits or 4) - 2 .. "e"):format(v):match "^(.-)e([+-]%d+)$"
    return html.join((m:gsub("-", "−")), "·10", e.sup{(("%d"):format(tonumber(power)):gsub("-", "−"))})
  else
    local whole = a >= 1 and math.floor(math.log10(a)) + 1 or a >= 0.1 and 0 or math.floor(math.log10(a)) + 1
    text = ("%." .. math.max(0, (digits or 4) - whole) .. "f"):format(v)
  end
  return (text:gsub("^-", "−"))
end

--- A number of a table of results: three decimals for what is about one, so that columns align.
function show.figure(v)
  if v and (v == 0 or math.abs(v) < 10 and math.abs(v) >= 0.01) then return (("%.3f"):format(v):gsub("^-", "−")) end
  return show.number(v, 3)
end

--- mean ± sd (n)
function show.mean(mean, sd, n)
  if not mean then return "–" end
  local spread = sd and (math.abs(mean) < 10 and math.abs(mean) >= 0.01 and ("%.3f"):format(sd) or show.number(sd, 3))
  return html.join(show.figure(mean), e.span{class = "sd", spread and html.join(" ± ", spread) or "", (" (%d)"):format(n)})
end

function show.bytes(n)
  if not n then return "–" end
  for _, unit in ipairs{{2 ^ 30, "GiB"}, {2 ^ 20, "MiB"}, {2 ^ 10, "KiB"}} do
    if n >= unit[1] then return ("%.4g %s"):format(n / unit[1] >= 100 and math.floor(n / unit[1] + 0.5) or n / unit[1], unit[2]) end
  end
  return ("%d bytes"):format(n)
end

function show.seconds(s)
  if not s then return "–" end
  if s < 0.1 then return "< 0.1 s" end
  if s < 10 then return ("%.1f s"):format(s) end
  if s < 120 then return ("%.0f s"):format(s) end
  local minutes = math.floor(s / 60 + 0.5)
  if minutes < 120 then return ("%d min %d s"):format(math.floor(s / 60), s % 60) end
  return ("%d h %d min"):format(math.floor(minutes / 60), minutes % 60)
end

-- A name that may break behind its slashes.
local function breakable(name)
  if type(name) ~= "string" or not name:find "/" then return name end
  return html.raw((html.escape(name):gsub("/", "/<wbr>")))
end

-- Numbers of a column that are all of moderate size share their decimals, so that they can be compared.
local function format_of(rows, k)
  local whole, most, least = true, 0, math.huge
  for _, row in ipairs(rows) do
    local v = row[k]
    if type(v) == "number" and v == v then
      whole, most = whole and v == math.floor(v), math.max(most, math.abs(v))
      if v ~= 0 then least = math.min(least, math.abs(v)) end
    end
  end
  if not whole and most < 10 and least >= 0.0005 then return function(v) return (("%.4f"):format(v):gsub("^-", "−")) end end
  return show.number
end

--- A table. columns: {{name, number = true}}; rows: lists of values or elements; options: best (row number).
function show.table(columns, rows, options)
  options = options or {}
  local heads, body, format = {}, {}, {}
  for i, c in ipairs(columns) do
    heads[i] = e.th{class = c.number and "n" or nil, scope = "col", breakable(c[1])}
    format[i] = c.number and format_of(rows, i) or show.number
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k, c in ipairs(columns) do
      local v = row[k]
      if type(v) == "number" then v = v == v and format[k](v) or "NaN" end
      if v == nil then v = c.number and "–" or "" end
      cells[k] = e[k == 1 and "th" or "td"]{class = c.number and "n" or c.short and "w" or nil, scope = k == 1 and "row" or nil, v}
    end
    body[i] = e.tr{class = options.best == i and "best" or nil, cells}
  end
  return e.div{class = "scroll", tabindex = "0", e.table{e.thead{e.tr{heads}}, e.tbody{body}}}
end

local function pair_table(list, from, to)
  local rows = {}
  for i = from, to do
    local v = list[i][2]
    if type(v) == "number" then v = ("%.10g"):format(v) end
    rows[#rows + 1] = e.tr{e.th{scope = "row", list[i][1]}, e.td{v}}
  end
  return e.div{class = "scroll", e.table{class = "pairs", e.tbody{rows}}}
end

--- Two columns: {{key, value}}; values left out are left out. halves: long lists in two tables side by side.
function show.pairs(list, halves)
  local some = {}
  for _, item in ipairs(list) do
    if item[2] ~= nil and item[2] ~= "" then some[#some + 1] = item end
  end
  if not halves or #some < 10 then return pair_table(some, 1, #some) end
  local half = math.ceil(#some / 2)
  return e.div{class = "halves", pair_table(some, 1, half), pair_table(some, half + 1, #some)}
end

--- Boxes with the few facts that matter: {{name, value}}.
function show.facts(list)
  local boxes = {}
  for _, item in ipairs(list) do
    if item[2] ~= nil and item[2] ~= "" then boxes[#boxes + 1] = e.div{e.dt{item[1]}, e.dd{item[2]}} end
  end
  return e.dl{class = "facts", boxes}
end

--- A section with a heading that links can reach; nothing for no content.
function show.section(id, title, ...)
  local content = {...}
  local any = false
  for i = 1, select("#", ...) do any = any or content[i] and content[i] ~= "" end
  if not any then return nil end
  return e.section{id = id, e.h2{title}, ...}
end

return show
