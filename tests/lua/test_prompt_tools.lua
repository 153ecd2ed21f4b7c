--- What the prompt offers: pictures and charts as text, rows of queries, inspect, load, time and prof; help's
-- examples run; every module has a page.
local percept = require "percept"
local T = require "percept.tensor"
local terminal, chart, rows = require "percept.terminal", require "percept.chart", require "percept.rows"
local inspect, revive, profile = require "percept.inspect", require "percept.revive", require "percept.profile"
local help, docs, examples, repl = require "percept.help", require "percept.docs", require "percept.examples", require "percept.repl"
local sys, nn = percept.sys, percept.nn
local check = dofile "tests/lua/check.lua"
local test = check.test

local folder = os.tmpname()
os.remove(folder)
sys.mkdir(folder)
local db = folder .. "/runs.db"
local program = os.getenv "PERCEPT" or "build/percept"

-- What fn prints.
local function printed(fn, ...)
  local lines, real = {}, print
  rawset(_G, "print", function(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    lines[#lines + 1] = table.concat(parts, "\t")
  end)
  local ok, why = pcall(fn, ...)
  rawset(_G, "print", real)
  if not ok then error(why, 0) end
  return table.concat(lines, "\n")
end

-- ---- pictures ----

local two = T.tensor({{{255, 0, 0}, {0, 255, 0}}, {{0, 0, 255}, {255, 255, 255}}}, {dtype = "u8"})

test("half blocks: two pixels a character, in 24 bits or 256 colours", function()
  check.eq(terminal.blocks(two, true), "\27[38;2;255;0;0;48;2;0;0;255m▀\27[38;2;0;255;0;48;2;255;255;255m▀\27[0m")
  check.eq(terminal.blocks(two, false), "\27[38;5;196;48;5;21m▀\27[38;5;46;48;5;231m▀\27[0m")
  check.eq(terminal.blocks(two:narrow(1, 1, 1), true), "\27[38;2;255;0;0m▀\27[38;2;0;255;0m▀\27[0m", "an odd last line")
end)

test("sixel: bands of six lines, colours by number, runs", function()
  local text = terminal.sixel(T.full({7, 5, 3}, 255, {dtype = "u8"}))
  check.ok(text:find('^\27Pq"1;1;5;7#0;2;0;0;0'), "the head")
  check.ok(text:find("#215;2;100;100;100", 1, true), "the palette ends in white")
  check.ok(text:find("#215!5~$-#215!5@$-\27\\", 1, true), "a whole band, then one line")
end)

test("kitty: the bytes of the PNG in pieces of 4096 letters", function()
  check.eq(terminal.base64 "Man", "TWFu")
  check.eq(terminal.base64 "Ma", "TWE=")
  check.eq(terminal.base64 "M\0", "TQA=")
  check.eq(terminal.base64 "", "")
  check.eq(terminal.kitty "Man", "\27_Gf=100,a=T,m=0;TWFu\27\\")
  local long = terminal.kitty(("x"):rep(4000))
  check.eq(select(2, long:gsub("\27_G", "")), 2)
  check.ok(long:find("^\27_Gf=100,a=T,m=1;") and long:find("\27_Gm=0;", 1, true))
end)

test("show without a terminal writes a PNG and says where", function()
  local path = folder .. "/shown.png"
  check.eq(printed(terminal.show, T.rand(3, 8, 8, 3), {columns = 3, file = path}), path .. " (388 x 130)")
  check.eq(percept.images.read(path):size(), {130, 388, 3})
  local image, attention = T.rand(2, 8, 8, 3), T.full({2, 16, 3}, 1 / 3)
  check.eq(printed(terminal.show, image, attention, {file = path}):match "%((%d+) x", "522", "image and three slots")
end)

test("what cannot be shown is told", function()
  check.error("~show: an image (H,W) or (H,W,C), images (N,H,W,C)", terminal.show, 3)
  check.error("~got a tensor of shape (2,2,2,5); C is 1 or 3", terminal.show, T.rand(2, 2, 2, 5))
end)

-- ---- charts ----

test("a rising line fills the diagonal", function()
  -- 20 x 8 dots; the points are at (0,0) (6,2) (13,5) (19,7), counted from the lower left
  check.eq(chart.text({0, 1, 2, 3}, {width = 13, height = 2}), table.concat({
    "3 ┤     ⣀⠤⠔⠒⠉", "0 ┤⣀⠤⠔⠒⠉", "  └──────────", "   1        4"}, "\n"))
end)

test("charts take lists, tensors, names, x and y, rows; gaps, logarithms, what is odd", function()
  local from = chart.text({1, 2, 4}, {width = 30, height = 4})
  check.eq(chart.text(T.tensor{1, 2, 4}, {width = 30, height = 4}), from)
  check.eq(chart.text({x = {1, 2, 3}, y = {1, 2, 4}}, {width = 30, height = 4}), from)
  check.eq(chart.text({{step = 1, value = 1}, {step = 2, value = 2}, {step = 3, value = 4}}, {width = 30, height = 4}), from)
  local named = chart.text({b = {1, 2}, a = {2, 1}}, {width = 30, height = 4})
  check.ok(named:find("── a\n── b", 1, true))
  local rowed = chart.text({{step = 1, value = 1, uid = "u"}, {step = 1, value = 2, uid = "v"}}, {width = 30, height = 4})
  check.ok(rowed:find("── u\n── v", 1, true))
  check.ok(chart.text{1, 0 / 0, 2, math.huge})
  check.ok(chart.text{5, 5, 5})
  check.ok(chart.text({0, 0.001, 1000}, {log = "y"}))
  check.error("plot: no value is a number", chart.text, {0 / 0})
  check.error("plot: no value is above zero", chart.text, {-1}, {log = "y"})
  check.error("~plot: a list of numbers, a tensor, {name = list, ...}", chart.text, {})
  check.error("~plot: rows need a column y, value or mean", chart.text, {{a = 1}})
end)

-- ---- rows, inspect ----

test("rows of a query are Lua tables and print as a table", function()
  local run = percept.run{db = db, experiment = "tables", config = {width = 8}}
  run:finish()
  rows.db.file = db
  local list = rows.db "select experiment, 1.5 as x, null as empty, 'a' || char(10) || 'b' as text from run"
  check.eq({list[1].experiment, list[1].x, list[1].empty}, {"tables", 1.5, nil})
  check.eq(tostring(list), "experiment    x  empty  text\n──────────  ───  ─────  ────\ntables      1.5         a b")
  check.ok(tostring(rows.db "select 1 as a where 0"):find "%(no rows%)")
  check.error("~no such column", rows.db, "select nope from run")
end)

test("inspect: the tree of a module, its sizes and totals; a tensor's figures", function()
  local m = nn.module{gain = T.ones(3), body = nn.mlp{2, 4, 1}, forward = function(self, x) return self.body(x) end}
  local text = inspect.text(m)
  check.ok(text:find("gain +%(3%) +3 +12 B"), text)
  check.ok(text:find("└ body: mlp +17"), text)
  check.ok(text:find("weight +%(4,2%) +8 +32 B"), text)
  check.ok(text:find("20 trained numbers in 5 tensors, 80 B", 1, true), text)
  m:freeze()
  check.ok(inspect.text(m):find("20 of them frozen", 1, true))
  check.ok(inspect.text(T.tensor{1, 2, 3}):find("min 1  max 3  mean 2  sd 1", 1, true))
  check.ok(inspect.text(T.tensor{1, 0 / 0}):find "1 NaN")
  check.eq(inspect.count_text(1234567), "1,234,567")
  check.eq(inspect.count_text(123), "123")
end)

-- ---- load ----

local script = folder .. "/own.lua"
local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local own = [[
local percept = require "percept"
local T, nn = percept.tensor, percept.nn
assert(arg[0]:match "own.lua$")
local function build(cfg)
  local scale = cfg.scale
  return {net = nn.module{gain = T.ones(cfg.model.width), body = nn.linear(2, cfg.model.width),
    forward = function(self, x) return self.body(x) * self.gain * scale end}}
end
percept.experiment{
  name = "own", defaults = {scale = 1, list = {}, model = {width = 3}}, MODULES
  run = function(cfg, run)
    local m = build(cfg)
    local best = 0
    percept.train.loop{name = "fit", steps = 4, quiet = true, modules = m, optimizer = percept.optim.sgd(m.net, {lr = 0.1}), run = run,
      eval_every = 2, eval = function(t) best = t; return {loss = t == 2 and 1 or 2} end,
      step = function() return m.net(T.ones(1, 2)):pow(2):sum() end}
    run:result{method = "m", split = "s", metric = "out", value = m.net(T.ones(1, 2)):sum():item()}
  end,
}]]

local function run_script(text)
  write(script, text)
  local ok = os.execute(("%s run %s --db %s --set model.width=5 --set scale=2 >%s/out 2>&1"):format(program, script, db, folder))
  check.ok(ok == 0 or ok == true, "the study runs")
  return percept.recorder.query(db, "select uid from run where experiment = 'own' order by id desc limit 1")[1].uid
end

test("load builds a user's modules from the recorded script and fills them from the checkpoint", function()
  local uid = run_script((own:gsub("MODULES", "modules = build,")))
  write(script, "error 'the file has changed since'")
  local m = revive.load(uid, nil, {db = db})
  check.eq({m.config.model.width, m.config.scale, m.info.steps.net}, {5, 2, 4})
  local out = percept.recorder.query(db, "select value from result x join run r on r.id = x.run_id where uid = :uid", {uid = uid})
  check.near(m.net(T.ones(1, 2)):sum():item(), out[1].value, 1e-6)
  check.ok(tostring(m):find "own +seed 1 +done" and tostring(m):find "net +module +20 numbers, step 4", tostring(m))
  local best = revive.load(uid, nil, {db = db, which = "best"})
  check.eq(best.info.steps.net, 2)
  check.ok(math.abs(best.net(T.ones(1, 2)):sum():item() - out[1].value) > 1e-6)
  check.eq(revive.load(nil, nil, {db = db}).info.uid, uid, "the newest")
end)

test("where a script does not say how, load says what to do; given modules are filled", function()
  local uid = run_script((own:gsub("MODULES", "")))
  check.error("~does not say how its modules are built: give percept.experiment a `modules", revive.load, uid, nil, {db = db})
  local net = nn.module{gain = T.ones(5), body = nn.linear(2, 5), forward = function(self, x) return self.body(x) * self.gain end}
  local m = revive.load(uid, {net = net}, {db = db})
  check.eq(m.info.steps.net, 4)
  check.error("~the checkpoints of " .. uid .. " hold net; the modules are called other", revive.load, uid, {other = net}, {db = db})
  check.error("~load_state: no tensor 'body.1.weight'", function()
    revive.load(uid, {net = nn.module{body = nn.sequential{nn.linear(1, 1)}, forward = function() end}}, {db = db})
  end)
  write(script, 'require("percept").run{experiment = "bare"} error "goes on"')
  local run = percept.recorder.start{db = db, experiment = "bare", script = script}
  run:finish()
  check.error("~does not say how its modules are built", function() revive.load(run:uid(), nil, {db = db}) end)
  local bare = percept.recorder.start{db = db, experiment = "bare"}
  bare:finish()
  check.error("~has no script; say what the weights go into", function() revive.load(bare:uid(), nil, {db = db}) end)
  check.error("~has no checkpoint whose file is there", function() revive.load(run:uid(), {net = net}, {db = db}) end)
end)

test("an interrupted prompt's load is Lua's load for everything else", function()
  local tools = repl.tools()
  check.eq(tools.load("return 7")(), 7)
  check.eq(select(2, tools.load("x = = 1")) ~= nil, true)
end)

-- ---- time and prof ----

test("time says how long a call takes, prof what it is made of", function()
  local r = profile.time(function() sys.memory() end, {seconds = 0.01, quiet = true})
  check.ok(r.mean > 0 and r.min <= r.mean and r.calls >= 3)
  local x = T.randn(64, 64, {requires_grad = true})
  local result, value = profile.run(function() x:matmul(x):sum():backward() return "v" end)
  check.eq(value, "v")
  local found = {}
  for i, row in ipairs(result.rows) do
    found[row.op .. (row.backward and "'" or "")] = row
    check.ok(i == 1 or row.seconds <= result.rows[i - 1].seconds, "by falling time")
  end
  check.eq(found.matmul.calls, 1)
  check.eq(found.matmul.bytes, 3 * 64 * 64 * 4)
  check.ok(found["matmul'"] and found["sum'"])
  local sum = 0
  for _, row in ipairs(result.rows) do sum = sum + row.seconds end
  check.ok(sum <= result.seconds, "ops take no longer than the whole")
  check.error("~boom", profile.run, function() error "boom" end)
  local after = profile.run(function() return 1 end)
  check.eq(#after.rows, 0, "counting stopped with the error")
end)

rawset(_G, "_x", 0)
rawset(_G, "_f", 0)

test("entries print their last expression; %time and %prof run theirs", function()
  check.eq(repl.compile "_x = 2; _x + 1"(), 3)
  check.eq(repl.compile "for i = 1, 2 do local y = i; y = y + 1 end"(), nil)
  check.eq(select("#", repl.compile '_x = "a; b"'()), 0)
  check.eq({repl.compile "_f = function()"}, {nil, select(2, repl.compile "_f = function()"), true})
  check.ok(printed(repl.compile "%time 1 + 1"):find "ms of processor time")
  check.ok(printed(repl.compile "%prof require('percept').tensor.ones(2):exp()"):find "exp")
  check.eq({repl.compile "%what 1"}, {nil, "%time CODE and %prof CODE are known"})
end)

-- ---- help and pages ----

local scratch = folder .. "/examples"
sys.mkdir(scratch)
os.execute(("ln -s '%s/experiments' '%s/experiments'"):format(os.getenv "PWD", scratch))

test("every example of help runs", function()
  local path = folder .. "/examples.lua"
  local file = assert(io.open(path, "w"))
  file:write [[
    local percept = require "percept"
    local examples, repl = require "percept.examples", require "percept.repl"
    for name, value in pairs(repl.tools()) do rawset(_G, name, value) end
    rawset(_G, "percept", percept)
    rawset(_G, "T", percept.tensor)
    local n = 0
    local function go(what, code)
      local chunk, why = repl.compile(code)
      if chunk then
        local ok
        setfenv(chunk, setmetatable({}, {__index = _G}))
        ok, why = pcall(chunk)
        if ok then n = n + 1 return end
      end
      io.stderr:write("EXAMPLE ", what, ": ", tostring(why), "\n")
    end
    for module, list in pairs(examples) do
      if type(list) == "table" and module ~= "prompt_modules" and module ~= "overview" then
        for name, code in pairs(list) do
          if not (module == "prompt" and name == "load") then go(module .. "." .. name, code) end
        end
      end
    end
    local env = {}
    local whole = {}
    for i, e in ipairs(examples.overview) do whole[i] = e[1] end
    go("overview", table.concat(whole, "\n"))
    io.stderr:write(n, " examples ran\n")]]
  file:close()
  local pipe = io.popen(("cd '%s' && %s %s 2>&1 >/dev/null"):format(scratch, program:match "^/" and program
    or os.getenv "PWD" .. "/" .. program, path))
  local text = pipe:read "*a"
  pipe:close()
  check.ok(not text:find "EXAMPLE" and (tonumber(text:match "(%d+) examples ran") or 0) > 200, text)
end)

test("the declared functions of the modules have examples, and help shows them", function()
  local missing = {}
  for _, short in ipairs{"tensor", "nn", "optim", "encoders", "decoders", "inverter", "replay", "interaction", "metrics",
    "formats", "datasets"} do
    for name, fn in pairs(percept[short]) do
      if type(fn) == "function" and percept.usage(fn) then
        if not examples.of(short, name) then missing[#missing + 1] = short .. "." .. name end
      end
    end
  end
  check.eq(missing, {}, "scripts/percept/prompt/examples.lua has none of")
  check.ok(help.text(T.conv2d):find("  example:\n    image, weight = ", 1, true))
  check.ok(help.text(percept.train.loop):find("Runs the loop.", 1, true), "the comment of a function of the workbench")
  check.ok(help.text():find("percept help percept.inverter", 1, true))
  check.ok(help.text(percept.inverter):find("Generative perception by search", 1, true))
end)

test("every module has a page; make docs writes them all", function()
  for _, name in ipairs(docs.modules()) do
    local page = docs.page(name)
    check.ok(page:find("^NAME\n    " .. name:gsub("%.", "%%.") .. " %- %S"), name .. " says what it is for: " .. page:sub(1, 80))
  end
  local page = docs.page "percept.inverter"
  check.ok(page:find("search(decoder, x, z0,", 1, true) and page:find("steps            int 0.., default 100", 1, true), page)
  check.eq(docs.page "percept.nosuch", nil)
  local n = docs.write(folder .. "/docs")
  check.eq(#percept.edit.glob(folder .. "/docs/percept.*.md"), n)
  local file = assert(io.open(folder .. "/docs/README.md"))
  local index = file:read "*a"
  file:close()
  check.ok(index:find("[percept.inverter](percept.inverter.md)", 1, true))
end)

os.execute("rm -rf '" .. folder .. "'")
check.done()
