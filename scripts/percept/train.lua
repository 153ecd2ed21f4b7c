--- The training loop: steps, schedules, logging, checkpoints, exact resume.
-- One loop serves every phase (the autoencoder, replay): what a step computes is
-- a function given by the study.
local T = require "percept.tensor"
local formats = require "percept.formats"
local progress = require "percept.progress"
local recorder = require "percept.recorder"
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

--- The checkpoint to go on from, or nil. path is the one given to train.loop. Of a recorded run
-- the database says which file counts: a file that was written but not recorded when the process
-- died is ahead of the recorded rows, and is not used.
function train.newest(path, run)
  if not path then return nil end
  if not run then return sys.exists(path) and path or nil end
  if not run.resumed then return nil end
  local stem = (path:gsub("%.safetensors$", ""))
  local rows = recorder.query(run:db_path(), [[
    select a.path from artifact a join run r on r.id = a.run_id
    where r.uid = :uid and a.kind = 'checkpoint' and a.complete order by a.step desc]], {uid = run:uid()})
  for _, row in ipairs(rows) do
    if row.path:sub(1, #stem + 1) == stem .. "-" and sys.exists(row.path) then return row.path end
  end
end

local active -- the loop that runs, as it was between its last two steps

--- After an interrupt: writes a checkpoint of the loop that was cut off, as it stood before the
-- step that was under way. Returns the step, or nil when no loop was running.
function train.rescue()
  local a = active
  active = nil
  if not a or a.optimizer:steps() ~= a.taken then return nil end -- (cut between a step and its note)
  T.set_rng_state(a.rng)
  if a.batches then a.batches:set_state(a.position) end
  a.checkpoint(a.t)
  return a.t
end

--- Runs the loop.
-- options:
--   name        of the phase: metric names and the checkpoint file begin with it
--   steps       how many
--   first       steps done before (the loop goes on behind them); default 0
--   step        function(t) -> loss, {figure = number or 0-dim tensor}; t counts from 1
--   optimizer   its gradients are zeroed, clipped and stepped here
--   modules     {name = module}: what a checkpoint holds
--   batches     position in the data (optional)
--   lr          schedule: function(t - 1) -> rate (optional)
--   clip        largest gradient norm (optional)
--   run         recorder (optional); offset: its step numbers begin behind this one
--   log_every   steps between rows; default 20
--   checkpoint  path (optional); checkpoint_every seconds, default 20. Recorded runs write
--               path-<step> and keep the newest
--   resume      read the checkpoint if it is there; default true
-- Returns the last figures. The step after a resume is the one that would have come.
function train.loop(options)
  local run, optimizer = options.run, options.optimizer
  local state = {modules = options.modules, optimizer = optimizer, batches = options.batches, meta = {phase = options.name}}
  local first, offset = options.first or 0, options.offset or 0
  local newest = options.resume ~= false and train.newest(options.checkpoint, run) or nil
  if newest then first = train.load(newest, state) end
  local bar = options.quiet ~= true and progress.start{title = options.name, total = options.steps, first = first}
  local saved, figures = sys.time(), {}
  local function checkpoint(t)
    if not options.checkpoint then return end
    state.step = t
    if run then
      local path = ("%s-%08d.safetensors"):format((options.checkpoint:gsub("%.safetensors$", "")), t)
      train.save(path, state)
      run:artifact(path, {kind = "checkpoint", step = offset + t}) -- flushes the rows up to it
      if newest and newest ~= path then os.remove(newest) end
      newest = path
    else
      train.save(options.checkpoint, state)
    end
    saved = sys.time()
  end
  if first > 0 and not newest then checkpoint(first) end
  local function boundary(t) -- everything is between step t and the next: a state to come back to
    active = {
      t = t, rng = T.get_rng_state(), position = options.batches and options.batches:state(), batches = options.batches,
      taken = optimizer:steps(), optimizer = optimizer, checkpoint = checkpoint,
    }
  end
  boundary(first)
  for t = first + 1, options.steps do
    if options.lr then optimizer:lr(options.lr(t - 1)) end
    optimizer:zero_grad()
    local loss, values = options.step(t)
    loss:backward()
    local norm = optimizer:clip(options.clip or 0)
    optimizer:step()
    boundary(t)
    if t % (options.log_every or 20) == 0 or t == options.steps then
      figures = {loss = loss:item()}
      if figures.loss ~= figures.loss then
        error(("%s: the loss is NaN at step %d; lower the learning rate, or find the op with T.anomaly(true)"):format(options.name, t), 0)
      end
      for name, v in pairs(values or {}) do figures[name] = type(v) == "number" and v or v:item() end
      if run then
        local row = {}
        for name, v in pairs(figures) do row[options.name .. "/" .. name] = v end
        row[options.name .. "/grad_norm"] = norm
        row[options.name .. "/lr"] = optimizer:lr()
        run:log(offset + t, row)
      end
      if bar then bar:show(t, figures) end
    end
    if sys.time() - saved > (options.checkpoint_every or 20) then checkpoint(t) end
  end
  active = nil
  if first < options.steps then checkpoint(options.steps) end
  if bar then bar:finish(figures) end
  return figures
end

return train
