--- config: a study's configuration: its defaults with what was set besides.
local percept = require "percept"

local config = {}

--- {a = {b = 1}} as {["a.b"] = 1}. Lists, empty tables among them, are values.
function config.flatten(values, prefix, out)
  prefix, out = prefix or "", out or {}
  for key, value in pairs(values) do
    local name = prefix .. key
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      config.flatten(value, name .. ".", out)
    else
      out[name] = value
    end
  end
  return out
end

local function assign(values, path, value)
  local at = values
  for part in path:gmatch("([^.]+)%.") do at = at[part] end
  at[path:match("[^.]+$")] = value
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

-- ---- types ----

local function show(value)
  if type(value) == "string" then return ("string %q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local items = {}
  for i, v in ipairs(value) do items[i] = tostring(v) end
  return "{" .. table.concat(items, ",") .. "}"
end

local function mismatch(key, expected, default, got)
  error(("--set %s=%s: %s is expected (default %s), got %s"):format(key, tostring(got), expected, show(default), show(got)), 0)
end

local function to_number(key, value, default)
  local n = tonumber(value)
  if not n then mismatch(key, "a number", default, value) end
  return n
end

local function to_boolean(key, value, default)
  if type(value) == "boolean" then return value end
  if value ~= "true" and value ~= "false" then mismatch(key, "true or false", default, value) end
  return value == "true"
end

local function to_list(key, value, default)
  local items = value
  if type(value) == "string" then
    items = {}
    local body = value:match "^%s*[%[{](.*)[%]}]%s*$" or value
    for item in body:gmatch "[^,]+" do items[#items + 1] = item:match "^%s*(.-)%s*$" end
  elseif type(value) ~= "table" then
    items = {value}
  end
  local list, kind = {}, type(default[1])
  for i, item in ipairs(items) do
    if kind == "number" then
      list[i] = tonumber(item)
      if not list[i] then mismatch(key, "a list of numbers, as in 1,2,3,", default, value) end
    elseif kind == "boolean" then
      list[i] = to_boolean(key, item, default)
    else
      list[i] = item
    end
  end
  return list
end

-- A value for `key`, of the type of its default: text from the command line, or a value from a recorded configuration.
local function typed(key, value, default)
  if type(default) == "number" then return to_number(key, value, default) end
  if type(default) == "boolean" then return to_boolean(key, value, default) end
  if type(default) == "table" then return to_list(key, value, default) end
  if type(value) == "table" or type(value) == "boolean" then mismatch(key, "a string", default, value) end
  return tostring(value)
end

local function unknown(key, known)
  local names, within, last = {}, {}, {}
  for name in pairs(known) do
    names[#names + 1] = name
    if name:sub(1, #key + 1) == key .. "." then within[#within + 1] = name end
    if name:match "[^.]+$" == key then last[#last + 1] = name end
  end
  table.sort(names)
  table.sort(within)
  table.sort(last)
  if #within > 0 then
    error(("--set %s: this is a group; its keys are %s"):format(key, table.concat(within, ", ")), 0)
  end
  local near = last[1] or percept.nearest(key, names)
  error(("--set %s: unknown key%s; known are %s"):format(key, near and (", did you mean '%s'?"):format(near) or "",
    table.concat(names, ", ")), 0)
end

--- defaults with overrides (dotted keys -> text or values). A key that the defaults lack is an error
-- that names the nearest and lists the known ones; so is a value of another type.
function config.configure(defaults, overrides)
  local values = copy(defaults)
  local known = config.flatten(defaults)
  for key, value in pairs(overrides or {}) do
    if known[key] == nil then unknown(key, known) end
    assign(values, key, typed(key, value, known[key]))
  end
  return values
end

return config
