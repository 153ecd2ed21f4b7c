--- What can go wrong: the nth allocation fails, for every n, in a training step and in files, data
-- and records (an error with a sentence or the right result, never a crash, nothing leaks); a user's
-- mistakes (the message names op, argument, shapes and what to do; the script goes on); a full disk.
local T = require "percept.tensor"
local nn, optim, sys = require "percept.nn", require "percept.optim", require "percept.sys"
local formats, images, metrics = require "percept.formats", require "percept.images", require "percept.metrics"
local datasets, recorder = require "percept.datasets", require "percept.recorder"
local perceive, train, experiment = require "percept.perceive", require "percept.train", require "percept.experiment"
local encoders, decoders = require "percept.encoders", require "percept.decoders"
local check = dofile "tests/lua/check.lua"
local test = check.test

local dir = os.tmpname()
os.remove(dir)
sys.mkdir(dir .. "/images")
local function at(name) return dir .. "/" .. name end
local function write(name, text)
  local f = assert(io.open(at(name), "wb"))
  f:write(text)
  f:close()
end
local function read(name)
  local f = assert(io.open(at(name), "rb"))
  local text = f:read "*a"
  f:close()
  return text
end
T.manual_seed(5)
for i = 1, 4 do images.write(at("images/" .. i .. ".png"), T.rand(8, 8, 3)) end
local rows = "images/1.png,a,r\nimages/2.png,b,r\nimages/3.png,a,g\nimages/4.png,b,g\n"
write("labels.csv", "filename,shape,color\n" .. rows)
write("noname.csv", "file,shape,color\n" .. rows)
write("ragged.csv", "filename,shape,color\n" .. rows:gsub("b,r", "b"))
write("empty.csv", "")
write("absent.csv", "filename,shape\nimages/9.png,a\nimages/1.png,b\n")
write("cut.csv", "filename,shape\nimages/1.png,a\nimages/cut.png,b\n")
write("images/cut.png", read("images/1.png"):sub(1, 120))

-- ---- allocations ----

local sweeping = dofile "tests/lua/sweep.lua"
local live = sweeping.live
local function sweep(fn, last) return sweeping.run(check, fn, last) end

local function training_step()
  T.manual_seed(1)
  local model = nn.module { conv = nn.conv2d(2, 8, 3, { padding = 1 }), block = nn.block(8, 2, { context = 8 }),
    gru = nn.gru_cell(8, 8), forward = function(self, x)
      local y = self.conv(x):relu():reshape(2, 16, 8)
      local z = self.block(y, y)
      return self.gru(z:mean(2), T.zeros(2, 8)), z
    end }
  local optimizer = optim.adam(model, { lr = 0.01 })
  local target = T.tensor({ 1, 2 }, { dtype = "i64" })
  local last
  for _ = 1, 2 do
    optimizer:zero_grad()
    local h, z = model(T.randn(2, 4, 4, 2))
    local loss = nn.mse(h, T.ones(2, 8)) + z:logsumexp():mean() + nn.cross_entropy(h, target)
    loss:backward()
    optimizer:clip(1)
    optimizer:step()
    last = loss:item()
  end
  return last
end

test("a training step, each of its allocations failing", function()
  local errors = sweep(training_step, 1500)
  check.ok(errors > 200, "only " .. errors .. " failures reached the script")
  check.ok(T.is_grad_enabled(), "recording is on afterwards")
end)

test("a training step under a limit on memory", function()
  local want, before = training_step(), live()
  local failed = 0
  for kib = 1, 160, 4 do
    sys.memory_limit(before + kib * 1024)
    local ok, got = pcall(training_step)
    sys.memory_limit(0)
    if ok then
      check.eq(got, want)
    else
      failed = failed + 1
      check.ok(tostring(got):find("memory", 1, true), got)
    end
    check.eq(live(), before, "live bytes with a limit of " .. kib .. " KiB")
  end
  check.ok(failed > 5)
end)

local x = T.rand(4, 5)
local function twice_differentiable()
  local a = x:clone():requires_grad_()
  local loss = T.einsum("ij,kj->ik", a, a:exp()):softmax():log():sum()
  local g = T.grad(loss, { a }, { create_graph = true })[1]
  return T.grad((g * g):sum(), { a })[1]:sum():item()
