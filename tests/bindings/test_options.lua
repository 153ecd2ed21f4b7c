-- Every option of every declared function gets zero, a negative number, NaN, infinities, 2^53, an empty string and a
-- wrong type, by name: what its declaration does not allow is refused, and the refusal names the option.
local check = dofile "tests/lua/check.lua"
local percept = require "percept"
local T = require "percept.tensor"

local values = {0, -1, 0 / 0, 1 / 0, -1 / 0, 2 ^ 53, "", false}
local numeric = {num = true, int = true}
local tried, refused = 0, 0

-- Does the declaration refuse a number? (Otherwise the function decides.)
local function outside(a, x)
  if a.range == "any" then return a.type == "int" and (x ~= x or math.abs(x) == 1 / 0) end
  local low = a.range and tonumber(a.range:match "^(.-)<?%.%.")
  return x ~= x or x == -1 / 0 or x == 1 / 0 and not (a.range and a.range:match "inf$") or low and x < low
end

local function wrong(a, v)
  if numeric[a.type] then return type(v) ~= "number" or outside(a, v) end
  return a.type == "str" and type(v) ~= "string" or a.type == "bool" and type(v) ~= "boolean"
end

local function try(name, fn)
  local _, _, args = percept.usage(fn)
  if not args or not args[1] or args[1].optional then return end -- the call might be a whole one
  for _, a in ipairs(args) do
    for _, v in ipairs((numeric[a.type] or a.type == "str" or a.type == "bool") and values or {}) do
      local list = {[#args + 1] = {[a.name] = v}}
      local ok, why = pcall(fn, unpack(list, 1, #args + 1))
      tried = tried + 1
      if wrong(a, v) then
        refused = refused + 1
        check.ok(not ok and tostring(why):find(a.name, 1, true),
          ("%s: %s = %s: %s"):format(name, a.name, tostring(v), tostring(why)))
      end
    end
  end
end

for _, short in ipairs {"tensor", "nn", "optim", "metrics", "images", "formats", "interaction", "replay", "inverter",
  "decoders", "encoders", "datasets", "plot", "pictures"} do
  check.test("percept." .. short, function()
    for name, fn in pairs(require("percept." .. short)) do
      if type(fn) == "function" and name ~= "set_num_threads" then try(short .. "." .. name, fn) end
    end
  end)
end

check.test("methods of tensors", function()
  for name, fn in pairs(T.methods) do try("x:" .. name, fn) end
end)

check.test("there was something to refuse", function()
  print(("%d values tried, %d refused by name"):format(tried, refused))
  check.ok(tried > 1000 and refused > 500, tried .. ", " .. refused)
end)

check.done()
