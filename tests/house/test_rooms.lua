--- The rooms of scripts/percept: no circles among the modules, no arrow that scripts/README.md doesn't allow, whether a
-- `require` stands at the top of a file or inside of a function.
local check = dofile "tests/lua/check.lua"
local test = check.test

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- A module may be looked up by a word that a user typed; where: what for.
local lookups = {
  ["prompt/docs"] = "the page of a module that a user names",
  ["cmd/help"] = "a function by its full name",
}

local public, files = {}, {} -- name -> path; path -> source
for name, path in read "scripts/modules.def":gmatch "%f[^\n%z]([%w_]+)[ \t]+([%w_/]+)" do public[name] = path end
local list = assert(io.popen "find scripts/percept -name '*.lua' | sort")
for line in list:lines() do files[line:match "^scripts/percept/(.+)%.lua$"] = read(line) end
list:close()

-- The Lua files that a module's name means: one, or all that begin so ("percept.cmd." .. name); none where it is in C.
local function paths_of(name)
  local inner, out = name:gsub("^percept%.", ""), {}
  if public[inner] then return {public[inner]} end
  local path = inner:gsub("%.", "/")
  if name:sub(-1) ~= "." then return {files[path] and path} end
  for file in pairs(files) do
    if file:sub(1, #path) == path then out[#out + 1] = file end
  end
  return out
end

local function without_comments(text) return (text:gsub("%-%-%[%[.-%]%]", ""):gsub("%-%-[^\n]*", "")) end

-- Source -> the names it requires (or finds in package.loaded, or takes from the table percept; "percept.cmd." where the
-- rest is a word), and how often it looks up a module by a word alone.
local function requires(text)
  local names, words = {}, 0
  text = without_comments(text)
  for name, follows in text:gmatch '%f[%w_.:]require%s*%(?%s*"(percept[%w_.]*)"%s*(%.?%.?)' do
    if name == "percept." and follows == ".." then
      words = words + 1
    else
      names[#names + 1] = name
    end
  end
  for name in text:gmatch 'package%.%w+%[%s*"(percept%.[%w_.]+)"' do names[#names + 1] = name end
  local code = text:gsub('"[^"\n]*"', '""'):gsub("'[^'\n]*'", "''"):gsub("%[%[.-%]%]", "")
  for argument in code:gmatch "%f[%w_.:]require%s*(%([^\n]*)" do
    if not argument:match '^%(%s*["\']' then words = words + 1 end
  end
  for name in code:gmatch "%f[%w_.]percept%.([%w_]+)" do
    if public[name] then names[#names + 1] = "percept." .. name end
  end
  return names, words
end

local function room(path) return path:match "^([%w_]+)/" or path .. ".lua" end

-- path -> {path = true}
local function graph()
  local arrows = {}
  for path, text in pairs(files) do
    arrows[path] = {}
    for _, name in ipairs((requires(text))) do
      for _, to in ipairs(paths_of(name)) do
        if to ~= path then arrows[path][to] = true end
      end
    end
  end
  return arrows
end

-- A circle as text, or nil.
local function circle(arrows)
  local state, way = {}, {}
  local function visit(path)
    state[path] = "open"
    way[#way + 1] = path
    for to in pairs(arrows[path] or {}) do
      if state[to] == "open" then
        way[#way + 1] = to
        local from = 1
        while way[from] ~= to do from = from + 1 end
        return table.concat(way, " -> ", from)
      end
      local found = not state[to] and visit(to)
      if found then return found end
    end
    way[#way] = nil
    state[path] = "done"
  end
  for path in pairs(arrows) do
    local found = not state[path] and visit(path)
    if found then return found end
  end
end

local function allowed()
  local rooms = {}
  for name, uses in read "scripts/README.md":gmatch "\n| `([%w_.]+)/?` |[^|]*|([^|]*)|" do
    rooms[name] = {[name] = true}
    for other in uses:gmatch "`([%w_]+)`" do rooms[name][other] = true end
  end
  return rooms
end

test("every file that modules.def names is there, and no two names mean one file", function()
  local seen, n = {}, 0
  for name, path in pairs(public) do
    check.ok(files[path], ("modules.def: %s: there is no %s.lua"):format(name, path))
    check.ok(not seen[path], ("modules.def: %s and %s are one file"):format(name, tostring(seen[path])))
    seen[path], n = name, n + 1
  end
  check.ok(n > 20, "modules.def was read")
end)

test("every module that is required is there", function()
  for path, text in pairs(files) do
    for _, name in ipairs((requires(text))) do
      local known = name == "percept" or #paths_of(name) > 0 or package.preload[name]
      check.ok(known, ("%s.lua requires %s, which is not there"):format(path, name))
    end
  end
end)

test("modules are looked up by words in few places", function()
  for path, text in pairs(files) do
    local _, words = requires(text)
    check.ok(words == 0 or lookups[path], path .. ".lua requires a module by a word: which one is it?")
  end
end)

test("modules are required without circles", function()
  local found = circle(graph())
  check.ok(not found, found)
end)

test("rooms use the rooms that scripts/README.md allows", function()
  local rooms = allowed()
  for path, to in pairs(graph()) do
    local mine = rooms[room(path)]
    check.ok(mine, ("scripts/README.md does not know the room of %s.lua"):format(path))
    for other in pairs(to) do
      check.ok(mine[room(other)], ("%s.lua uses %s.lua: %s may not use %s"):format(path, other, room(path), room(other)))
    end
  end
end)

test("the allowed arrows have no circle either", function()
  local rooms = allowed()
  for name, uses in pairs(rooms) do uses[name] = nil end
  local found = circle(rooms)
  check.ok(not found, found)
end)

test("circles and arrows of every form are found", function()
  local names = requires('local a = require "percept.train"\nlocal function f() return require("percept.run.grid").x end\n'
    .. 'local c = package.loaded["percept.help"]\nprint(percept.ridge.fit) -- require "percept.docs"\nx = "percept.plot"')
  check.eq(names, {"percept.train", "percept.run.grid", "percept.help", "percept.ridge"})
  local _, words = requires 'x:requires_grad()\nm = require(name)\npercept.require = 1\nx = "require(y)"\nrequire("percept." .. word)'
  check.eq(words, 2)
  check.eq(requires 'require("percept.cmd." .. name)', {"percept.cmd."})
  check.eq(circle{a = {b = true}, b = {c = true}, c = {}}, nil)
  check.ok(circle{a = {b = true}, b = {c = true}, c = {b = true}}:match "^[bc] %-> [bc] %-> [bc]$")
end)

check.done()
