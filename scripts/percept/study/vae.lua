--- The autoencoder with slots: reconstruction + KL + interaction (paper.md 6.1), in attempts.
local percept = require "percept"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local interaction = require "percept.interaction"
local metrics = require "percept.metrics"
local datasets = require "percept.datasets"
local encoder = require "percept.encoder"
local train = require "percept.train"
local consistency = require "percept.consistency"
local augment = require "percept.study.augment"

local vae = {}

-- The VAE's terms for images x: squared error per image, KL, interaction.
-- input: what the encoder is given for them (the images, or kept tokens).
local function vae_terms(coder, decoder, x, input, noise)
  local mean, log_std = coder(input)
  local z = noise and mean + log_std:exp() * T.randn(mean:shape()) or mean
  local image, attention = decoder(z)
  return nn.mse(image, x, {reduction = "batch_mean"}), nn.kl(mean, log_std), attention and interaction.attention(attention), attention, mean
end

-- The squared error counts as if the image had 32 x 32 pixels, so that the weights mean the same whatever its size. A decoder
-- without slot attention has no interaction to weigh.
local function objective(o, mse, kl, inter, alpha)
  local c, pixels = o.config, o.dataset:height() * o.dataset:width()
  local sum = mse * (c.sigma * 32 * 32 / pixels) + kl * c.beta
  return inter and sum + inter * alpha or sum
end

-- One attempt: models, optimiser and position in the data, all from one seed.
local function new_attempt(o, seed)
  T.manual_seed(seed)
  local coder, decoder = o.make()
  local model = nn.module{encoder = coder, decoder = decoder, forward = function(self, x) return self.encoder(x) end}
  return {
    encoder = coder, decoder = decoder, model = model, optimizer = optim.adam(model, {lr = o.config.lr}),
    batches = datasets.batches(o.index, o.config.batch, {seed = seed}), rng = T.get_rng_state(),
  }
end

