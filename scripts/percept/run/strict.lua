--- strict: mistyped globals are found where they happen.
-- strict.on(_G, "error"): reading or writing a global that nobody declared is an error.
-- strict.on(_G, "warn"):  at the prompt: assignments at the prompt declare; the rest warns on stderr.
local strict = {}

local suggestions = {
  T = 'local T = require "percept.tensor"',
  percept = 'local percept = require "percept"',
  torch = 'tensors are in require "percept.tensor"',
  np = 'tensors are in require "percept.tensor"',
}

local function caller_is_lua()
  -- 1: this function, 2: the metamethod, 3: who reads or writes
  local info = debug.getinfo(3, "S")
  return info and info.what ~= "C", info
end

local function read_message(name)
  local remedy = suggestions[name]
    or ("is it misspelt, or a missing 'local'? rawget(_G, '%s') tests for it"):format(tostring(name))
  return ("global '%s' is not defined: %s"):format(tostring(name), remedy)
end

local function write_message(name)
  return ("assignment to the undeclared global '%s': write local %s = ..., or rawset(_G, '%s', value) if you mean it")
    :format(tostring(name), tostring(name), tostring(name))
end

local function warn(message)
  io.stderr:write("warning: ", message, "\n")
end

--- Switches checks on for a table of globals. `extra(name)` may supply values (the prompt's _1, _2).
function strict.on(globals, how, extra)
  local meta = getmetatable(globals) or {}
  function meta.__index(_, name)
    if extra then
      local found, value = extra(name)
      if found then return value end
    end
    if not caller_is_lua() then return nil end
    if how == "error" then error(read_message(name), 2) end
    warn(read_message(name))
    return nil
  end
  function meta.__newindex(t, name, value)
    local lua, info = caller_is_lua()
    if lua and how == "error" then error(write_message(name), 2) end
    if lua and how == "warn" and info.what ~= "main" then warn(write_message(name)) end
    rawset(t, name, value)
  end
  setmetatable(globals, meta)
end

return strict
