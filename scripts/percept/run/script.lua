--- script: runs the file of a script, with strict globals, in a session.
local files = require "percept.files"
local strict = require "percept.strict"

local script = {}

--- Loads a file; nil and a message when it cannot be read or compiled.
function script.load(path)
  if path == "-" then return loadfile(nil, "t") end
  local st = files.stat(path) -- what a shell gives as <(...) is a pipe, and ready
  if st and st.kind == "other" and not path:find "^/dev/fd/" and not path:find "^/proc/self/fd/" and path ~= "/dev/stdin" then
    return nil, path .. " is a pipe or a device; a script is a file, or - for what comes from standard input"
  end
  local file, why = io.open(path, "r")
  if not file then return nil, "cannot open " .. why end
  file:close()
  local chunk
  chunk, why = loadfile(path, "t")
  if not chunk and why:find "wrong mode" then why = path .. " is compiled bytecode, which nobody can check; give its source" end
  return chunk, why
end

--- Runs a script with strict globals and `arg` set, in the session if one is given. Errors pass on.
function script.run(path, args, session)
  local chunk, why = script.load(path)
  if not chunk then error(why, 0) end
  local arg = { [0] = path }
  for i, a in ipairs(args) do arg[i] = a end
  rawset(_G, "arg", arg)
  strict.on(_G, "error")
  if session then session:enter() end
  return chunk(unpack(args))
end

return script