end
local function indexing()
  local y = x:clone()
  y[y:gt(0.5)] = 0
  y[{ {}, T.tensor({ 1, 3 }, { dtype = "i64" }) }] = 2
  return y[T.tensor { true, false, true, true }]:sum():item() + #tostring(y) + #y:to_table()
end
local function decompositions()
  local u, s = T.svd(x)
  return s:sum():item() + u:abs():sum():item() + T.solve(T.eye(4) * 2, x):sum():item() + T.eigh(T.eye(3)):sum():item()
end
local function scores()
  local total = select(2, metrics.hungarian(x[{ {}, { 1, 4 } }], { maximize = true }))
  local a, b = T.tensor({ 1, 2, 2 }, { dtype = "i64" }), T.tensor({ 1, 2, 1 }, { dtype = "i64" })
  return total + metrics.ari(a, b)
end
local function tensors_in_files()
  formats.save_npz(at "a.npz", { a = x, b = x:t() })
  return formats.load_npz(at "a.npz").b:sum():item()
end
local function checkpoints()
  formats.save_checkpoint(at "a.ckpt", { a = x }, { m = "1" })
  local t, meta = formats.load_checkpoint(at "a.ckpt")
  return t.a:sum():item() + tonumber(meta.m)
end
local function pictures()
  images.write(at "a.png", T.ones(8, 8, 3))
  return images.resize(images.read(at "a.png"), 4):double():sum():item()
end
local caches = 0
local function scenes()
  caches = caches + 1
  local d = datasets.scenes(dir, { cache_dir = at("cache" .. caches) })
  local b = datasets.batches(T.arange(1, 5):long(), 2)
  return d:images(b:next()):shape()[1] + d:factor("shape"):double():sum():item()
end
local function recording()
  local r = recorder.start { db = at "faults.db", experiment = "faults", seed = 1, config = { a = 1, b = { c = 2 } } }
  local ok, why = pcall(function()
    for i = 1, 5 do r:log(i, { loss = i }) end
    r:result("m", "id", "acc", 0.5)
    r:finish()
  end)
  if not ok then -- a run lives until it is finished
    r:finish("failed")
    error(why, 0)
  end
  return #recorder.query(at "faults.db", "select 1 where exists (select * from run)")
end
local bank, bank_labels = T.randn(12, 2, 3), T.randint(1, 4, { 12, 2 })
local function replays()
  T.manual_seed(3)
  local replay = require "percept.replay"
  local a = replay.sample(bank, 4, { marginals = "mixture", components = 2, iterations = 2 })
  local b, from = replay.sample(bank, 4, { rows = true, exclude = { labels = bank_labels, groups = { { 1, 2 } } } })
  local d = decoders.additive { slot_dim = 3, height = 8, hidden = 4, features = 2 }
  return (a:sum() + b:sum() + from:sum() + d(b):sum()):item()
end
for _, w in ipairs { { "replay and decoders", replays, 120 }, { "second derivatives", twice_differentiable, 300 }, { "indexing",
  indexing, 80 },
  { "decompositions", decompositions, 80 }, { "scores", scores, 40 }, { "npz", tensors_in_files, 30 },
  { "checkpoints", checkpoints, 40 }, { "pictures", pictures, 45 }, { "scenes", scenes, 110 }, { "recording", recording, 25 } } do
  test(w[1] .. ", each allocation failing", function() sweep(w[2], w[3]) end)
end

test("a checkpoint that could not be written leaves the old one", function()
  formats.save_checkpoint(at "kept.ckpt", { a = T.ones(3) })
  for n = 1, 20 do
    sys.fail_allocation(n)
    local ok = pcall(formats.save_checkpoint, at "kept.ckpt", { a = T.zeros(3) })
    sys.fail_allocation(0)
    local a = formats.load_checkpoint(at "kept.ckpt").a
    check.eq(a:sum():item(), ok and 0 or 3)
    formats.save_checkpoint(at "kept.ckpt", { a = T.ones(3) })
  end
end)

-- ---- mistakes: a call, then what its message must contain ----

write("cut.ckpt", read("kept.ckpt"):sub(1, -5))
write("flipped.ckpt", (read("kept.ckpt"):gsub("..$", "\1\2")))
local m = T.rand(2, 3)
local function indices(...) return T.tensor({ ... }, { dtype = "i64" }) end
local function leaf() return m:clone():requires_grad_() end
local function in_run(fn)
  local r = recorder.start { db = at "mistakes.db", experiment = "mistakes" }
  local ok, why = pcall(fn, r)
  r:finish()
  if not ok then error(why, 0) end
