-- A configuration's JSON and digest: different ones differ, everything comes back, what can't be written is refused by its path.
local check = dofile "tests/lua/check.lua"
local P = require "percept"
local config = require "percept.run.config"
local recorder, records = P.recorder, P.records

local function digest(c) return records.config_digest(recorder.json(c)) end

-- Values that are easily taken for one another.
local values = {
  0, -0, 1, -1, 0.5, 1 / 3, 2 ^ 53, 2 ^ 53 - 1, 2 ^ 60, 1e300, 5e-324, 1 / 0, -1 / 0, 0 / 0,
  "", "0", "-0", "1", "inf", "-inf", "nan", "number:inf", "number:nan", "number:", "true", "false", "null", "{}", "[]", "[1]", "[1,2]",
  '{"a":1}',
  true, false, {}, {1}, {1, 2}, {{1, 2}}, {{1}, {2}}, {"1"}, {true}, {{}}, {""}, {1, 2, a = 3}, {1, 2, a = 4}, {[2] = 1}, {[3] = 1},
  {[100] = 1}, {["100"] = 1}, {["[100]"] = 1}, {[100] = 1, ["100"] = 2}, {[100] = 2, ["100"] = 1}, {[0] = 1}, {[-1] = 1}, {[0.5] = 1},
  {[1 / 0] = 1}, {[true] = 1}, {["true"] = 1}, {[false] = 1}, {1, nil, 3}, {1, [1e15] = 2}, {[2 ^ 53] = 1}, {[2 ^ 54] = 1},
  "K\228tz", "K\246tz", "Kätz", "bytes:K\\xe4tz", "bytes:", "bytes:\\", "a\0b", "a\0c", "a", "a\0", "\\x00", "\237\160\128", "\237\176\128",
  "\255",
  "\192\128", "\244\144\128\128", {"\228"}, {"\246"}, {["\228"] = 1}, {["\246"] = 1}, {["a\0"] = 1}, {["a"] = 1}, "a\nx=b", "x\ny#1",
  "a=b", "a#b",
  {["y=a"] = "b"}, {y = "a=b"}, {["y#1"] = 2}, {['"'] = 1}, {["~"] = 1},
}

check.test("different configurations have different texts and digests, and come back", function()
  local seen, seen_digest = {}, {}
  for i, v in ipairs(values) do
    local c = {x = v}
    local text = recorder.json(c)
    check.ok(not seen[text], ("%d is written as %s is: %s"):format(i, tostring(seen[text]), text))
    local d = digest(c)
    check.ok(not seen_digest[d], ("%d has the digest of %s: %s"):format(i, tostring(seen_digest[d]), text))
    seen[text], seen_digest[d] = i, i
    check.eq(recorder.json(recorder.parse_json(text)), text, text)
    check.eq(digest(config.configure(c, {})), d, "copied: " .. text)
  end
  check.ok(digest{x = "a\ny=b"} ~= digest{x = "a", y = "b"})
  check.ok(digest{["x=y"] = "z"} ~= digest{x = "y=z"})
end)

check.test("digests of old databases stay", function()
  local known = {
    {"99aa06d3014798d86001c324468d497f", {}}, {"16f203e16fac7b55fbd4ca176d0da1bf", {lr = 0.1, seed = 3}},
    {"b89799324a5c36449f382622caebf22e", {lr = 1e-3, n = 7, name = "x", on = true, off = false}},
    {"db423cf71d381be1597e380cdbac99be", {model = {width = 64, act = "gelu", layers = {1, 2, 3}}, list = {"a", "b"}}},
    {"540e0507769dd39beafcff966289440d", {empty = {}, text = "", dotted = {a = {b = {c = 1}}}}},
    {"65bcd2ee87f89c3b10a042c345e3a494", {["with space"] = "é", ["10"] = 1}},
    {"0be8fa1facf9adedfbcf04b8d6fc0b94", {big = 2 ^ 52, large = 1e300, neg = -5, frac = 1 / 3}},
    {"5b9599a8325f8f2ab86eb2b8e08bde62", {a = {{x = 1}, {x = 2}}, s = "inf"}},
    {"72f49c0d52a21db01ef20245cfa05467", {t = "[abc", u = "{x", v = "a=b", w = "C:\\x"}},
  }
  for _, k in ipairs(known) do check.eq(digest(k[2]), k[1], recorder.json(k[2])) end
end)

