-- The inversion bench cannot rot: a tiny one, through the program, the recorder and the table.
local check = dofile "tests/lua/check.lua"
local recorder = require "percept.recorder"
local program = os.getenv "PERCEPT" or "build/percept"

check.test("both decoders, every method, recorded and printed", function()
  local db = os.tmpname()
  local settings = "worlds=Park,City size=16 patch=4 slot_dim=2 train_steps=2 images=2 adam_steps=20 steps=20 rounds=1"
  local pipe = io.popen(("%s run tests/bench/inversion.lua --db %s --set weights=%s.weights %s 2>&1; echo exit $?"):format(
    program, db, db, (settings:gsub("%S+", "--set %0"))))
  local text = pipe:read "*a"
  pipe:close()
  check.ok(text:match "exit 0%s*$", text)
  local figures = {}
  for _, r in ipairs(recorder.query(db, "select method, metric, value from result", {})) do
    figures[r.method .. " " .. r.metric] = r.value
  end
  for _, kind in ipairs{"render", "cross"} do
    check.near(figures[kind .. "/adam decodes_per_image"], 41)
    check.near(figures[kind .. "/adam reached"], 1)
    for _, method in ipairs{"lm", "lm/free", "lbfgs", "lbfgs/free"} do
      local at = ("%s/%s "):format(kind, method)
      check.ok(figures[at .. "time_ratio"] > 0 and figures[at .. "decodes_per_image"] >= 1, at)
      check.ok(figures[at .. "reached"] >= 0 and figures[at .. "reached"] <= 1, at)
    end
    check.ok(text:find(kind .. "%s+lm"), text)
  end
  os.execute(("rm -rf %s %s-wal %s-shm %s.runs %s.weights"):format(db, db, db, db, db))
end)

check.done()
