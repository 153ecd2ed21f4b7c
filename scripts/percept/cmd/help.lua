--- percept help: what a command, a module or a function of the workbench is for.
local commands = require "percept.cli.commands"
local docs = require "percept.docs"
local help = require "percept.help"
local manual = require "percept.cli.manual"
local options = require "percept.cli.options"

local command = {
  help = "explains a command, or a module or function of Lua",
  usage = {"", "COMMAND", "NAME"},
  about = "Without a word: the list of commands. NAME is a module such as percept.inverter, or a word to look for in "
    .. "the help lines of all functions.",
  options = {
    {flag = "--man", text = "the manual page, as roff"},
    {flag = "--completion", value = "SHELL", text = "completions for bash or zsh"},
  },
  examples = {
    {"percept help sweep", "how sweeps are run and resumed"},
    {"percept help percept.inverter", "the functions of a module"},
    {"percept help --man | man -l -", "the manual page, without installing"},
    {"eval \"$(percept help --completion bash)\"", "completions for this shell"},
  },
  positional = {"command"},
}

local function module_help(name)
  local module = name:match "^percept%.(.+)$"
  local page = docs.page(module and name or "percept." .. name)
  if page then return page end
  if module then -- percept.inverter.search
    local owner, field = name:match "^(.+)%.([%w_]+)$"
    if package.preload[owner] then
      local value = require(owner)[field]
      if value ~= nil then return help.text(value) end
    end
  end
  return help.text(name)
end

function command.run(opts)
  if opts.man then
    io.write(manual.page())
    return 0
  elseif opts.completion then
    local text, why = manual.completion(opts.completion)
    if not text then return options.mistake("help", "%s", why) end
    io.write(text)
    return 0
  elseif not opts[1] then
    print(commands.usage())
    return 0
  end
  for i = 1, #opts do
    local name = opts[i]
    if i > 1 then print() end
    local declared = commands.get(name)
    if declared then
      print(options.help(name, declared))
    else
      local text = module_help(name)
      local near = commands.nearest(name)
      if text:find("nothing is known of", 1, true) or (near and text:find("nothing is called so", 1, true)) then
        io.stderr:write(("percept help: there is neither a command nor a function '%s'%s\n"):format(
          name, near and "; did you mean " .. near .. "?" or "; percept help lists the commands"))
        return 1
      end
      print(text)
    end
  end
  return 0
end

return command
