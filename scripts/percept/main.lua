--- main: the command line of the program `percept`.
-- percept                      the prompt
-- percept FILE.lua [ARGS]      runs a script (- is standard input)
-- percept -e CODE              runs code
-- percept -i FILE.lua [ARGS]   runs a script, then the prompt
-- percept COMMAND ...          a module percept.cmd.COMMAND: a declaration as percept.cli.options has it
local commands = require "percept.cli.commands"
local files = require "percept.files"
local options = require "percept.cli.options"
local percept = require "percept"
local script = require "percept.run.script"
local strict = require "percept.strict"
local sys = require "percept.sys"

local cli = {}

for name in pairs(package.preload) do
  local command = name:match "^percept%.cmd%.(.+)$"
  if command then commands.add(command, function() return require("percept.cmd." .. command) end) end
end

--- A mistake on the command line: prints it and what is known; returns 2.
function cli.usage_error(message, ...)
  io.stderr:write("percept: ", message:format(...), "\n", "try: percept --help\n")
  return 2
end

local function tail(args, from)
  local rest = {}
  for i = from, #args do rest[#rest + 1] = args[i] end
  return rest
end

local function run_code(code, args)
  local chunk = loadstring("return " .. code, "=(command line)")
  if not chunk then
    local why
    chunk, why = loadstring(code, "=(command line)")
    if not chunk then error(why, 0) end
  end
  rawset(_G, "percept", percept)
  rawset(_G, "T", percept.tensor)
  rawset(_G, "arg", args)
  strict.on(_G, "error")
  local results = { n = 0 }
  local function keep(...) results = { n = select("#", ...), ... } end
  keep(chunk(unpack(args)))
  for i = 1, results.n do print(results[i]) end
  return 0
end

local function prompt()
  return require("percept.repl").start()
end

local function run_command(name, args)
  local code = options.run(name, commands.get(name), args)
  return code == true and 0 or code == false and 1 or code or 0
end

local function is_script(name) return name == "-" or name:match "%.lua$" or files.stat(name) ~= nil end

local flags = {}
flags["--version"] = function() print("percept " .. percept.version) return 0 end
flags["-v"] = flags["--version"]
flags["--help"] = function() print(commands.usage()) return 0 end
flags["-h"] = flags["--help"]
flags["-e"] = function(args)
  if not args[2] then return cli.usage_error("-e needs code: percept -e 'print(1 + 1)'") end
  return run_code(args[2], tail(args, 3))
end
flags["-i"] = function(args)
  if not args[2] then return cli.usage_error("-i needs a file: percept -i FILE.lua") end
  script.run(args[2], tail(args, 3))
  return prompt()
end

--- What was printed did not arrive (a full disk): says so; returns 1.
function cli.lost_output()
  io.stderr:write "percept: standard output: not everything could be written\n"
  return 1
end

-- os.exit must skip neither what percept.on_exit was given nor the release of handles
local exit = os.exit
local function exit_through(code)
  local bad = not (code == nil or code == 0 or code == true)
  percept.run_exit_functions(bad and "failed" or "done", bad and "os.exit(" .. tostring(code) .. ")" or nil)
  exit(not files.flush() and not bad and cli.lost_output() or code, true)
end

-- What a variable of the environment asks for and cannot have: its mistake, else nil. An empty one asks for nothing.
local function environment_mistake()
  local function given(name)
    local value = os.getenv(name)
    return value ~= "" and value or nil
  end
  local tier, journal, threads = given "PERCEPT_TIER", given "PERCEPT_JOURNAL", given "OMP_NUM_THREADS"
  if tier then
    local ok, why = pcall(sys.tier, tier)
    if not ok then return "PERCEPT_TIER: " .. options.reason(why) end
  end
  if journal and journal ~= "wal" and journal ~= "delete" then
    return ("PERCEPT_JOURNAL: '%s' is neither wal nor delete"):format(journal)
  end
  if threads and (tonumber(threads:match "^%s*(%d+)") or 1) > 1024 then
    return ("OMP_NUM_THREADS: %s threads; 1 to 1024 are possible"):format(threads)
  end
end

--- Runs a command line; returns the exit code. Errors pass on.
function cli.main(args)
  _G.os.exit = exit_through -- luacheck: ignore
  local first, mistake = args[1], environment_mistake()
  if mistake then return cli.usage_error("%s", mistake) end
  if not first then return prompt() end
  if flags[first] then return flags[first](args) end
  if first:sub(1, 1) == "-" and first ~= "-" then return cli.usage_error("unknown option %s", first) end
  if commands.get(first) then return run_command(first, tail(args, 2)) end
  if is_script(first) then
    script.run(first, tail(args, 2))
    return 0
  end
  local near = commands.nearest(first)
  return cli.usage_error("'%s' is neither a command nor a file%s; commands: %s", first,
    near and (" (did you mean %s?)"):format(near) or "", table.concat(commands.names(), ", "))
end

return cli