check.test("what can't be recorded is refused by its path", function()
  local circle, deep = {}, {}
  circle.a = {b = {circle}}
  for _ = 1, 150 do deep = {deep} end
  for _, case in ipairs{
    {{f = print}, "f is function"}, {{a = {b = {c = print}}}, "a%.b%.c is function"}, {{a = {1, {b = print}}}, "a%[2%]%.b is function"},
    {{a = {[100] = print}}, "a%[100%] is function"}, {{a = circle}, "a%.a%.b%[1%] contains itself"}, {{a = deep}, "100 tables deep"},
    {{a = {[{}] = 1}}, "a has a table as key"}, {{a = {[print] = 1}}, "a has a function as key"}, {{a = {[""] = 1}}, "a has an empty key"},
    {{a = 1LL}, "a is cdata"}, {{a = P.tensor.ones(2)}, "a is f32 tensor"}, {{a = io.stdout}, "a is userdata"},
    {{a = coroutine.create(print)}, "a is thread"},
  } do
    local ok, why = pcall(recorder.json, case[1])
    check.ok(not ok and tostring(why):find(case[2]), tostring(why))
  end
end)

check.test("--set reaches every key", function()
  local defaults = {
    milestones = {[100] = 0.1, [200] = 0.01}, mixed = {1, 2, decay = 0.5}, both = {[1] = "n", ["1"] = "t", x = 0}, [5] = 1,
    flags = {[true] = 1},
    ["a.b"] = 1,
  }
  local c = config.configure(defaults, {["milestones.100"] = "0.7", ["mixed.2"] = "9", ["mixed.decay"] = "0.9", ["both.1"] = "text",
    ["both.[1]"] = "number", ["5"] = "6", ["flags.true"] = "2", ["a.b"] = "3"})
  check.eq(c.milestones[100], 0.7)
  check.eq(c.milestones[200], 0.01)
  check.eq(c.mixed[1], 1)
  check.eq(c.mixed[2], 9)
  check.eq(c.mixed.decay, 0.9)
  check.eq(c.both[1], "number")
  check.eq(c.both["1"], "text")
  check.eq(c[5], 6)
  check.eq(c.flags[true], 2)
  check.eq(c["a.b"], 3)
  local flat = config.flatten(recorder.parse_json(recorder.json(c))) -- as a resumed run has it
  check.eq(recorder.json(config.configure(defaults, flat)), recorder.json(c))
  check.error("~exact up to 2^53", config.configure, {n = 1}, {n = "9007199254740993"})
  check.eq(config.configure({n = 1}, {n = "9007199254740992"}).n, 2 ^ 53)
  check.eq(config.configure({n = 1}, {n = "1e300"}).n, 1e300)
  check.error("~two keys are called a.b", config.flatten, {["a.b"] = 1, a = {b = 2}})
end)

check.test("parameters of such keys are rows under the names a user writes", function()
  local db = os.tmpname()
  os.remove(db)
  local run = recorder.start{db = db, experiment = "e",
    config = {m = {[100] = 0.1}, label = "K\228tz", clip = 1 / 0, both = {[1] = 1, ["1"] = 2}}}
  run:param("later", "\228")
  run:param("limit", -1 / 0)
  run:finish()
  local got = {}
  for _, r in ipairs(recorder.query(db, "select key, num, txt from param")) do got[r.key] = r.txt or r.num end
  check.eq(got["m.100"], 0.1)
  check.eq(got.label, "bytes:K\\xe4tz")
  check.eq(got.clip, 1 / 0)
  check.eq(got["both.1"], 2)
  check.eq(got["both.[1]"], 1)
  check.eq(got.later, "bytes:\\xe4")
  check.eq(got.limit, -1 / 0)
  for _, tail in ipairs{"", "-wal", "-shm"} do os.remove(db .. tail) end
end)

check.test("the digest of a text is of all its bytes", function()
  check.eq(records.digest "a\0b" ~= records.digest "a\0c", true)
  check.eq(records.digest "a\0b" ~= records.digest "a", true)
  check.eq(records.digest "", "99aa06d3014798d86001c324468d497f")
end)

check.done()
