--- Slot health of synthetic slots: good ones, an empty one, a shared one, a redundant one; lines, rows, matching.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local health = require "percept.health"
local metrics = require "percept.metrics"
local readout = require "percept.readout"
local recorder = require "percept.recorder"
local percept = require "percept"

local names = {a = "left", b = "right", c = "world"}
local factors = {"a", "b", "c"}
local n, values = 240, 4

-- Labels of three independent factors.
local labels = {}
T.manual_seed(3)
for _, f in ipairs(factors) do labels[f] = T.randint(1, values + 1, {n}) end

-- Slots (N,3,8): `plan[k]` lists the factors that slot k holds, each in four numbers of its own.
local function slots(plan)
  local parts = {}
  for k = 1, 3 do
    local held = {T.zeros(n, 8)}
    for i, f in ipairs(plan[k]) do held[1]:narrow(2, 4 * i - 3, 4):copy_(labels[f]:one_hot(values):to("f32")) end
    parts[k] = held[1] + T.randn(n, 8) * 0.05
  end
  return T.stack(parts, {dim = 2})
end

-- A decoder whose slots get these shares of 20 pixels, each pixel one slot.
local function decoder(pixels)
  return function(z)
    local attention = T.zeros(z:size(1), 20, 3)
    local from = 1
    for k = 1, 3 do
      if pixels[k] > 0 then attention:narrow(2, from, pixels[k]):select(3, k):fill_(1) end
      from = from + pixels[k]
    end
    return T.zeros(z:size(1), 4, 5, 3), attention
  end
end

local function study(plan, pixels)
  local z = slots(plan)
  T.manual_seed(4)
  local readouts = readout.fit(z, labels, factors, {a = values, b = values, c = values}, {steps = 60, hidden = 0, lr = 0.1})
  return {z = z, readouts = readouts, labels = labels, names = names, decoder = pixels and decoder(pixels) or nil}
end

check.test("a good run: a slot of its own for each factor", function()
  local s = study({{"b"}, {"a"}, {"c"}}, {4, 6, 10})
  local h = health.measure(s)
  check.ok(h.good)
  check.eq(h.line, "slots: right, left, world")
  check.near(h.usage:to_table(), {.2, .3, .5}, 1e-6)
  check.eq(h.present:to_table(), {1, 1, 1})
  check.near(h.entropy:to_table(), {0, 0, 0}, 1e-6)
  check.near(h.mean_entropy, 0, 1e-6)
  check.eq(h.owner:to_table(), {2, 1, 3})
  check.ok(h.skill[{2, 1}] > 0.95 and math.abs(h.skill[{1, 1}]) < 0.4)
  s.readouts:match(s.z, labels)
  local plain = s.readouts.slot_of
  s.readouts:match(s.z, labels, h)
  check.eq(s.readouts.slot_of, plain, "no slot is empty: as without")
end)

check.test("measuring draws no random number", function()
  local s = study({{"b"}, {"a"}, {"c"}}, {4, 6, 10})
  local before = T.get_rng_state()
  health.measure(s)
  check.eq(T.get_rng_state(), before)
end)

check.test("an empty slot tells nothing, whatever its code says, and is read for nothing", function()
  local s = study({{"b"}, {"c"}, {"a", "c"}}, {8, 0, 12})
  local h = health.measure(s)
  check.ok(not h.good)
  check.eq(h.line, "slots: 2 is empty; left and world share slot 3")
  check.eq(h.empties, 1)
  check.ok(s.readouts:accuracies(s.z, labels)[2].c > 0.95, "its readout would do")
  check.eq(s.readouts:match(s.z, labels), {a = 3, b = 1, c = 2})
  check.eq(s.readouts:match(s.z, labels, h), {a = 3, b = 1, c = 3})
  check.eq(s.readouts:predict(s.z, "c"):eq(labels.c):to("f32"):mean():item() > 0.95, true)
end)

check.test("a shared slot, another tells nothing", function()
  local h = health.measure(study({{"a", "b"}, {}, {"c"}}, {6, 4, 10}))
  check.eq(h.line, "slots: left and right share slot 1")
  check.ok(not h.good)
end)

check.test("a redundant slot: told twice, good as long as every factor has its own", function()
  local h = health.measure(study({{"a", "c"}, {"b"}, {"c"}}, {6, 4, 10}))
  check.ok(h.good)
  check.eq(h.line, "slots: left, right, world")
  check.eq(h.times:to_table(), {1, 1, 2})
  h = health.measure(study({{"c"}, {"b"}, {"c"}}, {6, 4, 10}))
  check.ok(not h.good)
  check.eq(h.line, "slots: no slot tells left")
end)

