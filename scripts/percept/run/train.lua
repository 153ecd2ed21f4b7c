--- The training loop: steps, schedules, logging, checkpoints, exact resume.
-- One loop serves every phase (the autoencoder, replay): what a step computes is
-- a function given by the study.
local percept = require "percept"
local T = require "percept.tensor"
local declared = require "percept.base.declared"
local formats = require "percept.formats"
local metrics = require "percept.metrics"
local open = require "percept.run.open"
local process = require "percept.process"
local progress = require "percept.progress"
local recorder = require "percept.recorder"
local records = require "percept.records"
local sys = require "percept.sys"

local train = {}

local function prefixed(into, prefix, tensors)
  for name, t in pairs(tensors) do into[prefix .. name] = t end
end

local function stripped(from, prefix)
  local out = {}
  for name, t in pairs(from) do
    if name:sub(1, #prefix) == prefix then out[name:sub(#prefix + 1)] = t end
  end
  return out
end

--- Writes everything a run needs to go on: weights, optimiser, random numbers,
-- step, position in the data. Temporary name, then rename.
-- state: {modules = {name = module}, optimizer =, batches =, step =, tensors = {name = tensor}, meta = {}}
function train.save(path, state)
  local tensors, meta = {}, {}
  for name, module in pairs(state.modules) do prefixed(tensors, "module." .. name .. ".", module:state()) end
  if state.optimizer then
    local slots, scalars = state.optimizer:state()
    prefixed(tensors, "optimizer.", slots)
    for key, value in pairs(scalars) do meta["optimizer." .. key] = tostring(value) end
  end
  for name, t in pairs(state.tensors or {}) do tensors["tensor." .. name] = t end
  for key, value in pairs(state.meta or {}) do meta["meta." .. key] = tostring(value) end
  meta.step = tostring(state.step or 0)
  meta.rng = T.get_rng_state()
  if state.batches then meta.batches = state.batches:state() end
  formats.save_checkpoint(path, tensors, meta)
  return path
end

--- Reads a checkpoint of train.save back into the same objects; returns step, tensors, meta.
function train.load(path, state)
  local tensors, meta = formats.load_checkpoint(path)
  for name, module in pairs(state.modules) do module:load_state(stripped(tensors, "module." .. name .. ".")) end
  if state.optimizer then state.optimizer:load_state(stripped(tensors, "optimizer."), stripped(meta, "optimizer.")) end
  if state.batches and meta.batches then state.batches:set_state(meta.batches) end
  if state.rng ~= false and meta.rng then T.set_rng_state(meta.rng) end
  return tonumber(meta.step), stripped(tensors, "tensor."), stripped(meta, "meta.")
end

-- Folder (with its slash) and name of a path.
local function split(path) return path:match "^(.*/)([^/]*)$" or "", path:match "[^/]*$" end

-- The checkpoints of a loop that its run recorded, newest first. They lie where the loop writes now: the folder may have moved
-- with its database. A file that was written but not recorded when the process died is ahead of the rows, and is not used.
local function recorded(path, run)
  local folder, stem = split((path:gsub("%.safetensors$", "")))
  local rows, list = recorder.query(run:db_path(), [[
    select a.path from artifact a join run r on r.id = a.run_id
    where r.uid = :uid and a.kind = 'checkpoint' and a.complete order by a.step desc, a.id desc]], {uid = run:uid()}), {}
  for _, row in ipairs(rows) do
    local _, name = split(row.path)
    if name:sub(1, #stem + 1) == stem .. "-" and name:match("^%d+%.safetensors$", #stem + 2) then list[#list + 1] = folder .. name end
  end
  return list
end

--- The checkpoint to go on from, or nil. path is the one given to train.loop. A run that recorded checkpoints of this loop, none of
-- which is there and whole, is an error: beginning anew would mix two trainings.
function train.newest(path, run)
  if not path then return nil end
  if not run then return sys.exists(path) and path or nil end
  if not run.resumed then return nil end
  local list, lost = recorded(path, run), nil
  for _, file in ipairs(list) do
    local ok, why = pcall(formats.load_checkpoint, file)
    if ok then
      if lost then io.stderr:write(("%s; going on from %s\n"):format(lost, file)) end
      return file
    end
    lost = lost or tostring(why)
  end
  if lost then
    error(("%s; no checkpoint before it is there: percept run --resume %s --from-start begins at step 1"):format(lost, run:uid()), 0)
  end
end

--- Figures of a slot attention (B,pixels,K), whose last dimension adds up to 1:
-- slot_entropy, mean over pixels of the entropy over slots, divided by log K (0: every pixel belongs
-- to one slot, 1: to all alike); dead_slots, how many slots get less than 1 % of the batch's attention (percept.metrics.slot_health).
function train.slot_figures(attention)
  local h = metrics.slot_health{attention = attention:detach()}
  return {slot_entropy = h.mean_entropy, dead_slots = h.empties}
end

-- ---- the loop ----

local active -- the loop that runs
local Loop = {}
Loop.__index = Loop

local loop_options = declared.new("train.loop", {
  {"name", "str", required = true}, {"steps", "int64(0..)", required = true}, {"first", "int64(0..)", 0},
  {"step", "callable", required = true}, {"optimizer", "any", required = true}, {"modules", "table", required = true},
  {"batches", "any"}, {"lr", "callable"}, {"clip", "num(0..)", 0}, {"run", "any"}, {"offset", "int64(0..)", 0},
  {"log_every", "int64(1..)", 20}, {"checkpoint", "str|false"}, {"checkpoint_every", "num(0..)", 20}, {"keep_every", "int64(1..)"},
  {"resume", "bool", true}, {"quiet", "bool", false}, {"images", "num(0<..)"}, {"eval", "callable"}, {"eval_every", "int64(1..)", 100},
  {"watch", {{"metric", "str", "loss"}, {"goal", "str(min|max)", "min"}, {"patience", "int64(1..)"}, {"min_delta", "num(0..)", 0}}},
  {"on_step", "callable"}, {"on_log", "callable"}, {"on_eval", "callable"}, {"on_checkpoint", "callable"}, {"on_end", "callable"},
})

-- A loop's name as a file's: two names never give one. (The best state of "fit" is called fit-best-N, too.)
local function file_name(name)
  local plain = name:gsub("[^%w_.-]", "_")
  if plain == name and not name:find "%-best$" then return name end
  return plain .. "-" .. records.digest(name):sub(1, 8)
end

-- Where checkpoints go: what the caller says; of a recorded run its folder.
local function checkpoint_path(options)
  if options.checkpoint ~= nil then return options.checkpoint or nil end
  local run = options.run
  if not run then return nil end
  local folder = run.folder or open.folder(run)
  return ("%s/%s.safetensors"):format(folder, file_name(options.name))
end

local function shown(v)
  if v == nil then return "nothing" end
  if T.is_tensor(v) then return ("a %s tensor (%s)"):format(v:dtype(), table.concat(v:shape(), ",")) end
  return type(v) == "string" and ("the string %q"):format(v) or type(v) == "number" and "the number " .. v or "a " .. type(v)
end

local function number_of(v) -- nil when it is no number and no tensor of one
  if type(v) == "number" then return v end
  return T.is_tensor(v) and v:numel() == 1 and v:item() or nil
end

-- What a function of the caller returned, {figure = number or tensor of one number}, as numbers.
local function figures_of(what, figures, skip)
  local out = {}
  if type(figures) ~= "table" then
    error(("train.loop: %s must be a table {figure = number or tensor of one number}, not %s"):format(what, shown(figures)), 0)
  end
  for name, v in pairs(figures) do
    if type(name) ~= "string" then error(("train.loop: %s: a figure is called by a name, not by %s"):format(what, shown(name)), 0) end
    if name ~= skip then
      out[name] = number_of(v)
      if out[name] == nil then
        error(("train.loop: %s: '%s' must be a number or a tensor of one number, not %s"):format(what, name, shown(v)), 0)
      end
    end
  end
  return out
end

local function has_methods(v, ...)
  if type(v) ~= "table" and type(v) ~= "userdata" then return false end
  for _, name in ipairs{...} do
    local ok, method = pcall(function() return v[name] end)
    if not ok or method == nil then return false end
  end
  return true
end

local function check_objects(options)
  if not has_methods(options.optimizer, "step", "zero_grad", "clip") then
    error(("train.loop: option 'optimizer' must be an optimiser, as of optim.adam, not %s"):format(shown(options.optimizer)), 0)
  end
  if options.run ~= nil and not has_methods(options.run, "log", "artifact") then
    error(("train.loop: option 'run' must be a run, as percept.run or an experiment gives, not %s"):format(shown(options.run)), 0)
  end
  if options.batches ~= nil and not has_methods(options.batches, "state", "set_state") then
    error(("train.loop: option 'batches' must be batches, as of datasets.batches, not %s"):format(shown(options.batches)), 0)
  end
  for name, module in pairs(options.modules) do
    if type(name) ~= "string" or not has_methods(module, "load_state") then
      error(("train.loop: option 'modules' must be {name = module}; under %s stands %s"):format(
        type(name) == "string" and ("'%s'"):format(name) or shown(name), shown(module)), 0)
    end
  end
end

local function new_loop(given)
  local options = loop_options:complete(given)
  check_objects(options)
  local watch = options.watch or loop_options.of.watch.group:defaults()
  if options.watch and not options.eval then error("train.loop: watch needs eval, whose figures it watches", 0) end
  return setmetatable({
    options = options, run = options.run, optimizer = options.optimizer, offset = options.offset,
    path = checkpoint_path(options), figures = {}, saved = sys.time(), paused = 0, logged = sys.time(), watch = watch,
    waited = 0, -- evaluations since the best one
    state = {modules = options.modules, optimizer = options.optimizer, batches = options.batches},
  }, Loop)
end

-- What the caller and the study of the run want to be told.
function Loop:tell(what, ...)
  local own, study = self.options[what], self.run and self.run.callbacks
  if own then own(...) end
  if study and study[what] then study[what](self.run, ...) end
end

-- Goes back to the newest checkpoint; returns the steps done.
function Loop:take_up()
  local options = self.options
  self.newest = options.resume and train.newest(self.path, self.run) or nil
  if not self.newest then return options.first end
  local first, _, meta = train.load(self.newest, self.state)
  self.best, self.waited = tonumber(meta.best), tonumber(meta.waited) or 0
  self.newest_step = first
  if meta.best_path then -- where it lies now, if it is one of ours: it will be removed for a better one
    local folder, stem = split((self.path:gsub("%.safetensors$", "")))
    local _, name = split(meta.best_path)
    self.best_path = name:sub(1, #stem + 6) == stem .. "-best-" and folder .. name or nil
  end
  self.stopped, self.evaluated = meta.stopped == "true", tonumber(meta.evaluated)
  return first
end

function Loop:save(path, t)
  self.state.step = t
  self.state.meta = {phase = self.options.name, best = self.best and ("%.17g"):format(self.best), waited = self.waited,
    best_path = self.best_path, evaluated = self.evaluated, stopped = self.stopped and "true" or nil}
  return train.save(path, self.state)
end

function Loop:numbered(t, kind)
  return ("%s-%s%08d.safetensors"):format((self.path:gsub("%.safetensors$", "")), kind, t)
end

-- Writes the state behind step t. Of a recorded run the newest stays, and those of every keep_every steps.
function Loop:checkpoint(t)
  if not self.path then return nil end
  local began, path = sys.time(), self.path
  if self.run then
    path = self:numbered(t, "")
    self:save(path, t)
    self.run:artifact(path, {kind = "checkpoint", step = self.offset + t}) -- flushes the rows up to it
    local keep = self.options.keep_every
    if self.newest and self.newest ~= path and not (keep and self.newest_step and self.newest_step % keep == 0) then
      os.remove(self.newest)
    end
    self.newest, self.newest_step = path, t
  else
    self:save(path, t)
  end
  self.saved = sys.time()
  self.paused = self.paused + self.saved - began
  self:tell("on_checkpoint", path, t)
  return path
end

-- The best state so far, in a file of its own; resuming never begins from it.
function Loop:save_best(t)
  if not self.path then return end
  local path, old = self.run and self:numbered(t, "best-") or self.path:gsub("%.safetensors$", "") .. "-best.safetensors", self.best_path
  self.best_path = path
  self:save(path, t)
  if self.run then
    self.run:artifact(path, {kind = "best", step = self.offset + t})
    if old and old ~= path then os.remove(old) end
  end
end

-- Everything is between step t and the next: a state to come back to.
function Loop:boundary(t)
  local batches = self.options.batches
  self.t, self.rng, self.position, self.taken = t, T.get_rng_state(), batches and batches:state(), self.optimizer:steps()
end

--- After an interrupt: writes a checkpoint of the loop that was cut off, as it stood before the
-- step that was under way. Returns the step, the file and the run; nil when no loop was running
-- or it writes no checkpoints.
function train.rescue()
  local loop = active
  active = nil
  if not loop or not loop.path then return nil end
  local ahead = loop.optimizer:steps() - loop.taken
  if ahead == 1 then -- cut between a step and its note: everything stands behind that step
    loop.t = loop.t + 1
  elseif ahead == 0 then
    T.set_rng_state(loop.rng)
    if loop.options.batches then loop.options.batches:set_state(loop.position) end
  else
    return nil
  end
  return loop.t, loop:checkpoint(loop.t), loop.run
end

--- The loop that ran has ended by an error: a later interrupt is not about it.
function train.forget() active = nil end

local guarded
local function guard() -- scripts that are interrupted outside of an experiment
  if guarded then return end
  guarded = true
  percept.on_exit(function(status)
    if status ~= "killed" then return end
    process.hold_signal(20) -- for the checkpoint
    train.rescue()
  end)
end

-- Figures of step t for the log: the loss, what the step returned, slots, gradient norm, rate, speed.
function Loop:measure(t, loss, values, norm)
  local options = self.options
  self.figures = {loss = loss:item()}
  if self.figures.loss ~= self.figures.loss then
    error(("%s: the loss is NaN at step %d; lower the learning rate, or find the op with T.anomaly(true)"):format(options.name, t), 0)
  end
  local images = options.images
  local row = {}
  local attention = values and values.attention
  if attention then
    images = images or attention:size(1)
    for key, figure in pairs(train.slot_figures(attention)) do row[key] = figure end
  end
  for name, v in pairs(figures_of("the second result of step", values or {}, "attention")) do self.figures[name] = v end
  for name, v in pairs(self.figures) do row[name] = v end
  row.grad_norm, row.lr = norm, self.optimizer:lr()
  local now = sys.time()
  local seconds = math.max(now - self.logged - self.paused, 1e-9)
  if images then row.images_per_second = images * (t - (self.logged_step or 0)) / seconds end
  self.logged, self.logged_step, self.paused = now, t, 0
  return row
end

function Loop:log(t, row, prefix)
  if not self.run then return end
  local named = {}
  for name, v in pairs(row) do named[prefix .. name] = v end
  self.run:log(self.offset + t, named)
end

-- Evaluates; keeps the best state; says whether patience is at its end.
function Loop:evaluate(t)
  local options, watch, began = self.options, self.watch, sys.time()
  local figures = T.no_grad(function() return options.eval(t) end)
  local numbers = figures_of("what eval returns", figures)
  self.evaluated = t
  self:log(t, numbers, options.name .. "/eval/")
  self:tell("on_eval", t, numbers)
  local value = numbers[watch.metric]
  if value == nil then
    if not options.watch then return false end
    local names = {}
    for name in pairs(numbers) do names[#names + 1] = name end
    table.sort(names)
    error(("train.loop: watch.metric = '%s', but eval returns %s"):format(watch.metric, table.concat(names, ", ")), 0)
  end
  local gain = self.best and (watch.goal == "max" and value - self.best or self.best - value)
  if value == value and (not gain or gain > watch.min_delta) then
    self.best, self.waited = value, 0
    self:save_best(t)
  else
    self.waited = self.waited + 1
  end
  self.paused = self.paused + sys.time() - began
  return watch.patience and self.waited >= watch.patience
end

-- (A loop that was cut off before an evaluation makes it when it is taken up.)
function Loop:evaluate_when_due(t)
  local options = self.options
  if not options.eval or t == 0 or self.evaluated == t then return end
  if t % options.eval_every ~= 0 and t ~= options.steps then return end
  self.stopped = self:evaluate(t)
  self:boundary(t) -- evaluations may draw random numbers
end

local function check_step(t, loss, values)
  if not T.is_tensor(loss) or loss:numel() ~= 1 then
    error(("train.loop: step must return the loss, a tensor of one number that depends on the modules, and a table of figures or "
      .. "nothing; step %d returned %s"):format(t, shown(loss)), 0)
  end
  if not loss:requires_grad() then
    error(("train.loop: the loss that step %d returned depends on no parameter: was it computed without gradients, or detached?")
      :format(t), 0)
  end
  if values ~= nil and type(values) ~= "table" then figures_of("the second result of step", values) end
  local attention = values and values.attention
  if attention ~= nil and not (T.is_tensor(attention) and attention:dim() == 3) then
    error(("train.loop: the figure 'attention' of step must be a tensor (B,pixels,K), not %s"):format(shown(attention)), 0)
  end
end

function Loop:step(t)
  local options, optimizer = self.options, self.optimizer
  if options.lr then
    local rate = options.lr(t - 1)
    if type(rate) ~= "number" then error(("train.loop: lr must return a number, the rate of step %d, not %s"):format(t, shown(rate)), 0) end
    optimizer:lr(rate)
  end
  optimizer:zero_grad()
  local loss, values = options.step(t)
  check_step(t, loss, values)
  loss:backward()
  local norm = optimizer:clip(options.clip)
  optimizer:step()
  self:boundary(t)
  if t % options.log_every == 0 or t == options.steps then
    local row = self:measure(t, loss, values, norm)
    self:log(t, row, options.name .. "/")
    if self.bar then self.bar:show(t, self.figures) end
    self:tell("on_log", t, row)
  end
  self:tell("on_step", t, loss, values)
end

--- Runs the loop.
-- options:
--   name        of the phase: metric names and the checkpoint file begin with it
--   steps       how many
--   first       steps done before (the loop goes on behind them); default 0
--   step        function(t) -> loss, {figure = number or 0-dim tensor}; t counts from 1. A figure called
--               attention, (B,pixels,K), is logged as slot_entropy and dead_slots
--   optimizer   its gradients are zeroed, clipped and stepped here
--   modules     {name = module}: what a checkpoint holds
--   batches     position in the data (optional)
--   images      images a step: for images_per_second (default: those of the attention)
--   lr          schedule: function(t - 1) -> rate (optional)
--   clip        largest gradient norm; 0, or left out: nothing is clipped
--   run         recorder (optional); offset: its step numbers begin behind this one
--   log_every   steps between rows; default 20
--   eval        function(t) -> {figure = number}, without gradients, every eval_every (default 100) steps
--   watch       {metric = "loss", goal = "min", min_delta = 0, patience = N}: the figure of eval by which the
--               best state is kept in a file of its own, and after how many evaluations without a better one
--               training stops (without patience: never)
--   checkpoint  path; of a recorded run it defaults to the run's folder; false: none. checkpoint_every
--               seconds, default 20. Recorded runs write path-<step> and keep the newest; keep_every N:
--               those of every N steps, too
--   resume      read the checkpoint if it is there; default true
--   quiet       no progress bar
--   on_step(t, loss, values), on_log(t, row), on_eval(t, figures), on_checkpoint(path, t), on_end(figures, t)
-- Returns the last figures and the last step. The step after a resume is the one that would have come.
function train.loop(given)
  local self = new_loop(given)
  local options = self.options
  local first = self:take_up()
  self.logged_step = first
  self.bar = not options.quiet and progress.start{title = options.name, total = options.steps, first = first}
  if first > 0 and not self.newest then self:checkpoint(first) end
  if self.run then guard() end
  self:boundary(first)
  active = self
  local t, began = first, first
  if self.newest then self:evaluate_when_due(first) end
  while t < options.steps and not self.stopped do
    t = t + 1
    self:step(t)
    self:evaluate_when_due(t)
    local keep = options.keep_every and t % options.keep_every == 0
    if keep or sys.time() - self.saved > options.checkpoint_every then self:checkpoint(t) end
  end
  active = nil
  if t > began or self.stopped then
    if self.newest_step ~= t then self:checkpoint(t) end
  end
  if self.bar then self.bar:finish(self.figures, t) end
  if self.stopped then
    print(("%s: stopped at step %d: no better %s in %d evaluations"):format(options.name, t, self.watch.metric, self.watch.patience))
  end
  self:tell("on_end", self.figures, t)
  return self.figures, t
end

return train
