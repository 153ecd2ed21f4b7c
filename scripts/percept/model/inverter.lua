--- inverter: Generative perception by search: which slots does a decoder need to paint this image?
--
--   local inverter = percept.inverter
--   local z0 = inverter.start(x, {from = "bank", decoder = d, bank = bank, starts = 4, with = (encoder(x))})
--   local found = inverter.search(d, x, z0, {steps = 100, trace = true})   -- the best of five starts of each image
--   inverter.summary(found).converged                                      -- share of images that stopped by themselves
--
-- A decoder is a module or a Lua function from slots (B,K,m) to images.
local percept = require "percept"
local T = require "percept.tensor"
local replay = require "percept.replay"
local engine = require "percept.inverter.c"

local inverter = {search = engine.search}

local function fail(...) error(string.format(...), 0) end

local function shape_of(t) return "(" .. table.concat(t:shape(), ",") .. ")" end

-- Squared errors (B,codes) of images x (B,n) against the decoded codes (codes,K,m), `batch` codes at a time.
local function decoded_errors(decoder, x, codes, batch)
  local parts, own = {}, x:square():sum(2, true)
  for from = 1, codes:size(1), batch do
    local y = decoder(codes:narrow(1, from, math.min(batch, codes:size(1) - from + 1)))
    if not T.is_tensor(y) then fail("inverter.start: the decoder gave %s, not images", type(y)) end
    y = y:reshape(y:size(1), y:numel() / y:size(1))
    if y:size(2) ~= x:size(2) then
      fail("inverter.start: the decoder paints %d numbers an image, the images have %d", y:size(2), x:size(2))
    end
    parts[#parts + 1] = own - x:matmul(y:t()) * 2 + y:square():sum(2):unsqueeze(1)
  end
  return T.cat(parts, {dim = 2})
end

-- Rows of the bank, evenly spread when there are more than `codes`.
local function spread(n, codes)
  local list = {}
  for i = 1, math.min(n, codes) do list[i] = math.floor((i - 0.5) * n / math.min(n, codes)) + 1 end
  return T.tensor(list, {dtype = "i64"})
end

-- (S,B,K,m) and the bank rows (S,B)
local function nearest(decoder, x, bank, starts, codes, batch)
  local index = spread(bank:size(1), codes)
  if starts > index:size(1) then fail("inverter.start: %d starts from %d codes; use fewer, or more codes", starts, index:size(1)) end
  local error = decoded_errors(decoder, x:reshape(x:size(1), x:numel() / x:size(1)), bank:index_select(1, index), batch)
  local order = error:argsort(2):narrow(2, 1, starts):t():contiguous() -- (S,B)
  local rows = index:index_select(1, order:reshape(order:numel()))
  local shape = {starts, x:size(1), bank:size(2), bank:size(3)}
  return bank:index_select(1, rows):reshape(shape), rows:reshape(starts, x:size(1))
end

local function start(x, from, starts, decoder, bank, slots, slot_dim, codes, marginals, with, batch)
  local b, rows, z = x:size(1), nil, nil
  if bank and bank:dim() ~= 3 then fail("inverter.start: the bank must be slots (N,K,m), got %s", shape_of(bank)) end
  local like = bank or with
  if like then slots, slot_dim = like:size(2), like:size(3) end
  if from == "prior" then
    if not slots or not slot_dim then fail("inverter.start: the prior needs slots and slot_dim, or a bank or `with` of that shape") end
    z = T.randn(starts, b, slots, slot_dim, {dtype = x:dtype()})
  elseif not bank then
    fail("inverter.start: from = '%s' needs a bank of slots (N,K,m), such as the encoder's slots of ID images", from)
  elseif from == "random" then
    z = replay.sample(bank, starts * b, {marginals = marginals}):reshape(starts, b, slots, slot_dim)
  else
    if not decoder then fail("inverter.start: from = 'bank' needs the decoder") end
    z, rows = nearest(decoder, x, bank, starts, codes, batch)
  end
  if with then
    if with:dim() ~= 3 or with:size(1) ~= b then fail("inverter.start: with must be slots (%d,K,m), got %s", b, shape_of(with)) end
    z = T.cat({with:detach():unsqueeze(1), z}, {dim = 1})
  elseif starts == 1 then
    z = z:squeeze(1)
  end
  return z, rows
end

inverter.start = percept.declare("inverter.start",
  "x:tensor, from:str(prior|bank|random)=prior, starts:int(1..)=1, decoder:any?, bank:tensor?, slots:int(1..)?, slot_dim:int(1..)?, "
  .. "codes:int(1..)=256, "
  .. "marginals:str(empirical|gaussian|prior|mixture)=empirical, with:tensor?, batch:int(1..)=64",
  function(...)
    local args = {...}
    return T.no_grad(function() return start(unpack(args, 1, 11)) end)
  end,
  "slots for a search to begin at: (B,K,m), or (starts,B,K,m) for several, and of a bank the rows (starts,B). prior: N(0,1); random: "
  .. "slots of the bank (N,K,m), each drawn for itself by `marginals` (percept.replay); bank: those whose decoded images are nearest to "
  .. "x (B,H,W,C) in squared error, among at most `codes` rows, decoded `batch` at a time. with (B,K,m): a further start, put first, such "
  .. "as the encoder's slots")

local function sorted(t)
  local list = t:double():to_table()
  table.sort(list)
  return list
end

local function median(list)
  local n = #list
  return n % 2 == 1 and list[(n + 1) / 2] or (list[n / 2] + list[n / 2 + 1]) / 2
end

-- Mean over images of the step from which on the loss stays within `close` of the whole fall from its last value.
local function settled(trace, close)
  local first, last = trace:select(2, 1), trace:select(2, trace:size(2))
  local far = (trace - last:unsqueeze(2)):gt(((first - last) * close):unsqueeze(2)):to("f32")
  return far:sum(2):mean():item()
end

local function summarise(found, close)
  if not T.is_tensor(found.loss) or not T.is_tensor(found.steps) or found.loss:numel() == 0 then
    fail("inverter.summary: what inverter.search returned, of at least one image, is expected")
  end
  local steps, loss, n = sorted(found.steps), sorted(found.loss), found.loss:numel()
  local out = {
    images = n, converged = found.converged:double():mean():item(), loss = found.loss:double():mean():item(), loss_median = median(loss),
    steps = found.steps:double():mean():item(), steps_median = median(steps), steps_max = steps[n],
    decodes = found.cost:mean():item(), seconds = found.seconds:mean():item(), decodes_total = found.evaluations,
    seconds_total = found.seconds:sum():item(), won = {},
  }
  for _, s in ipairs(found.start:to_table()) do out.won[s] = (out.won[s] or 0) + 1 / n end
  for s = 1, found.start:max():item() do out.won[s] = out.won[s] or 0 end
  if found.trace then
    out.loss_before = found.trace:select(2, 1):double():mean():item()
    out.settled = settled(found.trace, close)
  end
  return out
end

inverter.summary = percept.declare("inverter.summary", "found:table, close:num(0..)=0.01", summarise,
  "what a search did, of the table inverter.search returned: {images; converged: share that stopped before the last step; loss, "
  .. "loss_median; steps, steps_median, steps_max; decodes, seconds: of an image, over all starts; decodes_total, seconds_total; won: "
  .. "share of images for each start}, and with a trace loss_before and settled: mean steps until the loss is within `close` of its whole "
  .. "fall from the last value")

return inverter
