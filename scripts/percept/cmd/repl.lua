--- percept repl: the prompt.
local repl = require "percept.repl"
local script = require "percept.run.script"

local command = {
  help = "starts the prompt; percept alone does, too",
  usage = {"[ARGS]"},
  options = {{flag = "--script", short = "-i", value = "FILE", kind = "script", text = "runs this script first; ARGS are its own"}},
  examples = {{"percept repl -i mine.lua", "the prompt, with what the script left behind"}},
}

function command.run(opts)
  if opts.script then script.run(opts.script, {unpack(opts)}) end
  return repl.start()
end

return command
