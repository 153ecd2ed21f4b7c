--- commands: the commands of the program, by name. main.lua adds them; nobody here knows one.
local percept = require "percept"

local commands = {}

local loaders = {} -- name -> function() -> declaration

--- Adds a command: load() returns its declaration.
function commands.add(name, load) loaders[name] = load end

--- Names of the commands, sorted.
function commands.names()
  local names = {}
  for name in pairs(loaders) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- The declaration of a command; nil when there is none of this name.
function commands.get(name) return loaders[name] and loaders[name]() end

--- The name that is most like a word; nil when none is near.
function commands.nearest(word) return percept.nearest(word, commands.names()) end

--- The text of percept --help.
function commands.usage()
  local lines = {
    "percept " .. percept.version .. ": generative perception, measured",
    "",
    "usage: percept                       the prompt",
    "       percept FILE.lua [ARGS]       run a script (- is standard input)",
    "       percept -e CODE [ARGS]        run code",
    "       percept -i FILE.lua [ARGS]    run a script, then the prompt",
    "       percept COMMAND [ARGS]        one of the commands below",
    "       percept --version | --help",
    "",
    "commands:",
  }
  for _, name in ipairs(commands.names()) do lines[#lines + 1] = ("  %-10s %s"):format(name, commands.get(name).help) end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "percept help COMMAND tells more; percept help NAME explains a module or function of Lua"
  lines[#lines + 1] = "exit codes: 0 ok, 1 error, 2 usage, 130 interrupted, 143 terminated"
  return table.concat(lines, "\n")
end

return commands
