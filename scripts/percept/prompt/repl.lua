--- repl: the prompt.
-- Expressions print their value, also as the last statement of a line; `;` at the end keeps quiet; incomplete
-- input goes on in the next line.
-- %time CODE says how long it took, %prof CODE which ops took the time.
-- _ is the last result, _1 .. _9 the last ones, newest first; they are weak: a result that nobody
-- else holds may be collected.
-- What the user assigns, to print, to string.format, to _G's metatable, is his: the prompt's globals are those of the
-- start (percept.c), its own code runs with the methods of strings as they were, and signals wait until it is done.
local percept = require "percept"
local help = require "percept.help"
local open = require "percept.run.open"
local profile = require "percept.profile"
local strict = require "percept.strict"
local train = require "percept.train"
local is_tensor, signal = require("percept.tensor").is_tensor, percept.signal
local format = string.format

-- Modules are the user's, too: these are copies.
local function copy(module)
  local own = {}
  for k, v in pairs(module) do own[k] = v end
  return own
end
local edit, sys, files = copy(require "percept.edit"), copy(require "percept.sys"), copy(require "percept.files")
local spelled = require("percept.records").shown

local repl = {}

local function say(text) io.stdout:write(text, "\n") end

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

-- Opens a file of the user's; nil where there is none, or what stands there is none: a pipe would hold up the prompt.
local function open_own(path, mode)
  local st = path and files.stat(path)
  if st and st.kind ~= "file" then return nil end
  return path and io.open(path, mode)
end

