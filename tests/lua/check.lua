--- check: a tiny harness for the Lua suites.
-- local check = dofile "tests/lua/check.lua"
-- check.test("name", function() check.eq(1 + 1, 2) end)
-- check.done()            -- prints "N passed, M failed"; exit code 1 on failure
local check = { passed = 0, failed = 0 }

local function show(v)
  if type(v) == "string" then return ("%q"):format(v) end
  if type(v) == "table" then
    local parts = {}
    for i = 1, #v do parts[i] = show(v[i]) end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return tostring(v)
end

local function same(a, b)
  if type(a) == "table" and type(b) == "table" then
    if #a ~= #b then return false end
    for k, v in pairs(a) do
      if not same(v, b[k]) then return false end
    end
    for k in pairs(b) do
      if a[k] == nil then return false end
    end
    return true
  end
  return a == b or (a ~= a and b ~= b)
end

--- One test: an error inside is its failure.
function check.test(name, fn)
  local ok, why = xpcall(fn, function(m)
    return type(m) == "string" and debug.traceback(m, 2) or tostring(m)
  end)
  if ok then
    check.passed = check.passed + 1
  else
    check.failed = check.failed + 1
    io.stdout:write("FAIL ", name, ": ", tostring(why), "\n")
  end
end

function check.eq(got, want, what)
  if not same(got, want) then error(("%sgot %s, want %s"):format(what and what .. ": " or "", show(got), show(want)), 2) end
end

function check.ok(value, what)
  if not value then error(what or "expected a true value", 2) end
end

--- Numbers, or nested tables of them, within tol (absolute plus relative).
function check.near(got, want, tol, what)
  tol = tol or 1e-6
  local function walk(a, b, path)
    if type(b) == "table" then
      if type(a) ~= "table" or #a ~= #b then
        error(("%s%s: got %s, want %s"):format(what and what .. ": " or "", path, show(a), show(b)), 4)
      end
      for i = 1, #b do walk(a[i], b[i], path .. "[" .. i .. "]") end
    elseif type(a) ~= "number" or not (math.abs(a - b) <= tol * (1 + math.abs(b)) or (a ~= a and b ~= b) or a == b) then
      error(("%svalue%s: got %s, want %s"):format(what and what .. ": " or "", path, show(a), show(b)), 4)
    end
  end
  walk(got, want, "")
end

--- fn must fail; the message (without its position) must equal `message`,
-- or contain it when it starts with "~".
function check.error(message, fn, ...)
  local ok, why = pcall(fn, ...)
  if ok then error("no error; wanted: " .. message, 2) end
  why = tostring(why):gsub("^[^%s:]+:%d+: ", "")
  if message:sub(1, 1) == "~" then
    if not why:find(message:sub(2), 1, true) then
      error(("error %s\n  does not contain %s"):format(why, message:sub(2)), 2)
    end
  elseif why ~= message then
    error(("error %s\n  is not %s"):format(why, message), 2)
  end
end

function check.done()
  print(("%d passed, %d failed"):format(check.passed, check.failed))
  os.exit(check.failed == 0 and 0 or 1)
end

return check
