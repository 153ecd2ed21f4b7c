--- percept sweep SCRIPT: a study over a grid, with seeds, by a pool of local processes.
local config = require "percept.run.config"
local grid = require "percept.cli.grid"
local options = require "percept.cli.options"
local pool = require "percept.run.pool"
local files = require "percept.files"
local process = require "percept.process"
local recorder = require "percept.recorder"
local records = require "percept.records"
local scripts = require "percept.run.script"
local session = require "percept.run.session"
local summary = require "percept.cli.summary"
local sys = require "percept.sys"
local T = require "percept.tensor"

local command = {
  help = "runs a study over a grid of parameters and seeds",
  usage = {"SCRIPT [ARGS]", "--missing NAME", "--show NAME", "--list"},
  about = "A cell is a configuration and a seed; what became of it is seen from its runs in the database. Cells that "
    .. "never ran are run; --missing runs also those that failed or were killed, and nothing that is done or runs. "
    .. "A sweep is known by its name, else by experiment and digest of the grid: the same command, or --missing NAME, goes "
    .. "on with it. Several processes, on several machines that share the file, may work on one sweep: each claims cells.\n"
    .. "Ctrl-C passes on to the runs, which end in order, marked killed. What a run prints is in "
    .. "DATABASE.runs/sweeps/NAME/. In the end stands the table, mean ± sd (n) over seeds; exit code 1 if a cell is not done.",
  options = options.join({
    {flag = "--grid", value = "KEY=VALUES", many = true, text = "every value of a list, as act=relu,gelu, or of 1..5, 16..64/16; "
      .. "given often: all combinations"},
    {flag = "--random", value = "KEY=RANGE", many = true, text = "drawn values: lr=log:1e-4..1e-2, x=0..1, n=int:1..8, act=of:relu,gelu"},
    {flag = "--random-n", value = "N", kind = "int(1..)", text = "draws for each combination of the grid; 8"},
    {flag = "--seeds", value = "LIST", text = "seeds of every configuration: 1..3 or 1,5,9"},
    {flag = "--set", value = "KEY=VALUE", many = true, text = "overrides a default in every cell"},
    {flag = "--jobs", short = "-j", value = "N", kind = "int(1..)", default = 1, text = "runs at a time"},
    {flag = "--missing", text = "also cells whose run failed or was killed"},
    {flag = "--again", text = "every cell, done or not"},
    {flag = "--name", value = "NAME", text = "the sweep's name"},
    {flag = "--tag", value = "TAG", many = true, text = "tags its runs"},
    {flag = "--threads", value = "N", kind = "int(1..)", text = "threads of each run; else the processors shared by the jobs"},
    {flag = "--dry", text = "lists the cells and runs none"},
    {flag = "--show", text = "the cells of a sweep, and its table"},
    {flag = "--list", text = "the sweeps of the database"},
  }, options.formats, options.db),
  examples = {
    {"percept sweep experiments/quickstart.lua --grid fraction=0.2,0.4 --grid model.hidden=128,256 --seeds 1..3 -j 2"},
    {"percept sweep mine.lua --random vae.lr=log:1e-4..1e-2 --random-n 20 --seeds 1..3 -j 4", "twenty learning rates"},
    {"percept sweep --missing mine-1a2b3c4d -j 4", "what a crash or Ctrl-C left over"},
    {"percept sweep --show mine-1a2b3c4d"},
  },
  positional = {"script"},
  pass = true,
}

-- ---- what the script would run ----

local planned = {}

--- Experiment, configuration and seed of a script, read without running the study.
local function plan(script, args, set)
  local asking = session.new{set = set, on_plan = function(name, values, seed)
    error(setmetatable({experiment = name, config = values, seed = seed}, planned), 0)
  end}
  local ok, what = asking:try(scripts.run, script, args)
  if ok then error(("sweep: %s opens no run: it needs percept.experiment{...} or percept.run{...}"):format(script), 0) end
  if getmetatable(what) ~= planned then error(what, 0) end
  return what
end

local function axes_of(opts)
  local axes, random = {}, {}
  for i, text in ipairs(opts.grid or {}) do
    local axis, why = grid.axis(text)
    if not axis then return nil, why end
    axes[i] = axis
  end
  for i, text in ipairs(opts.random or {}) do
    local axis, why = grid.random_axis(text)
    if not axis then return nil, why end
    random[i] = axis
  end
  return axes, random
end

