--- help: help(x) and who(); the globals of the prompt.
local chart = require "percept.chart"
local describe = require "percept.prompt.describe"
local docs = require "percept.docs"
local examples = require "percept.examples"
local inspect = require "percept.inspect"
local percept = require "percept"
local profile = require "percept.profile"
local recorder = require "percept.recorder"
local revive = require "percept.revive"
local rows = require "percept.rows"
local terminal = require "percept.terminal"
local values = require "percept.prompt.values"

local M = {}

local lua_load = load

-- load "UID" is a run; load(function) and load "text of a chunk" are Lua's own.
local function load_run(what, modules, options)
  local names_run = what == nil or type(what) == "string" and (modules == nil or type(modules) == "table")
    and (what:match "^[%w_][%w_.:/-]*$" or pcall(recorder.find, (options or {}).db or rows.db.file, what)) -- "first try"
  if not names_run then return lua_load(what, modules, options) end
  options = options or {}
  options.db = options.db or rows.db.file
  return revive.load(what, modules, options)
end

M.load = percept.declare("load", "what:any?, modules:any?, options:table?", load_run,
  'a run\'s modules with their weights: m = load "UID"; without a uid the newest run\'s; modules: what the weights go '
    .. 'into where the script does not say; options: db, which = "best", trust = true (the script of another machine or user)')

--- The prompt's own globals: name -> value.
function M.tools()
  return {
    help = M.help, who = M.who, time = profile.time, prof = profile.prof, show = terminal.show, plot = chart.plot,
    inspect = inspect.inspect, db = rows.db, load = M.load,
  }
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do
    if type(k) == "string" then keys[#keys + 1] = k end
  end
  table.sort(keys)
  return keys
end

local function overview(lines)
  lines[#lines + 1] = 'help(f) explains a function, help(module) lists it, help "word" searches. To begin with:'
  for _, e in ipairs(examples.overview) do
    lines[#lines + 1] = "  -- " .. e[2]
    lines[#lines + 1] = "  " .. e[1]
  end
  lines[#lines + 1] = "globals of the prompt:"
  local tools = M.tools()
  for _, name in ipairs(sorted_keys(tools)) do
    local _, text = percept.usage(tools[name])
    if not text or text == "" then text = M.about[name] or "" end
    if #text > 78 then text = text:sub(1, 78):gsub("%s+%S*$", "") .. " ..." end
    lines[#lines + 1] = ("  %-10s %s"):format(name, text)
  end
  lines[#lines + 1] = "modules (percept help percept.inverter, in the shell, shows a whole page):"
  local line = " "
  for _, name in ipairs(docs.modules()) do
    if #line + #name + 1 > 96 then
      lines[#lines + 1] = line
      line = " "
    end
    line = line .. " " .. name
  end
  lines[#lines + 1] = line
end

M.about = {
  help = "this; help(x), help \"word\"", who = "your globals with shapes and sizes",
  db = 'rows of a query: db"select * from result", db"@paper"; db.file is the database',
}

--- The help text of a value as a string.
function M.text(...)
  if select("#", ...) > 0 then return describe.text((...)) end
  local lines = {}
  overview(lines)
  return table.concat(lines, "\n")
end

--- Prints what is known of a function, a module, a value or a word.
function M.help(...)
  print(M.text(...))
end

local system = {}

--- Globals that are there now are not the user's: who() leaves them out.
function M.system_globals()
  for k in pairs(_G) do system[k] = true end
end

--- Prints the user's globals: name, type, shape, bytes.
function M.who()
  local T, size_text = percept.tensor, values.size_text
  local total = 0
  for _, k in ipairs(sorted_keys(_G)) do
    local v = rawget(_G, k)
    if not system[k] then
      if T.is_tensor(v) then
        local bytes = values.bytes(v)
        total = total + bytes
        print(("  %-16s %s tensor (%s)  %s%s"):format(k, v:dtype(), table.concat(v:size(), ","), size_text(bytes),
          v:requires_grad() and "  requires_grad" or ""))
      elseif values.is_module(v) then
        print(("  %-16s module %s, %s numbers"):format(k, v:type(), values.count_text(v:count())))
      else
        print(("  %-16s %s"):format(k, type(v)))
      end
    end
  end
  print(("tensors: %s; engine: %s live"):format(size_text(total), size_text(percept.sys.memory().live)))
end

return M
