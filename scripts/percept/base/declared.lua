--- declared: tables of options, each option declared once: name, kind with its range, default, help.
--
--   local options = declared.new("train.loop", {
--     {"steps", "int(0..)", help = "how many", required = true},
--     {"log_every", "int(1..)", 20, "steps between rows"},
--     {"watch", {{"metric", "str", "loss"}, {"patience", "int(1..)"}}}, -- a table within
--   })
--   options:check(given)             -- an unknown name, a wrong kind, a value out of range: an error that says what is allowed
--   local o = options:complete(given) -- the defaults under what is given; what has neither is nil
--
-- Kinds are those of signatures (grad/signature.h: int(1..), num(0..<1), bool, str(a|b), str(any), table, function, any), which the
-- engine checks; besides them callable (a function or an object that is called), list(KIND), and "KIND|false".
-- A value that is given is obeyed or refused: what has no default and is left out is nil, not 0.
local percept = require "percept"

local declared = {}
local Options = {}
Options.__index = Options

local checks = {} -- kind -> a function whose one argument is declared so

local function refuse(what, name, text) error(("%s: %s: %s"):format(what, name, text), 0) end

local function shown(v)
  if type(v) == "string" then return ("string %q"):format(v) end
  return type(v) == "number" and ("%.17g"):format(v) or type(v) == "boolean" and tostring(v) or "a " .. type(v)
end

local function callable(v)
  local mt = debug.getmetatable(v)
  return type(v) == "function" or type(mt) == "table" and mt.__call ~= nil
end

--- One value against a kind; `what` and `name` are named in the error.
function declared.value(what, name, kind, value)
  local inner = kind:match "^list%((.*)%)$"
  if inner then
    if type(value) ~= "table" then refuse(what, name, "expected a list, got " .. shown(value)) end
    for i, v in ipairs(value) do declared.value(what, ("%s[%d]"):format(name, i), inner, v) end
    return
  elseif kind:match "|false$" then
    if value ~= false then declared.value(what, name, kind:match "^(.*)|false$", value) end
    return
  elseif kind == "callable" then
    if not callable(value) then refuse(what, name, "expected a function, got " .. shown(value)) end
    return
  end
  if kind == "any" then return end
  checks[kind] = checks[kind] or percept.declare("option", "value:" .. kind, function() end)
  local ok, why
  if kind == "table" then ok, why = pcall(checks[kind], value) else ok, why = pcall(checks[kind], {value = value}) end
  if ok then return end
  local words = {}
  for word in (kind:match "^str%((.*|.*)%)$" or ""):gmatch "[^|]+" do words[#words + 1] = word end
  local near = type(value) == "string" and percept.nearest(value, words)
  refuse(what, name, (tostring(why):match "(expected .*)$" or tostring(why)) .. (near and ("; did you mean '%s'?"):format(near) or ""))
end

--- The kind of an argument of a declared function: "int(0..)".
function declared.like(fn, name)
  local _, _, args = percept.usage(fn)
  for _, a in ipairs(args) do
    if a.name == name then return a.type .. (a.choices and "(" .. a.choices .. ")" or a.range and "(" .. a.range .. ")" or "") end
  end
  error(("declared.like: no argument '%s'"):format(name), 0)
end

--- The arguments of a declared function of these names, as they stand in a signature.
function declared.signature(fn, names)
  local _, _, args = percept.usage(fn)
  local parts = {}
  for i, name in ipairs(names) do
    for _, a in ipairs(args) do
      if a.name == name then
        parts[i] = ("%s:%s%s"):format(name, declared.like(fn, name), a.default and "=" .. a.default or a.optional and "?" or "")
      end
    end
  end
  return table.concat(parts, ", ")
end

--- rows: {name, kind, default, help, required = true} or {name, {rows}}; what: in whose name errors are raised.
function declared.new(what, rows)
  local self = setmetatable({what = what, rows = rows, of = {}, names = {}}, Options)
  for i, row in ipairs(rows) do
    self.names[i] = row[1]
    self.of[row[1]] = {
      name = row[1], kind = type(row[2]) == "string" and row[2] or nil, default = row[3], help = row[4], required = row.required,
      group = type(row[2]) == "table" and declared.new(what, row[2]) or nil,
    }
  end
  return self
end

local function unknown(self, prefix, key)
  local near = type(key) == "string" and percept.nearest(key, self.names)
  local names = {unpack(self.names)}
  table.sort(names)
  error(("%s: unknown option '%s'%s; known are %s"):format(self.what, prefix .. tostring(key),
    near and (", did you mean '%s'?"):format(near) or "", table.concat(names, ", ")), 0)
end

--- Refuses what does not fit. more: names besides those declared are somebody else's, and are left alone.
function Options:check(given, more, prefix)
  prefix = prefix or ""
  if type(given) ~= "table" then
    local where = prefix ~= "" and prefix:sub(1, -2) .. ": " or ""
    error(("%s: %sa table of options is expected, got %s"):format(self.what, where, shown(given)), 0)
  end
  for key in pairs(given) do
    if not self.of[key] and not more then unknown(self, prefix, key) end
  end
  for _, name in ipairs(self.names) do
    local o, value = self.of[name], given[name]
    if value == nil then
      if o.required then error(("%s: option '%s' is missing"):format(self.what, prefix .. name), 0) end
    elseif o.group then
      o.group:check(value, more, prefix .. name .. ".")
    else
      declared.value(self.what, prefix .. name, o.kind, value)
    end
  end
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

--- The defaults, as a table of the caller's own.
function Options:defaults()
  local out = {}
  for name, o in pairs(self.of) do
    if o.group then out[name] = o.group:defaults() else out[name] = copy(o.default) end
  end
  return out
end

--- What is given, checked, over the defaults; groups that are left out stay so.
function Options:complete(given)
  self:check(given or {})
  local out = {}
  for name, o in pairs(self.of) do
    local value = given and given[name]
    if o.group then
      out[name] = value and o.group:complete(value)
    elseif value == nil then
      out[name] = copy(o.default)
    else
      out[name] = value
    end
  end
  return out
end

-- ---- declarations of configurations ----

local of_table = setmetatable({}, {__mode = "k"}) -- a table of defaults -> its Options

--- Says that a table of defaults is declared: configurations made of it are checked before anything runs.
function declared.attach(defaults, options)
  of_table[defaults] = options
  return defaults
end

--- Checks a configuration that was made of `defaults`, if they are declared; keys of the study's own are left alone.
function declared.check(defaults, values)
  if of_table[defaults] then of_table[defaults]:check(values, true) end
end

return declared