-- What attempts are chosen by, on ID validation images: the objective, with the penalty at full weight, and how many slots
-- are empty.
local function validation(o, attempt)
  local sum, n, shares, mixed = 0, o.validation:size(1), {}, {}
  return T.no_grad(function()
    for from = 1, n, 128 do
      local count = math.min(128, n - from + 1)
      local part = o.validation:narrow(1, from, count)
      local input = encoder.input(attempt.encoder, o.dataset, part)
      local mse, kl, inter, attention = vae_terms(attempt.encoder, attempt.decoder, o.dataset:images(part), input, false)
      sum = sum + count * objective(o, mse, kl, inter, o.config.alpha):item()
      if attention then shares[#shares + 1], mixed[#mixed + 1] = metrics.slot_use(attention) end
    end
    if #shares == 0 then return sum / n, 0 end
    return sum / n, metrics.slot_health{share = T.cat(shares, {dim = 1}), mixed = T.cat(mixed, {dim = 1})}.empties
  end)
end

-- Attempts by successive halving: all of them train `attempt_steps` steps, the better half goes on to twice as many, and so on
-- until one is left. Returns it and the steps it has done. `loop(attempt, options)` trains.
local function halving(o, loop)
  local c, field, done = o.config, {}, 0
  for k = 1, math.max(1, c.attempts) do
    field[k] = new_attempt(o, o.seed * 1000 + k)
    field[k].number = k
  end
  repeat
    local steps = math.min(done == 0 and c.attempt_steps or 2 * done, c.steps)
    for _, attempt in ipairs(field) do
      T.set_rng_state(attempt.rng)
      loop(attempt, {name = "attempt" .. attempt.number, steps = steps, first = done})
      attempt.rng = T.get_rng_state()
      attempt.objective, attempt.dead = validation(o, attempt)
      o.run:log(steps, {
        ["attempt" .. attempt.number .. "/objective"] = attempt.objective, ["attempt" .. attempt.number .. "/dead"] = attempt.dead,
      })
      if attempt.objective ~= attempt.objective then attempt.objective = math.huge end -- NaN: came apart
    end
    done = steps
    table.sort(field, function(a, b)
      if a.dead ~= b.dead then return a.dead < b.dead end
      return a.objective < b.objective
    end)
    for k = #field, math.max(1, math.floor(#field / 2)) + 1, -1 do field[k] = nil end
  until #field == 1 or done >= c.steps
  T.set_rng_state(field[1].rng)
  o.run:param("attempt", field[1].number)
  return field[1], done
end

--- Trains the VAE: sigma * squared error of 32 x 32 pixels + beta * KL + alpha(t) * interaction
-- [+ consistency * compositional consistency of slots recombined at their places].
-- Slots sometimes begin badly (one takes two objects, one stays empty) and never recover; empty slots and the objective on ID
-- validation images (no labels, no OOD) tell, the surer the later. So `attempts` trainings begin, the worse half (more empty
-- slots, then the higher objective) stops after `attempt_steps`, half of the others after twice as many, and so on; the last
-- one goes on to `steps`.
-- o: make (-> encoder, decoder), dataset, index, validation (indices), config, run, seed, checkpoint.
-- Returns encoder, decoder.
function vae.train(o)
  local c = o.config
  local rate = optim.schedule{
    {kind = "linear", from = 0, to = c.lr, steps = c.warmup},
    {kind = "constant", from = c.lr, steps = math.max(1, math.floor(c.steps * c.hold) - c.warmup)},
    {kind = "cosine", from = c.lr, to = c.lr * c.final, steps = math.max(1, c.steps - math.floor(c.steps * c.hold))},
  }
  local alpha = optim.schedule{
    {kind = "constant", from = 0, steps = math.max(1, c.alpha_delay)},
    {kind = "linear", from = 0, to = c.alpha, steps = math.max(1, c.alpha_ramp)},
  }
  local pixels = o.dataset:height() * o.dataset:width() * 3
  local function loop(attempt, options)
    return train.loop{
      name = options.name, steps = options.steps, first = options.first, optimizer = attempt.optimizer,
      modules = {encoder = attempt.encoder, decoder = attempt.decoder}, batches = attempt.batches, lr = rate, clip = c.clip, run = o.run,
      checkpoint = options.checkpoint, checkpoint_every = o.checkpoint_every, log_every = c.log_every,
      step = function(t)
        local index = attempt.batches:next()
        local x = augment.shift(o.dataset:images(index), c.shift)
        local input = (c.shift or 0) > 0 and x or encoder.input(attempt.encoder, o.dataset, index)
        local mse, kl, inter, attention, mean = vae_terms(attempt.encoder, attempt.decoder, x, input, true)
        local loss = objective(o, mse, kl, inter, alpha(t - 1))
        local values = {mse = mse / pixels, kl = kl, interaction = inter, attention = attention}
        if (c.consistency or 0) > 0 and t > (c.consistency_delay or 0) then
          values.consistency = consistency.loss(attempt.encoder, attempt.decoder, mean, {n = c.batch, aligned = true})
          loss = loss + values.consistency * c.consistency
        end
        return loss, values
      end,
    }
  end
  local resumed = train.newest(o.checkpoint, o.run) ~= nil
  local best, done
  if resumed then
    best, done = new_attempt(o, o.seed * 1000 + 1), 0 -- the checkpoint says the rest
  else
    best, done = halving(o, loop)
  end
  loop(best, {name = "vae", steps = c.steps, first = done, checkpoint = o.checkpoint})
  for _, path in ipairs(percept.edit.glob((o.checkpoint or ""):match "^(.-)[^/]*$" .. "attempt*.safetensors")) do
    os.remove(path) -- of the attempts; the best one has gone on
  end
  o.run:log(c.steps, {["vae/objective"] = (validation(o, best))})
  return best.encoder, best.decoder
end

return vae