local function load_history()
  local file = open_own(data_file(), "r")
  if not file then return end
  local lines = {}
  for line in file:lines() do
    if not line:find "[%z\1-\8\11-\31\127]" then lines[#lines + 1] = line end
  end
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
  local file = open_own(path, "a")
  if not file then
    if not pcall(sys.mkdir, folder) then return end
    file = open_own(path, "a")
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

local function is_identifier(s) return type(s) == "string" and string.match(s, "^[%a_][%w_]*$") ~= nil end

local function show_table(t, depth)
  if depth > 2 then return "{...}" end
  local meta = getmetatable(t)
  if type(meta) == "table" and rawget(meta, "__tostring") then return tostring(t) end
  local parts, n = {}, 0
  local function put(show, ...) -- what is too much is counted alone
    n = n + 1
    if n <= 40 then parts[n] = show(...) end
  end
  local function show(v)
    if type(v) == "table" then return show_table(v, depth + 1) end
    if type(v) == "string" then return format("%q", v) end
    if is_tensor(v) then return "<" .. v:dtype() .. " (" .. table.concat(v:size(), ",") .. ")>" end
    return tostring(v)
  end
  for _, v in ipairs(t) do put(show, v) end
  local count, keys = n, {}
  for k in pairs(t) do
    if not (type(k) == "number" and k >= 1 and k <= count and k % 1 == 0) then keys[#keys + 1] = k end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  local function pair(k) return (is_identifier(k) and k or "[" .. tostring(k) .. "]") .. " = " .. show(rawget(t, k)) end
  for _, k in ipairs(keys) do put(pair, k) end
  if n > 40 then parts[41] = format("... %d more", n - 40) end
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line <= 100 then return line end
  local pad = string.rep("  ", depth)
  return "{\n" .. pad .. "  " .. table.concat(parts, ",\n" .. pad .. "  ") .. "\n" .. pad .. "}"
end

local function show_value(v)
  if type(v) == "table" then return show_table(v, 0) end
  if type(v) == "string" then return format("%q", v) end
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
    if type(meta) == "table" and meta.__tostring then return tostring(message) end
    return "(error object: " .. type(message) .. ")"
  end
  local lines = {}
  for line in debug.traceback("", 2):gmatch "[^\n]+" do
    if line:find("[C]: in function 'call'", 1, true) or line:find("scripts/percept/prompt/repl.lua", 1, true) then break end
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

-- ---- the user's code ----

local strings = debug.getmetatable ""
local methods = setmetatable(string, {__index = _G.string}) -- ours first, then what the user adds
local theirs = {meta = strings, index = methods}

-- Between user's code and ours the methods of strings change hands: s:format() is looked up in a table that
-- anybody may empty.
local function outside(fn, handler)
  debug.setmetatable("", theirs.meta)
  strings.__index = theirs.index
  local got = pack(edit.call(fn, handler))
  theirs = {meta = debug.getmetatable "", index = rawget(strings, "__index")}
  debug.setmetatable("", strings)
  strings.__index = methods
  return got
end

local function plain(message) return message end

-- It may quote a file of anybody's: what steers a terminal is spelled out.
local function complain(message) io.stderr:write(spelled(message, true), "\n") end

-- An error as text; its __tostring is the user's code, too.
local function text_of(message)
  if type(message) == "string" then return message end
  local got = outside(function() return tostring(message) end, plain)
  return got[1] and type(got[2]) == "string" and got[2] or "(error object: " .. type(message) .. ")"
end

-- After an error: what was interrupted is closed, the message is shown.
local function report(message, interrupted)
  io.stdout:flush()
  message = text_of(message)
  if interrupted then
    if repl.interactive then io.stderr:write "\n" end
    close_interrupted()
    message = message:match "^[^\n]*" -- where it was is of no interest
  else
    pcall(train.forget)
  end
  complain(message)
end

local function show_results(got)
  local shown = outside(function()
    for i = 2, got.n do
      local ok, s = pcall(show_value, got[i])
      if not ok and signal() then error(s, 0) end
      say(ok and s or "(does not print: " .. tostring(s) .. ")")
    end
  end, plain)
  if not shown[1] then report(shown[2], false) end
  edit.reset()
end

-- Runs one entry. Returns false after an error.
local function run(text)
  local quiet = text:match ";%s*$" ~= nil
  local chunk, why = repl.compile(text)
  if not chunk then
    complain(why)
    return false
  end
  local start = sys.time()
  local got = outside(chunk, trace)
  local seconds = sys.time() - start
  local interrupted = signal() == "interrupted"
  edit.reset()
  if not got[1] or interrupted then -- a last call may have come to its end all the same
    report(got[1] and "interrupted" or got[2], interrupted)
    return false
  end
  for i = got.n, 2, -1 do note_result(got[i]) end
  if not quiet then show_results(got) end
  if seconds > 0.1 and repl.interactive then say(format("-- %.2f s", seconds)) end
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
  local file = open_own(path, "r")
  if not file then return end
  file:close()
  local got = outside(function() return assert(loadfile(path, "t"))() end, trace)
  if not got[1] then complain(text_of(got[2])) end
  edit.reset()
end

-- One line read, and run when it is a whole entry: what to go on with (text so far), or false at the end.
local function turn(state)
  local line, why = next_line(state.text == nil)
  if not line and why == "interrupt" then
    io.write "\n"
    state.text = nil
    return true
  elseif not line then
    if state.text then
      state.failed = not run(state.text) or state.failed
    elseif repl.interactive then
      io.write "\n"
    end
    return false
  end
  local text = state.text and state.text .. "\n" .. line or line
  local _, _, incomplete = repl.compile(text)
  state.text = incomplete and text or nil
  if not incomplete then
    if repl.interactive then remember(text) end
    if not text:match "^%s*$" and not run(text) then state.failed = true end
  end
  return true
end

local function loop()
  local state = {failed = false}
  local mistakes = 0 -- of ours, one after another
  while signal() ~= "terminated" do
    local ok, more = pcall(turn, state)
    mistakes = ok and 0 or mistakes + 1
    if not ok then
      io.stderr:write("the prompt: ", tostring(more), "\n")
      state.text = nil
    end
    if ok and not more or mistakes > 3 then return state.failed end
  end
  return true
end

--- The prompt's own globals: name -> value.
function repl.tools() return help.tools() end

--- Starts the prompt; returns the exit code: 1 when input was not a terminal and an entry failed.
function repl.start()
  repl.interactive = sys.isatty(0) and sys.isatty(1)
  rawset(_G, "percept", percept)
  rawset(_G, "T", percept.tensor)
  for name, value in pairs(help.tools()) do rawset(_G, name, value) end
  jit.off() -- an entry is a few lines, its operations are not Lua: nothing is gained by compiling
  strict.on(_G, "warn", special)
  help.system_globals()
  if repl.interactive then
    load_history()
    banner()
  end
  edit.prompt(repl.interactive)
  run_init()
  local failed = loop()
  edit.prompt(false)
  return failed and not repl.interactive and 1 or 0
end

return repl
