--- config: a study's configuration: its defaults with what was set besides.
local percept = require "percept"

local config = {}

local function is_list(t) -- keys 1..n; the empty table, too
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n == #t
end

-- A key as it stands in a name: 100 is "100", unless "100" is a key as well: then it is "[100]".
local function spelled(values, key)
  if type(key) == "string" then return key end
  local text = tostring(key)
  if type(key) == "number" then
    text = (key == math.floor(key) and math.abs(key) < 9e15 and "%.0f" or "%.17g"):format(key)
  elseif type(key) ~= "boolean" then
    error(("config: a %s is a key: keys are texts, numbers and booleans"):format(type(key)), 0)
  end
  return rawget(values, text) == nil and text or "[" .. text .. "]"
end

local deepest = 100

-- {{name =, value =, keys = {...}}, ...}: every value that is no group.
local function leaves(values, out, prefix, keys)
  if #keys > deepest then error(("config: %s... lies more than %d tables deep"):format(prefix:sub(1, 60), deepest), 0) end
  for key, value in pairs(values) do
    local name, path = prefix .. spelled(values, key), {unpack(keys)}
    path[#path + 1] = key
    if type(value) == "table" and not is_list(value) then
      leaves(value, out, name .. ".", path)
    else
      out[#out + 1] = {name = name, value = value, keys = path}
    end
  end
  return out
end

--- {a = {b = 1}} as {["a.b"] = 1}, and the keys that lead to each: {["a.b"] = {"a", "b"}}. Lists, empty tables among them, are values.
function config.flatten(values)
  local flat, keys = {}, {}
  for _, leaf in ipairs(leaves(values, {}, "", {})) do
    if keys[leaf.name] then error(("config: two keys are called %s"):format(leaf.name), 0) end
    flat[leaf.name], keys[leaf.name] = leaf.value, leaf.keys
  end
  return flat, keys
end

local function assign(values, keys, value)
  local at = values
  for i = 1, #keys - 1 do at = at[keys[i]] end
  at[keys[#keys]] = value
end

local function copy(value, depth)
  if type(value) ~= "table" then return value end
  local out = {}
  depth = depth or 0
  if depth > deepest then error(("config: a table contains itself, or lies more than %d tables deep"):format(deepest), 0) end
  for k, v in pairs(value) do out[k] = copy(v, depth + 1) end
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
  local digits = type(value) == "string" and value:match "^%s*%+?(%-?%d+)%s*$"
  if digits and math.abs(n) >= 2 ^ 53 and ("%.0f"):format(n) ~= (digits:gsub("^(%-?)0+", "%1")) then
    error(("--set %s=%s: numbers are exact up to 2^53 (9007199254740992); this one would become %.0f"):format(key, value, n), 0)
  end
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
      if not tonumber(item) then mismatch(key, "a list of numbers, as in 1,2,3,", default, value) end
      list[i] = to_number(key, item, default[1])
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
  local known, keys = config.flatten(defaults)
  for key, value in pairs(overrides or {}) do
    if known[key] == nil then unknown(key, known) end
    assign(values, keys[key], typed(key, value, known[key]))
  end
  return values
end

return config