check.test("without slot attention, without readouts", function()
  local s = study({{"b"}, {"a"}, {"c"}})
  s.decoder = function(z) return T.zeros(z:size(1), 4, 5, 3) end
  local h = health.measure(s)
  check.eq(h.line, "slots: right, left, world")
  check.ok(h.usage == nil)
  check.eq(health.measure{decoder = decoder{20, 0, 0}, z = s.z}.line, "slots: 2 and 3 are empty")
  check.eq(health.measure{decoder = decoder{10, 5, 5}, z = s.z}.line, "slots: 3, none is empty")
  check.error("~the decoder has no slot attention, and there are no readouts", health.measure, {decoder = s.decoder, z = s.z})
end)

check.test("a factor of one value is not asked for", function()
  local s = study({{"b"}, {"a"}, {"c"}}, {4, 6, 10})
  s.labels = {a = labels.a, b = labels.b, c = T.ones(n, {dtype = "i64"})}
  local h = health.measure(s)
  check.ok(h.good)
  check.eq(h.line, "slots: right, left, –")
end)

check.test("chunks make no difference", function()
  local s = study({{"b"}, {"a"}, {"c"}}, {4, 6, 10})
  s.decoder = function(z) return nil, (z:narrow(3, 1, 1):transpose(2, 3) * T.ones(1, 5, 1)):softmax(3) end
  local one = health.measure(s)
  s.batch = 7
  local many = health.measure(s)
  check.near(many.usage:to_table(), one.usage:to_table(), 1e-6)
  check.near(many.entropy:to_table(), one.entropy:to_table(), 1e-6)
  check.near(many.mean_entropy, one.mean_entropy, 1e-6)
  local sum = 0 -- usage-weighted, the entropies of the slots are that of the pixels
  for k = 1, 3 do sum = sum + one.usage[k] * one.entropy[k] end
  check.near(sum, one.mean_entropy, 1e-6)
end)

check.test("one call prints the line and makes rows", function()
  local db = os.tmpname()
  os.remove(db)
  local run = percept.run{db = db, experiment = "toy", seed = 2}
  local s, out = study({{"b"}, {"c"}, {"a", "c"}}, {8, 0, 12}), nil
  s.run = run
  local old = print
  print = function(text) out = text end -- luacheck: ignore
  local ok, why = pcall(health, s)
  print = old -- luacheck: ignore
  check.ok(ok, why)
  check.eq(out, "slots: 2 is empty; left and world share slot 3")
  run:finish()
  local rows = recorder.query(db, "@slots", {})
  check.eq(#rows, 3)
  local seen = {}
  for i, r in ipairs(rows) do seen[i] = {r.slot, r.verdict, r.tells or "", r.good} end
  check.eq(seen[1], {1, "own", "right", 0})
  check.eq(seen[2], {2, "empty", "", 0})
  check.eq(seen[3][2], "shared")
  check.ok(seen[3][3] == "left, world" or seen[3][3] == "world, left", seen[3][3])
  local figures = {}
  for _, r in ipairs(recorder.query(db, "select metric, value from result where method = 'slots'", {})) do figures[r.metric] = r.value end
  check.eq(figures, {good = 0, empty = 1, lost = 0, shared = 1, redundant = 0, entropy = figures.entropy})
  check.eq(recorder.query(db, "select json_extract(extra_json, '$.line') as line from result where metric = 'good'", {})[1].line, out)
  check.eq(recorder.query(db, "select json_extract(extra_json, '$.thresholds.tells') as v from result where metric = 'good'", {})[1].v, 0.5)
  check.eq(recorder.query(db, "select count(*) as n from result where seed = 2 and n = 240", {})[1].n,
    recorder.query(db, "select count(*) as n from result", {})[1].n)
  for _, tail in ipairs{"", "-wal", "-shm"} do os.remove(db .. tail) end
end)

check.test("mistakes are told", function()
  local s = study({{"b"}, {"a"}, {"c"}}, {4, 6, 10})
  check.error("~unknown option 'decodr', did you mean 'decoder'?", health.measure, {decodr = s.decoder, z = s.z})
  check.error("~readouts and labels: give both or neither", health.measure, {decoder = s.decoder, z = s.z, labels = labels})
  check.error("~z must be the slots (N,K,m)", health.measure, {decoder = s.decoder, z = T.zeros(3, 2)})
  check.error("~there is nothing to look at", health.measure, {z = s.z})
  check.error("~batch: expected an integer >= 1, got 0", health.measure, {decoder = s.decoder, z = s.z, batch = 0})
  s.tells = 2
  check.error("~tells: expected a number from 0 to 1, got 2", health.measure, s)
  check.error("~give attention, or share and mixed", metrics.slot_health, {attention = T.ones(1, 2, 1), share = T.ones(1, 1)})
end)

check.done()
