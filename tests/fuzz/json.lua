-- JSON: a text that is read and written again reads the same; a value made from the bytes is written as JSON that reads,
-- or is refused.
local recorder = require "percept.recorder"

local function same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) ~= "table" then return a == b or (a ~= a and b ~= b) end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

-- A value from bytes: each byte chooses.
local function build(s, at, depth)
  local b = s:byte(at) or 0
  at = at + 1
  local kind = b % 8
  if kind == 0 or depth > 30 then return b / 7, at end
  if kind == 1 then return b > 127, at end
  if kind == 2 then
    local n = math.floor(b / 8)
    return s:sub(at, at + n - 1), at + n
  end
  if kind == 3 then return (b - 128) * 2 ^ ((s:byte(at) or 0) % 80), at + 1 end
  local t, n = {}, math.floor(b / 8) % 6
  for i = 1, n do
    local key, value
    if kind <= 5 then key = i else key, at = build(s, at, depth + 1) end
    value, at = build(s, at, depth + 1)
    if key ~= nil and key == key then t[key] = value end
  end
  return t, at
end

return function(bytes)
  local ok, value = pcall(recorder.parse_json, bytes)
  if ok and type(value) == "table" then
    local again
    ok, again = pcall(recorder.json, value)
    if ok and not same(recorder.parse_json(again), value) then error("fuzz: JSON changed: " .. again, 0) end
  end
  local made = build(bytes, 1, 0)
  local text
  ok, text = pcall(recorder.json, made)
  if ok then recorder.parse_json(type(made) == "table" and text or "[" .. text .. "]") end
end
