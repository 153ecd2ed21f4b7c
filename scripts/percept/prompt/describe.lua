--- describe: what is known of a value: signatures, help lines, examples, comments of sources.
local docs = require "percept.docs"
local examples = require "percept.examples"
local percept = require "percept"

local describe = {}

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do
    if type(k) == "string" then keys[#keys + 1] = k end
  end
  table.sort(keys)
  return keys
end

local places -- function -> {module, name}

local function place_of(fn)
  if not places then
    places = {}
    for _, name in ipairs(docs.modules()) do
      local value = package.loaded[name]
      if type(value) == "table" then
        for k, v in pairs(value) do
          if type(v) == "function" then places[v] = {name:match "[%w_]+$", k} end
        end
      end
    end
    for k, v in pairs(percept.tensor.methods) do places[v] = {"tensor", k} end
  end
  if not places[fn] then -- a module that was loaded since
    for name, value in pairs(package.loaded) do
      local short = type(value) == "table" and name:match "^percept%.([%w_]+)$"
      for k, v in pairs(short and value or {}) do
        if v == fn then return {short, k} end
      end
    end
  end
  return places[fn]
end

local function add_example(fn, lines)
  local place = place_of(fn)
  local at_prompt = place and examples.prompt_modules[place[1]]
  local code = place and (examples.of(place[1], place[2]) or at_prompt and at_prompt[place[2]] and examples.of("prompt", place[2]))
  if not code then return end
  lines[#lines + 1] = "  example:"
  for line in (code .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = "    " .. line end
end

local function describe_function(fn, lines)
  local usage, text, args = percept.usage(fn)
  if not usage then return false end
  lines[#lines + 1] = usage
  if text ~= "" then lines[#lines + 1] = "  " .. text end
  local width = 0
  for _, a in ipairs(args) do width = math.max(width, #a.name) end
  for _, a in ipairs(args) do
    local kind = a.choices and "one of " .. a.choices or a.range and a.type .. " " .. a.range or a.type
    local note = a.default and "default " .. a.default or a.optional and "optional" or ""
    local more = (note ~= "" and ", " .. note or "") .. (a.help and "; " .. a.help or "")
    lines[#lines + 1] = ("    %-" .. width .. "s  %s%s"):format(a.name, kind, more)
  end
  add_example(fn, lines)
  return true
end

local function describe_source(fn, lines)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then
    lines[#lines + 1] = "a C function"
    return
  end
  lines[#lines + 1] = ("a Lua function of %s, line %d"):format(info.short_src, info.linedefined)
  local path = info.source:match "^@(.*)$"
  local own = path and path:match "^scripts/(percept/.*)%.lua$" -- of the workbench: the program holds its source
  local text = own and percept.embedded(own)
  if not text and path then text = percept.files.read(path) end
  if not text then return end
  local comment, n = {}, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do -- the comment that ends right above the function
    n = n + 1
    if n == info.linedefined then break end
    if line:match "^%s*%-%-" then
      comment[#comment + 1] = "  " .. line:gsub("^%s*%-+%s?", "")
    else
      comment = {}
    end
  end
  for _, line in ipairs(comment) do lines[#lines + 1] = line end
end

local function describe_table(t, lines)
  for _, k in ipairs(sorted_keys(t)) do
    local v = t[k]
    local usage, text
    if type(v) == "function" then usage, text = percept.usage(v) end
    if usage then
      lines[#lines + 1] = ("  %-16s %s"):format(k, text)
    else
      lines[#lines + 1] = ("  %-16s %s"):format(k, type(v))
    end
  end
end

local function find(word, lines)
  local modules = { { "T", percept.tensor }, { "x:", percept.tensor.methods }, { "percept", percept } }
  for name in pairs(package.loaded) do
    local short = name:match "^percept%.([%w_]+)$"
    if short and short ~= "tensor" and type(package.loaded[name]) == "table" then
      modules[#modules + 1] = { "percept." .. short, package.loaded[name] }
    end
  end
  local exact, near, seen = {}, {}, {}
  for _, m in ipairs(modules) do
    for k, v in pairs(m[2]) do
      local usage, text
      if type(v) == "function" and not seen[v] then usage, text = percept.usage(v) end
      if usage then
        seen[v] = true
        if k == word then
          exact[#exact + 1] = v
        elseif k:find(word, 1, true) or text:find(word, 1, true) then
          near[#near + 1] = ("  %-24s %s"):format(m[1] .. (m[1] == "x:" and "" or ".") .. k, text)
        end
      end
    end
  end
  for _, v in ipairs(exact) do describe_function(v, lines) end
  table.sort(near)
  if #near > 0 then
    lines[#lines + 1] = (#exact > 0 and "see also:" or "nothing is called so; related:")
    for i = 1, math.min(#near, 20) do lines[#lines + 1] = near[i] end
  elseif #exact == 0 then
    lines[#lines + 1] = ("nothing is known of '%s'; help() lists the modules"):format(word)
  end
end

-- The head of a module's page, for percept.x tables.
local function describe_module(x, lines)
  for name, value in pairs(package.loaded) do
    if value == x and type(name) == "string" and name:match "^percept%.[%w_]+$" then
      local head = docs.head(name)
      if head then lines[#lines + 1] = head end
      return
    end
  end
end

--- What is known of a function, a module, a value or a word, as a string.
function describe.text(x)
  local lines = {}
  if type(x) == "function" then
    if not describe_function(x, lines) then describe_source(x, lines) end
  elseif type(x) == "string" then
    find(x, lines)
  elseif type(x) == "table" then
    describe_module(x, lines)
    describe_table(x, lines)
  else
    local meta = debug.getmetatable(x)
    local methods = type(meta) == "table" and (rawget(meta, "methods") or rawget(meta, "__index"))
    lines[#lines + 1] = type(meta) == "table" and rawget(meta, "__name") or type(x)
    if type(methods) == "table" then describe_table(methods, lines) end
  end
  return table.concat(lines, "\n")
end

return describe