--- The sweep the words describe: name, experiment, script, axes, cells; recorded. nil and what is wrong.
local function describe(opts, db)
  local script, args = opts[1], {unpack(opts, 2)}
  local set, why = options.settings(opts.set)
  if not set then return nil, why end
  local axes, random = axes_of(opts)
  if not axes then return nil, random end
  if #axes + #random == 0 and not opts.seeds then return nil, "what is to be swept? --grid, --random or --seeds" end
  if opts.random_n and #random == 0 then return nil, "--random-n without --random" end
  for _, list in ipairs{axes, random} do
    for _, axis in ipairs(list) do
      if set[axis.key] then return nil, ("%s is set and swept; one of both would not count"):format(axis.key) end
    end
  end
  local what = plan(script, args, set)
  local seeds = {what.seed or 1}
  if opts.seeds then
    seeds, why = options.seeds(opts.seeds)
    if not seeds then return nil, why end
  end
  local name_words = {script, table.concat(args, "\0"), table.concat(opts.grid or {}, "\0"), table.concat(opts.random or {}, "\0"),
    table.concat(opts.set or {}, "\0"), tostring(opts.random_n or 8)}
  local name = what.experiment or script:match "([^/]+)%.lua$" or "scratch"
  local sweep = {
    name = opts.name or name:gsub("[^%w_.-]", "_") .. "-" .. records.digest(table.concat(name_words, "\1")):sub(1, 8),
    experiment = name, script = script, args = args,
  }
  local configurations, keys = grid.cells(axes, random, opts.random_n or 8, what.experiment)
  sweep.axes, sweep.cells = keys, {}
  local seen = {}
  for _, seed in ipairs(seeds) do -- the first seed of every configuration, then the second
    for _, cell in ipairs(configurations) do
      local values = config.configure(what.config, cell)
      local all = {}
      for k, v in pairs(set) do all[k] = v end
      for k, v in pairs(cell) do all[k] = v end
      local digest = records.config_digest(recorder.json(values))
      local key = digest .. seed
      if not seen[key] then -- 0.1 and 1e-1 are one cell
        sweep.cells[#sweep.cells + 1] = {digest = digest, seed = seed, set = next(all) and recorder.json(all) or "{}"}
      end
      seen[key] = true
    end
  end
  if not opts.dry then
    sweep.added = records.sweep(db, sweep.name, sweep.experiment, script, recorder.json({axes = keys, args = args, tags = opts.tag}),
      options.shell{"percept", "sweep", unpack(opts.words)}, sweep.cells)
  end
  return sweep
end

local function spec_json(row)
  local about = recorder.parse_json(row.spec_json)
  return about.axes or {}, about.args or {}, about.tags
end

--- A sweep of the database by its name, or the beginning of it.
local function recorded(db, name)
  local rows = recorder.query(db, [[select * from sweep where substr(name, 1, length(:name)) = cast(:name as text)
    order by name = cast(:name as text) desc, created_ms desc limit 2]], {name = name})
  if #rows == 0 or (#rows > 1 and rows[1].name ~= name) then
    local known = {}
    for i, row in ipairs(recorder.query(db, "select name from sweep order by created_ms desc limit 8")) do known[i] = row.name end
    error(("sweep: %s '%s'%s"):format(#rows == 0 and "there is no script and no sweep" or "several sweeps begin with", name,
      #known > 0 and "; sweeps are " .. table.concat(known, ", ") or "; the database has no sweep"), 0)
  end
  local axes, args, tags = spec_json(rows[1])
  return {name = rows[1].name, experiment = rows[1].experiment, script = rows[1].script, axes = axes, args = args, tags = tags}
end

-- ---- cells and jobs ----

local function cell_label(cell, axes)
  local set, words = recorder.parse_json(cell.set_json), {}
  for _, key in ipairs(axes) do words[#words + 1] = key .. "=" .. tostring(set[key]) end
  words[#words + 1] = "seed " .. ("%d"):format(cell.seed)
  return table.concat(words, " ")
end

local function last_line(path)
  local text, last = files.read(path), nil
  for line in (text or ""):gmatch "[^\n]+" do
    if line:match "^percept: " or (line:match "%S" and not (last or ""):match "^percept: ") then last = line end
  end
  return last and last:sub(1, 200)
end

local function job_of(sweep, cell, db, opts, threads)
  local folder = (db:gsub("%.db$", "")) .. ".runs/sweeps/" .. sweep.name:gsub("[^%w_.-]", "_")
  sys.mkdir(folder)
  local words = {process.program(), "run", "--db", db, "--sweep", sweep.name, "--child-of", tostring(process.pid()),
    "--seed", ("%d"):format(cell.seed), "--threads", tostring(threads)}
  for key, value in pairs(recorder.parse_json(cell.set_json)) do
    words[#words + 1] = "--set"
    words[#words + 1] = key .. "=" .. (type(value) == "number" and ("%.17g"):format(value) or tostring(value))
  end
  for _, tag in ipairs(opts.tag or sweep.tags or {}) do
    words[#words + 1] = "--tag"
    words[#words + 1] = tag
  end
  words[#words + 1] = sweep.script
  for _, word in ipairs(sweep.args or {}) do words[#words + 1] = word end
  local log = ("%s/%s-s%d.log"):format(folder, cell.config_digest:sub(1, 8), cell.seed)
  return {
    label = cell_label(cell, sweep.axes), command = words, log = log, cell = cell,
    claim = function() return records.claim(db, sweep.name, cell.config_digest, cell.seed, opts.again or false) end,
    done = function(_, _, signal)
      if signal then recorder.stale(db, {reap = true}) end -- it could not say so itself
      records.release(db, sweep.name, cell.config_digest, cell.seed)
    end,
  }
end

-- ---- the views ----

local function clock(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds >= 3600 then return ("%d:%02d:%02d"):format(seconds / 3600, seconds / 60 % 60, seconds % 60) end
  return ("%d:%02d"):format(seconds / 60, seconds % 60)
end

local function plain_view(total)
  local function say(...) io.stderr:write(string.format(...), "\n") io.stderr:flush() end
  local count = 0
  return {
    started = function(job) say("start   %s", job.label) end,
    ended = function(job)
      count = count + 1
      local how = job.ok and "done   " or job.signal and ("killed by signal %d:"):format(job.signal) or job.code == 130 and "killed "
        or ("failed, exit %d:"):format(job.code)
      say("%s %s (%d of %d, %s)", how, job.label, count, total, clock(job.seconds))
      if not job.ok and job.code ~= 130 then say("        %s\n        %s", last_line(job.log) or "(it printed nothing)", job.log) end
    end,
    stopping = function(state) say("stopping %d runs", state.running) end,
  }
end

-- step and a figure of every cell that runs
local function progress_of(db, sweep)
  local out = {}
  local ok, rows = pcall(recorder.query, db, [[
    select r.config_digest || r.seed as cell, l.step, n.name, l.last from run r
    join metric_last l on l.run_id = r.id join metric_name n on n.id = l.name_id
    where r.sweep = :sweep and r.status = 'running'
    order by n.goal is null, n.name like '%loss' desc, l.t_ms desc]], {sweep = sweep})
  for _, row in ipairs(ok and rows or {}) do
    local p = out[row.cell] or {step = 0, text = ("%s %.4g"):format(row.name, row.last or 0 / 0)}
    p.step = math.max(p.step, row.step)
    out[row.cell] = p
  end
  return out
end

local function terminal_view(sweep, total, db)
  local drawn, shown, base = 0, 0, plain_view(total)
  local function clear()
    if drawn > 0 then io.stderr:write(("\27[%dA\27[J"):format(drawn)) end
    drawn = 0
  end
  local function draw(state)
    local now, width = sys.time(), (sys.terminal_size(2) or 80) - 1
    local finished, elapsed = state.done + state.failed, now - state.began
    local open = total - finished - state.skipped
    local eta = finished > 0 and open > 0 and ", ETA " .. clock(elapsed / finished * open) or ""
    local full = math.floor(12 * finished / math.max(1, total - state.skipped))
    local lines = {("[%s%s] %d/%d done%s, %d running, %s%s  %s"):format(("#"):rep(full), ("."):rep(12 - full), state.done, total,
      state.failed > 0 and (", %d failed"):format(state.failed) or "", state.running, clock(elapsed), eta, sweep.name)}
    local steps = progress_of(db, sweep.name)
    local jobs = {}
    for _, job in pairs(state.children) do jobs[#jobs + 1] = job end
    table.sort(jobs, function(a, b) return a.began < b.began end)
    for _, job in ipairs(jobs) do
      local p = steps[job.cell.config_digest .. ("%d"):format(job.cell.seed)]
      lines[#lines + 1] = ("  %s  %s%s"):format(job.label, clock(now - job.began), p and ("  step %d  %s"):format(p.step, p.text) or "")
    end
    clear()
    for _, line in ipairs(lines) do io.stderr:write(line:sub(1, width), "\n") end
    io.stderr:flush()
    drawn, shown = #lines, now
  end
  return {
    started = function(_, state) draw(state) end,
    ended = function(job, state)
      clear()
      base.ended(job)
      draw(state)
    end,
    tick = function(state) if sys.time() - shown > 0.5 then draw(state) end end,
    stopping = function(state)
      clear()
      io.stderr:write "\r\27[J" -- the signal may have come in the middle of a line
      base.stopping(state)
    end,
    close = clear,
  }
end

-- ---- commands ----

local function show_cells(opts, db, sweep)
  local names, rows = {"nth"}, {}
  for _, key in ipairs(sweep.axes) do names[#names + 1] = key end
  for _, name in ipairs{"seed", "status", "run", "runs", "seconds"} do names[#names + 1] = name end
  for i, cell in ipairs(recorder.query(db, "select * from sweep_cell where sweep = :sweep order by nth", {sweep = sweep.name})) do
    local set, row = recorder.parse_json(cell.set_json), {cell.nth}
    for k, key in ipairs(sweep.axes) do row[k + 1] = tonumber(set[key]) or set[key] end
    local n = #sweep.axes + 1
    row[n + 1], row[n + 2], row[n + 3], row[n + 4], row[n + 5] = cell.seed, cell.status, cell.uid, cell.runs, cell.seconds
    rows[i] = row
  end
  options.table(opts, names, rows)
end

local function list(opts)
  options.query(opts, [[
    select s.name, s.experiment, s.script, datetime(s.created_ms / 1000, 'unixepoch', 'localtime') as created, count(*) as cells,
           sum(c.status = 'done') as done, sum(c.status = 'running') as running, sum(c.status in ('failed', 'killed', 'stale')) as lost,
           sum(c.status = 'queued') as queued
    from sweep s join sweep_cell c on c.sweep = s.name group by s.name order by s.created_ms desc]])
  return 0
end

local function counts(db, sweep)
  local count, words, total = {}, {}, 0
  for _, row in ipairs(recorder.query(db, "select status, count(*) as n from sweep_cell where sweep = :sweep group by status",
      {sweep = sweep.name})) do
    count[row.status] = row.n
    total = total + row.n
  end
  for _, status in ipairs{"done", "running", "failed", "killed", "stale", "queued"} do
    if count[status] then words[#words + 1] = ("%d %s"):format(count[status], status) end
  end
  return ("%s: %d cells: %s"):format(sweep.name, total, table.concat(words, ", ")), count.done or 0, total
end

local function finish(opts, db, sweep)
  local text, done, total = counts(db, sweep)
  if done > 0 then
    summary.print(opts, {sweep = sweep.name, by = sweep.axes})
    if options.format(opts) == "table" then print() end
  end
  if options.format(opts) == "table" then print(text) end -- last: what a long table must not push away
  if done < total and options.format(opts) == "table" then
    print(("percept sweep --missing %s%s runs what is not done"):format(sweep.name, opts.db and " --db " .. opts.db or ""))
  end
  return done == total and 0 or 1
end

local function wanted(opts, db, sweep)
  local cells = {}
  for _, cell in ipairs(recorder.query(db, "select * from sweep_cell where sweep = :sweep order by nth", {sweep = sweep.name})) do
    local lost = cell.status == "failed" or cell.status == "killed" or cell.status == "stale"
    if opts.again or cell.status == "queued" or (opts.missing and lost) then cells[#cells + 1] = cell end
  end
  return cells
end

local function is_script(word)
  return sys.exists(word) and word:match "%.lua$" ~= nil
end

function command.run(opts)
  local db = options.path(opts)
  if opts.list then return list(opts) end
  if not opts[1] then return options.mistake("sweep", "which script, or which sweep?") end
  if opts.missing and opts.again then return options.mistake("sweep", "--missing or --again, not both") end
  local sweep, why
  if is_script(opts[1]) then
    sweep, why = describe(opts, db)
    if not sweep then return options.mistake("sweep", "%s", why) end
  elseif opts[1]:match "%.lua$" then
    error(("sweep: there is no script %s"):format(opts[1]), 0)
  else
    if opts.grid or opts.random or opts.seeds then
      return options.mistake("sweep", "'%s' is no script; --grid, --random and --seeds describe a new sweep", opts[1])
    end
    sweep = recorded(db, opts[1])
  end
  if opts.dry and sweep.cells then
    for _, cell in ipairs(sweep.cells) do print(cell_label({set_json = cell.set, seed = cell.seed}, sweep.axes)) end
    print(("%d cells"):format(#sweep.cells))
    return 0
  end
  recorder.stale(db, {reap = true})
  if opts.show then
    show_cells(opts, db, sweep)
    if options.format(opts) ~= "table" then return 0 end
    print()
    return finish(opts, db, sweep)
  end
  local cells, jobs, n = wanted(opts, db, sweep), {}, opts.jobs
  local threads = opts.threads or math.max(1, math.floor(T.get_num_threads() / n))
  for i, cell in ipairs(cells) do jobs[i] = job_of(sweep, cell, db, opts, threads) end
  io.stderr:write(("%s: %d cells to run, %d at a time, %d thread%s each\n"):format(sweep.name, #jobs, n, threads,
    threads == 1 and "" or "s"))
  local out = pool.run(jobs, n, sys.isatty(2) and terminal_view(sweep, #jobs, db) or plain_view(#jobs))
  if out.signal then
    recorder.stale(db, {reap = true})
    print((counts(db, sweep)))
    print(("percept sweep --missing %s%s goes on"):format(sweep.name, opts.db and " --db " .. opts.db or ""))
    return out.signal == "TERM" and 143 or 130
  end
  return finish(opts, db, sweep)
end

return command