end
local mistakes = {
  -- shapes
  { function() return m + T.rand(4) end, "add", "(2,3)", "(4)", "broadcast" },
  { function() return T.matmul(m, m) end, "matmul", "a (2,3)", "b (2,3)", "did you mean b:t()" },
  { function() return m:reshape(4, 4) end, "reshape", "(2,3)", "(4,4)" },
  { function() return T.cat { m, T.rand(3, 4) } end, "cat", "tensor 2", "(3,4)", "(2,3)" },
  { function() return T.conv2d(T.rand(1, 5, 5, 3), T.rand(4, 3, 3, 2)) end, "conv2d", "(1,5,5,3)", "(4,3,3,2)" },
  { function() return nn.linear(4, 5)(m) end, "linear", "(2,3)", "4 inputs" },
  { function() return nn.attention(8, 3) end, "attention", "3 heads", "8" },
  { function() return nn.gru_cell(3, 4)(m, T.rand(2, 5)) end, "(2,5)", "(12,4)" },
  { function() return nn.mse(m, m:t()) end, "mse", "prediction (2,3)", "target (3,2)" },
  { function() return nn.cross_entropy(m, indices(1, 4)) end, "cross_entropy", "class numbers from 1", "index 4", "1..3" },
  { function() return nn.cross_entropy(m, indices(1, 2, 3)) end, "cross_entropy", "(2,3)", "(3)" },
  { function() return T.einsum("ij,jk->ik", m, m) end, "einsum", "ij,jk->ik", "(2,3)" },
  { function() m[{ 1 }] = T.rand(7) end, "assignment", "(3)", "(7)" },
  { function() return T.tensor { { 1, 2 }, { 3 } } end, "ragged table", "entry [2]" },
  { function() return T.zeros(-2) end, "zeros", "negative size", "(-2)" },
  { function() return m:item() end, "item", "(2,3)", "to_table" },
  -- dtypes
  { function() return m:gather(1, m) end, "gather", "i64", "f32", ":to('i64')" },
  { function() return nn.cross_entropy(m, T.tensor { 1, 2 }) end, "cross_entropy", "i64", "f32" },
  { function() return indices(1):requires_grad_() end, "requires_grad", "f32 and f64", "i64" },
  { function() return T.zeros(2, { dtype = "f16" }) end, "zeros", "dtype", '"f32"', '"f16"' },
  { function() return T.tensor { 1, "a" } end, "entry [2]", "number", '"a"' },
  { function() return datasets.scenes(dir):images(T.tensor { 1 }) end, "scenes", "f32", "i64" },
  -- bounds
  { function() return m[3] end, "index 3", "dimension 1 of size 2", "(2,3)" },
  { function() return m[0] end, "count from 1" },
  { function() return m:sum(3) end, "sum", "dimension 3", "(2,3)" },
  { function() return m:narrow(1, 2, 5) end, "narrow", "length 5", "(2,3)" },
  { function() return T.topk(m, 9) end, "topk", "k = 9", "(2,3)" },
  { function() return datasets.scenes(dir):images(indices(9)) end, "index 9", "4 images" },
  { function() return T.zeros(1e5, 1e6) end, "zeros", "memory", "(100000,1000000)" },
  -- options and arguments
  { function() return T.zeros(2, { dtpe = "f32" }) end, "unknown option 'dtpe'", "did you mean 'dtype'", "known are" },
  { function() return optim.adam(nn.linear(1, 1), { rate = 1 }) end, "optim.adam", "unknown option 'rate'", "lr" },
  { function() return optim.adam(nn.linear(1, 1), { lr = -1 }) end, "adam", "lr: expected a number >= 0", "got -1" },
  { function() return optim.sgd(nn.linear(1, 1), { nesterov = true }) end, "nesterov needs momentum > 0" },
  { function() return optim.adam {} end, "adam", "requires_grad_()" },
  { function() return nn.activation "rellu" end, "activation", '"rellu"', "relu|gelu", "did you mean 'relu'?" },
  { function() return nn.sequential { nn.linear(1, 2), 3 } end, "nn.sequential", "entry 2", "not a module" },
  { function() return nn.sincos(2 ^ 53, 0) end, "sincos", "n: expected an integer >= 1", "2147483647" },
  { function() return nn.dropout(2) end, "dropout", ">= 0 and < 1", "2" },
  { function() return T.upsample(T.rand(1, 2, 2, 1), { mode = "cubic", scale_factor = 2 }) end, "nearest|bilinear", '"cubic"' },
  { function() return T.manual_seed "a" end, "manual_seed", "integer", '"a"' },
  { function() return optim.schedule { { kind = "cosinus" } } end, "schedule", "piece 1", "cosine" },
  { function() return m:sizee() end, "'sizee'", "did you mean 'size'" },
  { function() return experiment.configure({ steps = 1, model = { width = 2 } }, { ["model.widht"] = "3" }) end,
    "model.widht", "unknown key", "model.width" },
  { function() return experiment.configure({ steps = 1 }, { steps = "many" }) end, "steps=many", "number" },
  -- numbers
  { function() return T.solve(T.zeros(2, 2), m) end, "solve", "singular", "pinv" },
  { function() return T.cholesky(-1 * T.eye(2)) end, "cholesky", "not positive definite", "eye" },
  { function() return T.cholesky(m) end, "cholesky", "(2,3)", "square" },
  -- gradients
  { function() return m:backward() end, "backward", "(2,3)", "requires_grad" },
  { function() return (leaf() * 2):backward() end, "backward", "(2,3)", "one-element" },
  { function() return leaf():add_(1) end, "add_", "(2,3)", "no_grad" },
  { function()
    local a, b = leaf(), T.rand(2, 3)
    local loss = (a * b):sum()
    b:add_(1)
    loss:backward()
  end, "mul", "(2,3)", "in place", "clone()" },
  { function()
    local a = leaf()
    local loss = (a * a):sum()
    loss:backward()
    loss:backward()
  end, "freed", "retain_graph=true" },
  -- files
  { function() return images.read(at "nope.png") end, "nope.png", "No such file" },
  { function() return images.read(at "images/cut.png") end, "cut.png", "truncated", "120 bytes" },
  { function() return images.read(at "labels.csv") end, "labels.csv", "not a PNG" },
  { function() return images.write(at "no/a.png", T.rand(4, 4, 3)) end, "no/a.png", "cannot be written" },
  { function() return images.write(at "a.png", T.rand(4, 4, 7)) end, "(4,4,7)", "(H,W,3)" },
  { function() return formats.load_safetensors(at "labels.csv") end, "labels.csv", "not a safetensors file" },
  { function() return formats.load_npy(at "images/1.png") end, "1.png", "not an npy file" },
  { function() return formats.load_npz(at "labels.csv") end, "labels.csv", "not an npz file" },
  { function() return formats.load_checkpoint(at "cut.ckpt") end, "cut.ckpt", "truncated" },
  { function() return formats.load_checkpoint(at "flipped.ckpt") end, "flipped.ckpt", "damaged" },
  { function() return formats.save_checkpoint(at "x.ckpt", { a = 3 }) end, "entry a", "number 3" },
  { function() return train.load(at "kept.ckpt", { modules = { m = nn.linear(1, 1) } }) end, "no tensor 'weight'" },
  { function() return nn.linear(1, 1):load_state { weight = m } end, "'weight'", "(2,3)", "(1,1)" },
  -- data
  { function() return datasets.scenes(at "nowhere") end, "scenes", "no folder", "nowhere" },
  { function() return datasets.scenes(dir, { labels = "nope.csv" }) end, "nope.csv", "No such file" },
  { function() return datasets.scenes(dir, { labels = "noname.csv" }) end, "no column 'filename'", "file, shape, color" },
  { function() return datasets.scenes(dir, { labels = "ragged.csv" }) end, "ragged.csv:3", "2 fields", "header has 3" },
  { function() return datasets.scenes(dir, { labels = "empty.csv" }) end, "empty.csv", "header row is needed" },
  { function() return datasets.scenes(dir, { labels = "absent.csv" }) end, "images/9.png", "no such file", "on_error = skip" },
  { function() return datasets.scenes(dir, { labels = "cut.csv" }) end, "images/cut.png", "truncated", "on_error = skip" },
  { function() return datasets.scenes(dir, { factors = { "size" } }) end, "no column 'size'", "shape, color" },
  { function() return datasets.scenes(dir, { only = { shape = { "z" } } }) end, "'shape'", "'z'", "a, b" },
  { function() return datasets.split(datasets.scenes(dir), { pairs = { { "shape", "size" } } }) end, "'size'", "shape, color" },
  { function() return datasets.batches(indices(1, 2), 0) end, "batch: expected an integer >= 1", "got 0" },
  { function() return perceive.model({ slots = 1 }, datasets.scenes(dir), { "shape", "color" }) end,
    "1 slots", "2 factors shape, color", "model.slots to at least 2" },
  { function() return encoders.slots { slots = 0, slot_dim = 8 } end, "slots: expected an integer >= 1, got 0" },
  { function() return decoders.render { slots = 4, slot_dim = 8, height = 30, patch = 7 } end, "patches of 7", "30 x 30" },
  -- records
  { function() return recorder.query(at "no.db", "select 1") end, "no database", "no.db", "--db FILE" },
  { function() return recorder.start { db = at "no/a.db", experiment = "x" } end, "no/a.db", "does its folder exist" },
  { function() in_run(function(r) r:log(1, { a = "b" }) end) end, "log", "'a'", '"b"' },
  { function() return recorder.query(at "mistakes.db", "selekt 1") end, "selekt", "syntax error" },
  { function() return recorder.query(at "mistakes.db", "delete from run") end, "delete from run", "--write" },
}
for i, mistake in ipairs(mistakes) do
  test("mistake " .. i, function()
    local before = live()
    local ok, why = pcall(mistake[1])
    why = tostring(why)
    check.ok(not ok, "no error; wanted " .. table.concat(mistake, ", ", 2))
    for k = 2, #mistake do check.ok(why:find(mistake[k], 1, true), ("%q lacks %q"):format(why, mistake[k])) end
    check.eq(live(), before, "live bytes")
    check.eq(T.ones(2):sum():item(), 2) -- the script goes on
  end)
