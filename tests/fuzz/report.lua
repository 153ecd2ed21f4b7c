-- The report of a run whose rows somebody else wrote: the input changes cells of a good database (table, column, kind of
-- value, text), then the report of its run, of its sweep and the commands that print it are asked for. No text of the
-- database may stand in the page as markup: a mark that the input cannot spell, "<zq", is put into every text.
local percept = require "percept"
local recorder = require "percept.recorder"
local dir = os.getenv "PERCEPT_FUZZ_DIR"
local good = dir .. "/good.db"

local function make()
  local run = percept.run{experiment = "e", name = "n", db = good, config = {lr = 0.1, model = {width = 3}}}
  for i = 1, 5 do run:log(i, {loss = 1 / i, ["val/loss"] = 2 / i}) end
  run:result{method = "search", split = "ood", metric = "accuracy", factor = "animals", value = 0.5}
  run:finish()
  local f = assert(io.open(good, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local bytes_of_good = make()
local tables = recorder.query(good, "select name from sqlite_master where type = 'table' and name not like 'sqlite%' order by name")
local columns = {}
for _, t in ipairs(tables) do
  for _, c in ipairs(recorder.query(good, "select name from pragma_table_info(:t) order by cid", {t = t.name})) do
    columns[#columns + 1] = {t.name, c.name}
  end
end

local function value_of(kind, text)
  if kind == 0 then return "null" end
  if kind == 1 then return tostring(#text - 20) end
  if kind == 2 then return "9223372036854775807" end
  if kind == 3 then return "x'00ff41'" end
  if kind == 4 then return "1e999" end
  return "'<zq" .. text:gsub("'", "''"):gsub("%z", "") .. "'"
end

local quiet = {write = function() end}

return function(bytes)
  local path, page = dir .. "/input.db", dir .. "/out.html"
  local f = assert(io.open(path, "wb"))
  f:write(bytes_of_good)
  f:close()
  local at = 1
  while at + 3 <= #bytes do
    local c, kind, n = bytes:byte(at), bytes:byte(at + 1) % 8, bytes:byte(at + 2) % 40
    local column = columns[c % #columns + 1]
    local sql = ("pragma ignore_check_constraints = on; update or ignore %s set %s = %s"):format(column[1], column[2],
      value_of(kind, bytes:sub(at + 3, at + 2 + n)))
    pcall(recorder.query, path, sql, nil, true)
    at = at + 3 + n
  end
  local was = io.stdout
  io.output(quiet.file or io.open("/dev/null", "w"))
  os.remove(page)
  pcall(function()
    local run = recorder.query(path, "select uid from run limit 1")[1]
    require("percept.cmd.report").run{db = path, output = page, run and run.uid}
  end)
  io.output(was)
  f = io.open(page, "rb")
  if f then
    local text = f:read "*a"
    f:close()
    if text:find("<zq", 1, true) then error("fuzz: a text of the database is markup in the report", 0) end
  end
  for _, tail in ipairs{"", "-wal", "-shm", "-journal"} do os.remove(path .. tail) end
end
