--- repl: the prompt.
-- Expressions print their value, also as the last statement of a line; `;` at the end keeps quiet; incomplete
-- input goes on in the next line.
-- %time CODE says how long it took, %prof CODE which ops took the time.
-- _ is the last result, _1 .. _9 the last ones, newest first; they are weak: a result that nobody
-- else holds may be collected.
local percept = require "percept"
local edit = require "percept.edit"
local help = require "percept.help"
local open = require "percept.run.open"
local profile = require "percept.profile"
local strict = require "percept.strict"
local sys = require "percept.sys"
local train = require "percept.train"

local repl = {}

local function data_file()
  local base = os.getenv "XDG_DATA_HOME"
  if not base or base == "" then
    local home = os.getenv "HOME"
    if not home then return nil end
    base = home .. "/.local/share"
  end
  return base .. "/percept/history", base .. "/percept"
end

local function config_file()
  local base = os.getenv "XDG_CONFIG_HOME"
  if base and base ~= "" then return base .. "/percept/init.lua" end
  return os.getenv "HOME" and os.getenv "HOME" .. "/.config/percept/init.lua"
end

-- ---- history: one entry a line, appended at once, so that a crash loses nothing ----

local history_limit = 2000

local function load_history()
  local path = data_file()
  local file = path and io.open(path, "r")
  if not file then return end
  local lines = {}
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  for i = math.max(1, #lines - history_limit + 1), #lines do edit.add_history(lines[i]) end
end

local last_entry
local function remember(entry)
  entry = entry:gsub("%s*\n%s*", " ")
  if entry:match "^%s*$" or entry == last_entry then return end
  last_entry = entry
  edit.add_history(entry)
  local path, folder = data_file()
  if not path then return end
  local file = io.open(path, "a")
  if not file then
    if not pcall(sys.mkdir, folder) then return end
    file = io.open(path, "a")
    if not file then return end
  end
  file:write(entry, "\n")
  file:close()
end

-- ---- results ----

local results = setmetatable({}, { __mode = "v" }) -- 1: newest

local function note_result(value)
  if value == nil then return end
  for i = 9, 2, -1 do results[i] = results[i - 1] end
  results[1] = value
end

local function special(name)
  if name == "_" then return true, results[1] end
  local i = type(name) == "string" and name:match "^_([1-9])$"
  if i then return true, results[tonumber(i)] end
end

-- ---- printing ----

local function is_identifier(s) return type(s) == "string" and s:match "^[%a_][%w_]*$" ~= nil end

local function show_table(t, depth)
  if depth > 2 then return "{...}" end
  local meta = getmetatable(t)
  if type(meta) == "table" and meta.__tostring then return tostring(t) end
  local parts, n = {}, 0
  local function put(text)
    n = n + 1
    if n <= 40 then parts[n] = text end
  end
  local function show(v)
    if type(v) == "table" then return show_table(v, depth + 1) end
    if type(v) == "string" then return ("%q"):format(v) end
    local T = percept.tensor
    if T.is_tensor(v) then return "<" .. v:dtype() .. " (" .. table.concat(v:size(), ",") .. ")>" end
    return tostring(v)
  end
  for _, v in ipairs(t) do put(show(v)) end
  local count, keys = n, {}
  for k in pairs(t) do
    if not (type(k) == "number" and k >= 1 and k <= count and k % 1 == 0) then keys[#keys + 1] = k end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(keys) do
    put((is_identifier(k) and k or "[" .. tostring(k) .. "]") .. " = " .. show(rawget(t, k)))
  end
  if n > 40 then parts[41] = ("... %d more"):format(n - 40) end
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line <= 100 then return line end
  local pad = ("  "):rep(depth)
  return "{\n" .. pad .. "  " .. table.concat(parts, ",\n" .. pad .. "  ") .. "\n" .. pad .. "}"
end

local function show_value(v)
  if type(v) == "table" then return show_table(v, 0) end
  if type(v) == "string" then return ("%q"):format(v) end
  return tostring(v)
end

-- ---- completion ----

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

-- Names that may follow value. or value:
local function names_of(value, methods_only, found)
  local seen = 0
  local function add(t)
    for k, v in pairs(t) do
      if is_identifier(k) and (not methods_only or type(v) == "function") then found[k] = v end
    end
  end
  local function walk(v)
    seen = seen + 1
    if seen > 8 then return end
    if type(v) == "table" then add(v) end
    local meta = debug.getmetatable(v)
    if type(meta) ~= "table" then return end
    if type(rawget(meta, "methods")) == "table" then add(meta.methods) end
    local index = rawget(meta, "__index")
    if type(index) == "table" then walk(index) end
  end
  walk(value)
  if value == percept and not methods_only then
    for name in pairs(package.preload) do
      local module = name:match "^percept%.([%w_]+)$"
      if module and found[module] == nil then found[module] = {} end
    end
  end
end

local function lookup(path)
  local value = _G
  for name in path:gmatch "[%a_][%w_]*" do
    if value == _G then
      local _, v = special(name)
      value = v
      if value == nil then value = rawget(_G, name) end
    elseif type(value) == "table" then
      local ok, v = pcall(function() return value[name] end)
      value = ok and v or nil
    else
      return nil
    end
    if value == nil then return nil end
  end
  return value
end

local function suffix(value) return type(value) == "function" and "(" or "" end

local function complete_name(word)
  local path, separator, prefix = word:match "^(.*)([.:])([%w_]*)$"
  local found, list = {}, {}
  if path then
    if not path:match "^[%a_][%w_.]*$" then return list end
    local value = lookup(path)
    if value == nil then return list end
    names_of(value, separator == ":", found)
  else
    prefix = word
    for k, v in pairs(_G) do
      if is_identifier(k) then found[k] = v end
    end
    for _, k in ipairs(keywords) do found[k] = true end
  end
  for k, v in pairs(found) do
    if k:sub(1, #prefix) == prefix then
      list[#list + 1] = (path and path .. separator or "") .. k .. suffix(v)
    end
  end
  table.sort(list)
  return list
end

-- The text of an unfinished string at the end of line, and what stands before it.
local function open_string(line)
  local quote, from
  local i = 1
  while i <= #line do
    local c = line:sub(i, i)
    if quote then
      if c == "\\" then
        i = i + 1
      elseif c == quote then
        quote = nil
      end
    elseif c == '"' or c == "'" then
      quote, from = c, i
    end
    i = i + 1
  end
  if quote then return line:sub(from + 1), line:sub(1, from - 1) end
end

local function complete_module(prefix)
  local list, seen = {}, {}
  for _, from in ipairs { package.preload, package.loaded } do
    for name in pairs(from) do
      if type(name) == "string" and name:sub(1, #prefix) == prefix and not seen[name] then
        seen[name] = true
        list[#list + 1] = name
      end
    end
  end
  table.sort(list)
  return list
end

--- Whole words that may stand where `word` is; line is the input up to the cursor.
function repl.complete(word, line)
  local text, before = open_string(line)
  if not text then return complete_name(word) end
  local skip = #text - #word -- libedit splits words at characters that paths may hold
  local list = {}
  local all = before:match "require%s*%(?%s*$" and complete_module(text) or edit.glob(text .. "*")
  for _, path in ipairs(all) do list[#list + 1] = path:sub(skip + 1) end
  return list
end

-- ---- reading and running ----

-- "x = 1; x + 1": what follows the last ; or line end may be an expression, whose value is printed.
local function compile_last(text)
  for at = #text, 2, -1 do
    local c = text:sub(at, at)
    if c == ";" or c == "\n" then
      local head, tail = text:sub(1, at - 1), text:sub(at + 1)
      if tail:match "%S" and loadstring(head, "=stdin") and loadstring("return " .. tail, "=stdin") then
        return loadstring(head .. c .. "return " .. tail, "=stdin")
      end
    end
  end
end

--- A function of the text; or nil, the message, and whether more input may help.
function repl.compile(text)
  local name, body = text:match "^%s*%%(%a+)%s+(.*)$"
  if name and repl.magics[name] then
    local chunk, why, incomplete = repl.compile(body)
    return chunk and function() return repl.magics[name](chunk) end, why, incomplete
  elseif text:match "^%s*%%" then
    return nil, "%time CODE and %prof CODE are known"
  end
  local expression = text:gsub("^%s*=", "")
  local chunk = loadstring("return " .. expression, "=stdin")
  if chunk then return chunk end
  chunk = text:find "[;\n]" and compile_last(text)
  if chunk then return chunk end
  local why
  chunk, why = loadstring(text, "=stdin")
  if chunk then return chunk end
  local incomplete = why:match "'<eof>'$" and not why:find("unfinished string", 1, true)
  return nil, why, incomplete
end

local function trace(message)
  if type(message) == "string" then
    message = message:gsub("^scripts/percept/[%w_/]+%.lua:%d+: ", "") -- a place in the workbench tells its user nothing
  else
    local meta = getmetatable(message)
    if not (type(meta) == "table" and meta.__tostring) then
      message = ("(error object: %s)"):format(type(message))
    end
    return tostring(message)
  end
  local lines = {}
  for line in debug.traceback("", 2):gmatch "[^\n]+" do
    if line:find("xpcall", 1, true) or line:find("scripts/percept/prompt/repl.lua", 1, true) then break end
    if not line:find("[builtin", 1, true) and not line:match "^stack traceback:" then lines[#lines + 1] = line end
  end
  if lines[1] and lines[1]:find("[C]: in function 'error'", 1, true) then table.remove(lines, 1) end
  if #lines <= 1 then return message end -- the message has its position
  return message .. "\nstack traceback:\n" .. table.concat(lines, "\n")
end

local function pack(...) return { n = select("#", ...), ... } end

-- A training loop that was stopped: its checkpoint is written and its run closed, as `percept run` would have done.
-- An experiment has done so itself.
local function close_interrupted()
  local ok, step, path, owner = pcall(train.rescue)
  if not ok or not step then return end
  io.stderr:write(("checkpoint at step %d: %s\n"):format(step, path))
  if owner then pcall(open.finish, owner, "killed", "interrupted") end
end

local magics = {
  time = function(chunk)
    local wall, cpu, bytes = sys.time(), sys.cpu_time(), sys.memory().live
    local got = pack(chunk())
    print(("%.3f ms, %.3f ms of processor time, %+.1f KiB of tensors"):format(1e3 * (sys.time() - wall),
      1e3 * (sys.cpu_time() - cpu), (sys.memory().live - bytes) / 1024))
    return unpack(got, 1, got.n)
  end,
  prof = function(chunk)
    local got = pack(profile.run(chunk))
    print(profile.text(got[1]))
    return unpack(got, 2, got.n)
  end,
}

repl.magics = magics

-- Runs one entry. Returns false after an error.
local function run(text)
  local quiet = text:match ";%s*$" ~= nil
  local chunk, why = repl.compile(text)
  if not chunk then
    io.stderr:write(why, "\n")
    return false
  end
  local start = sys.time()
  local got = pack(xpcall(chunk, trace))
  local seconds = sys.time() - start
  local interrupted = percept.signal() == "interrupted"
  edit.reset()
  if not got[1] then
    io.stdout:flush()
    if interrupted then
      if repl.interactive then io.stderr:write "\n" end
      close_interrupted()
      got[2] = tostring(got[2]):match "^[^\n]*" -- where it was is of no interest
    else
      train.forget()
    end
    io.stderr:write(got[2] == nil and "nil" or tostring(got[2]), "\n")
    return false
  end
  for i = got.n, 2, -1 do note_result(got[i]) end
  if not quiet then
    for i = 2, got.n do
      local ok, s = pcall(show_value, got[i])
      print(ok and s or "(does not print: " .. tostring(s) .. ")")
    end
  end
  if seconds > 0.1 and repl.interactive then print(("-- %.2f s"):format(seconds)) end
  return true
end

local function next_line(first)
  if not repl.interactive then return io.read "*l" end
  io.stdout:flush()
  return edit.readline(first and "> " or ">> ", repl.complete)
end

local function banner()
  print(("percept %s: help() begins, help(x) explains, Tab completes, Ctrl-C stops, Ctrl-D leaves"):format(percept.version))
end

local function run_init()
  local path = config_file()
  local file = path and io.open(path, "r")
  if not file then return end
  file:close()
  local ok, why = xpcall(function() return assert(loadfile(path))() end, trace)
  if not ok then io.stderr:write(tostring(why), "\n") end
end

local function loop()
  local failed = false
  local text
  while true do
    if percept.signal() == "terminated" then return true end
    local line, why = next_line(text == nil)
    if not line and why == "interrupt" then
      io.write "\n"
      edit.reset()
      text = nil
    elseif not line then
      if text then
        failed = not run(text) or failed
      elseif repl.interactive then
        io.write "\n"
      end
      return failed
    else
      text = text and text .. "\n" .. line or line
      local _, _, incomplete = repl.compile(text)
      if not incomplete then
        if repl.interactive then remember(text) end
        if not text:match "^%s*$" and not run(text) then failed = true end
        text = nil
      end
    end
  end
end

--- The prompt's own globals: name -> value.
function repl.tools() return help.tools() end

--- Starts the prompt; returns the exit code: 1 when input was not a terminal and an entry failed.
function repl.start()
  repl.interactive = sys.isatty(0) and sys.isatty(1)
  rawset(_G, "percept", percept)
  rawset(_G, "T", percept.tensor)
  for name, value in pairs(help.tools()) do rawset(_G, name, value) end
  jit.off() -- compiled loops could not be interrupted
  strict.on(_G, "warn", special)
  help.system_globals()
  if repl.interactive then
    load_history()
    banner()
  end
  run_init()
  local failed = loop()
  return failed and not repl.interactive and 1 or 0
end

return repl
