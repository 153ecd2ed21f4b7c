--- datasette: what Datasette (and a reader) should know of a database: its tables, columns and shipped queries.
-- Read from the comments of db/schema.sql and db/queries, so that they say the same.
local recorder = require "percept.recorder"
local records = require "percept.records"

local datasette = {}

local function trim(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end

--- Tables of the schema: list of {name, about, columns = {{name, type, about}, ...}}.
function datasette.tables()
  local tables, comment, at = {}, {}, nil
  for line in records.sql_file "schema.sql":gmatch "([^\n]*)\n" do
    local name = line:match "^create table ([%w_]+) %("
    local about = line:match "^%-%- ?(.*)$"
    if name then
      at = {name = name, about = table.concat(comment, " "), columns = {}}
      tables[#tables + 1] = at
      comment = {}
    elseif about then
      comment[#comment + 1] = trim(about)
    elseif line == "" then
      comment = {}
    elseif line:match "^%)" then
      at = nil
    elseif at then
      local column, kind = line:match "^  ([%l_%d]+)%s+(%l+)"
      local note = line:match "%-%- (.+)$"
      if column and column ~= "primary" and column ~= "unique" then
        at.columns[#at.columns + 1] = {name = column, type = kind, about = note and trim(note) or nil}
      elseif note and #at.columns > 0 and line:match "^%s+%-%-" then
        local last = at.columns[#at.columns]
        last.about = trim((last.about or "") .. " " .. trim(note))
      end
    end
  end
  return tables
end

--- A shipped query as other programs can run it: without comments, an empty parameter meaning none.
function datasette.query(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("%-%-.*$", "")
    if line:match "%S" then lines[#lines + 1] = (line:gsub("%s+$", "")) end
  end
  local sql = table.concat(lines, "\n"):gsub(";%s*$", "")
  return (sql:gsub("([^:%w_']):(%l[%w_]*)", "%1nullif(:%2, '')"))
end

local function head(text)
  local out = {}
  for line in text:gmatch "([^\n]*)\n" do
    local about = line:match "^%-%-%s?(.*)$"
    if not about then break end
    if not about:match "^ ?pivot:" then out[#out + 1] = about end
  end
  return table.concat(out, "\n", 2)
end

--- metadata.json for a database file of this name.
function datasette.metadata(file)
  local base = file:match "([^/]+)$":gsub("%.%w+$", "")
  local tables, queries = {}, {}
  for _, t in ipairs(datasette.tables()) do
    local columns = {}
    for _, c in ipairs(t.columns) do columns[c.name] = c.about end
    tables[t.name] = {description = t.about ~= "" and t.about or nil, columns = next(columns) and columns or nil}
  end
  tables.run.sort_desc = "started_ms"
  tables.run.label_column = "uid"
  tables.source.hidden = true
  for _, q in ipairs(recorder.queries()) do
    queries[q.name] = {sql = datasette.query(q.text), title = q.title, description = head(q.text)}
  end
  return recorder.json{
    title = "Percept: runs and results",
    description = "Recorded by percept: one row of run is one execution of a script; everything measured hangs on it.",
    databases = {[base] = {tables = tables, queries = queries}},
  }
end

return datasette
