--- Slots by gradient search in the decoder (arXiv 2512.08854, Eq. 4.3), and what it cost.
local T = require "percept.tensor"
local inverter = require "percept.inverter"
local progress = require "percept.progress"
local sys = require "percept.sys"

local searching = {}

-- A search as a child run: the mean loss of its images at every step, and what it cost.
local function record_search(o, trace, cost)
  local config = {method = o.method, split = o.split, images = o.index:size(1)}
  for key, value in pairs(o.config) do config[key] = value end
  local child = o.run:child{kind = "inversion", name = o.title, config = config}
  for k, loss in ipairs((trace / o.index:size(1)):to_table()) do child:log(k - 1, {["search/squared_error"] = loss}) end
  child:log(o.config.steps, {["search/decoder_evaluations_per_image"] = cost.evaluations / o.index:size(1)})
  child:finish()
end

--- Slots of the images at `index` after search from o.z0 (N,K,m), or the best of S starts (S,N,K,m); also the cost
-- {evaluations, seconds, loss_before, loss_after, converged (share)}. o: decoder, dataset, index, z0, config {method, steps,
-- lr, prior, tol, patience, batch, entropy}; readouts (Readouts, whose entropy config.entropy weighs). With o.run,
-- o.method and o.split it becomes a child run.
function searching.run(o)
  local c, n = o.config, o.index:size(1)
  local trace = T.zeros(c.steps + 1)
  local bar = progress.start{title = o.title or "search", total = n}
  local parts, evaluations, first, last, converged = {}, 0, 0, 0, 0
  local began, starts = sys.time(), o.z0:dim() == 4
  local entropy = c.entropy or 0
  o.decoder:freeze()
  for from = 1, n, c.batch do
    local count = math.min(c.batch, n - from + 1)
    local x = o.dataset:images(o.index:narrow(1, from, count))
    local r = inverter.search(o.decoder, x, o.z0:narrow(starts and 2 or 1, from, count), {
      method = c.method, steps = c.steps, lr = c.lr, prior = c.prior, tol = c.tol, patience = c.patience, batch = c.batch,
      trace = true, entropy = entropy, readout = entropy > 0 and function(z) return o.readouts:logits(z) end or nil,
    })
    parts[#parts + 1] = r.z
    evaluations = evaluations + r.evaluations
    converged = converged + r.converged:to("f32"):sum():item()
    trace = trace + r.trace:sum(1)
    first, last = first + r.trace:select(2, 1):sum():item(), last + r.loss:sum():item()
    bar:show(from + count - 1, {loss = last / (from + count - 1)})
  end
  o.decoder:unfreeze()
  bar:finish{loss = last / n}
  local cost = {
    evaluations = evaluations, loss_before = first / n, loss_after = last / n, converged = converged / n,
    seconds = sys.time() - began,
  }
  if o.run then record_search(o, trace, cost) end
  return T.cat(parts, {dim = 1}), cost
end

return searching
