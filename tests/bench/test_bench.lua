-- The bench cannot rot: every row at a tiny size, through the program, the recorder and the table.
local check = dofile "tests/lua/check.lua"
local recorder = require "percept.recorder"
local program = os.getenv "PERCEPT" or "build/percept"

local function output(command)
  local pipe = io.popen(command .. " 2>&1; echo exit $?")
  local text = pipe:read "*a"
  pipe:close()
  return text, tonumber(text:match "exit (%d+)%s*$")
end

local function bench(settings)
  local db = os.tmpname()
  local text, code = output(("%s run tests/bench/bench.lua --db %s %s"):format(program, db, settings))
  local rows = code == 0 and recorder.query(db, "select method, metric, value from result", {}) or {}
  os.execute(("rm -rf %s %s-wal %s-shm %s.runs"):format(db, db, db, db))
  local figures = {}
  for _, r in ipairs(rows) do figures[r.method .. " " .. r.metric] = r.value end
  return figures, text, code
end

local tiny = " --set batch=1 --set size=16 --set seconds=0 --set rounds=1 --set retries=0"
local ids = {
  "a", "b", "ca", "cb", "da", "db", "fa", "fa_fd", "fb", "fb_fd", "g_train", "g_search", "h", "i_train", "i_search", "i_replay",
}

check.test("every row runs, is recorded and printed", function()
  local figures, text, code = bench("--set rows=all --set operations=false --set threads=false" .. tiny)
  check.eq(code, 0, text)
  for _, id in ipairs(ids) do
    check.ok((figures[id .. "/ours/1 cpu_ms"] or 0) > 0, id .. ": " .. text)
    check.ok((figures[id .. "/ours/1 peak_rss_mib"] or 0) > 1, id)
    check.ok(text:find("  " .. id .. " ", 1, true), id .. " is in the table: " .. text)
    local fraction = figures[id .. "/ours/1 fraction_of_peak"]
    -- convolutions count as written, and minimal filtering takes up to four times fewer multiplications
    if id ~= "fa" and id ~= "fb" then check.ok(fraction > 0 and fraction < 4, id .. ": fraction of the peak " .. fraction) end
  end
  for _, metric in ipairs{"start_up_ms", "add_us", "log_us_per_step"} do
    check.ok((figures["j/ours/1 " .. metric] or 0) > 0, metric)
  end
end)

check.test("a family, with two threads; a row there is not", function()
  local figures, text, code = bench("--set rows=c" .. tiny)
  check.eq(code, 0, text)
  check.ok(figures["ca/ours/1 cpu_ms"] and figures["cb/ours/1 cpu_ms"] and not figures["a/ours/1 cpu_ms"])
  check.ok(figures["ca/ours/2 speedup"] > 0)
  local _, complaint, status = bench("--set rows=zz" .. tiny)
  check.eq(status, 1)
  check.ok(complaint:find("no row 'zz'; known are all, a, b", 1, true), complaint)
end)

check.test("a child that dies says why", function()
  local _, text, code = bench("--set rows=a --set threads=false --set peer=/bin/false" .. tiny)
  check.eq(code, 1)
  check.ok(text:find("ended while asked to", 1, true), text)
end)

check.test("scaling: times, peaks and slopes", function()
  local db = os.tmpname()
  local text, code = output(("%s run tests/bench/scaling.lua --db %s --set axes=size --set most=64 --set seconds=0"):format(program, db))
  check.eq(code, 0, text)
  local rows = recorder.query(db, "select count(*) as n, min(value) as least from result where method like '%/size/%'", {})
  check.eq(rows[1].n, 8) -- two sizes, two kinds of step, two figures
  check.ok(rows[1].least > 0)
  check.ok(text:match "train   peak MiB .*slope %d%.%d", text)
  os.execute(("rm -rf %s %s-wal %s-shm %s.runs"):format(db, db, db, db))
end)

check.test("a single operation", function()
  local text = output(("printf 'flops\\nrun 0\\nrow e_softmax4\\nrun 0\\nquit\\n' | %s tests/bench/child.lua e_matmul64"):format(program))
  check.ok(text:match "^524288 0\n%d+ [%d.]+ [%d.]+ [%d.]+\nok\n%d", text)
end)

check.test("operations are counted as the literature counts them", function()
  package.path = "tests/bench/?.lua;" .. package.path
  local flops = require "flops"
  check.eq(flops.mlp(10, {2, 3, 4}), 10 * 2 * (6 + 12))
  check.eq(flops.train(100, 20), 280)
  check.eq(flops.search(100, 20), 180)
  -- few keys: the folded order; as many keys as queries: the textbook's
  check.eq(flops.attention(4096, 4, 128, 128, 128, 4), 2 * 2 * 4 * 128 * 128 + 4 * 4 * 128 * 128 + 4 * 4096 * 4 * 4 * 128)
  check.eq(flops.attention(64, 64, 128, 128, 128, 8), 2 * 2 * 64 * 128 * 128 + 4 * 64 * 128 * 128 + 4 * 64 * 64 * 128)
end)

check.done()