end

test("one unreadable picture may be left out, by name", function()
  local d = datasets.scenes(dir, { labels = "cut.csv", on_error = "skip" })
  check.eq(d:count(), 1)
  check.ok(d:note():find("images/cut.png", 1, true), d:note())
end)

test("the prompt goes on after mistakes", function()
  write("prompt.txt", "T.ones(2) + T.ones(3)\nT.nosuch()\n1 +* 2\nprint('alive ' .. 6 * 7)\n")
  local f = assert(io.popen(("HOME=%s %s < %s 2>&1"):format(dir, os.getenv "PERCEPT" or "build/percept", at "prompt.txt")))
  local out = f:read "*a"
  f:close()
  check.ok(out:find("add: shapes (2) and (3) do not broadcast", 1, true) and out:find("alive 42", 1, true), out)
end)

test("a full disk while recording: a word, what was committed stays, and what was lost is counted", function()
  write("full.lua", ([[
    local recorder = require "percept.recorder"
    local r = recorder.start { db = %q, experiment = "full" }
    for i = 1, 500 do r:log(i, { loss = i }) end
    r:flush()
    print "committed"
    io.stdout:flush()
    local ok, why = true
    for i = 501, 200000 do
      ok, why = pcall(r.log, r, i, { loss = i })
      if not ok then break end
    end
    print(ok, why)
  ]]):format(at "full.db"))
  local command = ("cd %s && trap '' XFSZ && ulimit -f 1200 && HOME=%s '%s' full.lua 2>&1; echo exit $?"):format(dir, dir,
    (os.getenv "PERCEPT" or "build/percept"):gsub("^[^/]", io.popen("pwd"):read "*l" .. "/%0"))
  local f = assert(io.popen(command))
  local out = f:read "*a"
  f:close()
  check.ok(out:find("committed", 1, true) and out:find("rows are kept", 1, true), out)
  check.ok(out:find("%d+ rows of run [%w-]+ could not be written and are lost") and out:find("exit 1", 1, true), out)
  local n = recorder.query(at "full.db", "select count(*) as n, min(step) as first from metric")[1]
  check.ok(n.n >= 500 and n.first == 1, "only " .. n.n .. " rows are left")
  check.eq(recorder.query(at "full.db", "pragma integrity_check")[1].integrity_check, "ok")
end)

os.execute("rm -rf '" .. dir .. "'")
check.done()
