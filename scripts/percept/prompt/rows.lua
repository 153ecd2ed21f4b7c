--- rows: db"select ..." at the prompt: rows of a query as Lua tables that print as a table.
local recorder = require "percept.recorder"
local records = require "percept.records"

local rows = {}

local function cell(v)
  if v == nil then return "" end
  if type(v) == "number" then
    if v == math.floor(v) and math.abs(v) < 1e15 then return ("%d"):format(v) end
    return ("%.6g"):format(v)
  end
  return records.shown((tostring(v):gsub("[\r\n\t]+", " ")))
end

local function clip(s, width)
  if select(2, s:gsub("[^\128-\191]", "")) <= width then return s end
  local n, at = 0, #s + 1
  for i in s:gmatch "()[^\128-\191]" do
    n = n + 1
    if n == width then at = i break end
  end
  return s:sub(1, at - 1) .. "…"
end

local function width_of(s) return select(2, s:gsub("[^\128-\191]", "")) end

--- The table as text: at most `limit` rows (default 40).
function rows.text(list, limit)
  local columns = rawget(getmetatable(list) or {}, "columns") or list.columns
  if #columns == 0 then return "(no columns)" end
  limit = limit or 40
  local cells, widths, numeric = {}, {}, {}
  local heads = {}
  for i, name in ipairs(columns) do
    heads[i] = records.shown(name)
    widths[i], numeric[i] = width_of(heads[i]), true
  end
  for r = 1, math.min(#list, limit) do
    cells[r] = {}
    for i, name in ipairs(columns) do
      local v = list[r][name]
      cells[r][i] = clip(cell(v), 60)
      widths[i] = math.max(widths[i], width_of(cells[r][i]))
      if v ~= nil and type(v) ~= "number" then numeric[i] = false end
    end
  end
  local function line(parts)
    local out = {}
    for i, s in ipairs(parts) do
      local pad = (" "):rep(widths[i] - width_of(s))
      out[i] = numeric[i] and pad .. s or s .. pad
    end
    return (table.concat(out, "  "):gsub("%s+$", ""))
  end
  local rule = {}
  for i in ipairs(columns) do rule[i] = ("─"):rep(widths[i]) end
  local lines = {line(heads), line(rule)}
  for r = 1, #cells do lines[#lines + 1] = line(cells[r]) end
  if #list > limit then
    lines[#lines + 1] = ("… %d more rows"):format(#list - limit)
  elseif #list == 0 then
    lines[#lines + 1] = "(no rows)"
  end
  return table.concat(lines, "\n")
end

--- Rows of a query: a list of {column = value} that prints as a table; @name is a shipped query.
function rows.query(db, sql, params)
  local list, columns = recorder.query(db, sql, params)
  return setmetatable(list, {columns = columns, __tostring = rows.text})
end

--- db: a function over one file; db.file says which.
rows.db = setmetatable({}, {
  __index = function(_, key)
    if key == "file" then return os.getenv "PERCEPT_DB" or "percept.db" end
  end,
  __call = function(self, sql, params)
    if type(sql) ~= "string" then error('db: a query is expected, as in db"select * from result"', 2) end
    return rows.query(self.file, sql, params)
  end,
  __tostring = function(self) return ('db"select ..." asks %s; db.file = "other.db" another file; db"@paper" a shipped query')
    :format(self.file) end,
})

return rows
