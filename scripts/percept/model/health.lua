--- health: slot health in words and as rows: does each factor have a slot of its own, is a slot empty, do two share one?
-- Studies of percept.perceive have it by default; another study gets it by one call, on in-domain validation images:
--
--   percept.health{run = run, decoder = decoder, z = z, readouts = readouts, labels = labels}
--   --> slots: left, right, world            or: slots: 2 is empty; left and right share slot 1
--
-- The measures are percept.metrics.slot_use and slot_health (percept help percept.metrics); `percept sql @slots` shows the rows.
local T = require "percept.tensor"
local metrics = require "percept.metrics"

local health = {}

local known = {
  decoder = true, z = true, batch = true, readouts = true, labels = true, accuracies = true, names = true, run = true, split = true,
  empty = true, holds = true, tells = true, near = true,
}

local function fail(...) error("health: " .. string.format(...), 0) end

local function check(o)
  if type(o) ~= "table" then fail("a table of options is expected, got %s", type(o)) end
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  for key in pairs(o) do
    if not known[key] then
      local near = require("percept").nearest(tostring(key), names)
      fail("unknown option '%s'%s; known are %s", tostring(key), near and (", did you mean '%s'?"):format(near) or "",
        table.concat(names, ", "))
    end
  end
  if (o.decoder or o.readouts and not o.accuracies) and not (T.is_tensor(o.z) and o.z:dim() == 3) then
    fail("z must be the slots (N,K,m) of ID validation images, not %s",
      T.is_tensor(o.z) and ("a tensor (%s)"):format(table.concat(o.z:shape(), ",")) or type(o.z))
  end
  if (o.readouts == nil) ~= (o.labels == nil) then fail("readouts and labels: give both or neither") end
  if o.batch ~= nil and not (type(o.batch) == "number" and o.batch >= 1 and o.batch == math.floor(o.batch)) then
    fail("batch: expected an integer >= 1, got %s", tostring(o.batch))
  end
  if not o.decoder and not o.readouts then fail("there is nothing to look at: give decoder, or readouts and labels") end
end

-- share, mixed (N,K) and mean entropy of the decoder's attention; nothing where it has none.
local function usage(o)
  local shares, mixed, entropy, n = {}, {}, 0, o.z:size(1)
  return T.no_grad(function()
    for from = 1, n, o.batch or 128 do
      local part = o.z:narrow(1, from, math.min(o.batch or 128, n - from + 1))
      local _, attention = o.decoder(part)
      if not attention then return nil end
      local share, mix, mean = metrics.slot_use(attention)
      shares[#shares + 1], mixed[#mixed + 1] = share, mix
      entropy = entropy + mean * part:size(1) / n
    end
    return T.cat(shares, {dim = 1}), T.cat(mixed, {dim = 1}), entropy
  end)
end

-- Accuracies (K,F) of the readouts of every slot, chance (F).
local function told(o, out)
  local acc, chance, rows = o.accuracies or o.readouts:accuracies(o.z, o.labels), {}, {}
  out.factors, out.accuracies = o.readouts.factors, acc
  for i, f in ipairs(out.factors) do
    if not T.is_tensor(o.labels[f]) then fail("labels.%s, the classes of this factor, is missing", f) end
    chance[i] = metrics.chance(o.labels[f])
  end
  for k = 1, o.readouts.slots do
    rows[k] = {}
    for i, f in ipairs(out.factors) do rows[k][i] = acc[k][f] end
  end
  out.chance = chance
  return T.tensor(rows, {dtype = "f64"}), T.tensor(chance, {dtype = "f64"})
end

--- Measures. o: decoder and z (N,K,m), the slots of ID validation images: usage and entropy, where the decoder has slot attention;
-- readouts (of percept.readout.fit) and labels (factor -> (N) classes) of the same images: what each slot tells; accuracies
-- ([slot][factor], where they are known already); names (factor -> what the line calls it); batch (128); the thresholds empty,
-- holds, tells, near of metrics.slot_health. Nothing is trained, no random number is drawn.
-- Returns what metrics.slot_health returns, and factors, names, chance, accuracies, n (images), mean_entropy, line.
function health.measure(o)
  check(o)
  local share, mixed, entropy, accuracy, chance
  local out = {factors = {}}
  if o.decoder then share, mixed, entropy = usage(o) end
  if o.readouts then accuracy, chance = told(o, out) end
  if not share and not accuracy then fail("the decoder has no slot attention, and there are no readouts: nothing to look at") end
  for key, value in pairs(metrics.slot_health{share = share, mixed = mixed, accuracy = accuracy, chance = chance, empty = o.empty,
    holds = o.holds, tells = o.tells, near = o.near}) do
    out[key] = value
  end
  out.mean_entropy, out.names, out.n = entropy, o.names or {}, o.z and o.z:size(1) or 0
  out.line = health.line(out)
  return out
end

local function list(words)
  if #words < 3 then return table.concat(words, " and ") end
  return table.concat(words, ", ", 1, #words - 1) .. " and " .. words[#words]
end

local function name_of(h, i) return h.names[h.factors[i]] or h.factors[i] end

-- A good run: what each slot is for, in the order of the slots.
local function good_line(h)
  if #h.factors == 0 then return ("slots: %d, none is empty"):format(h.slots) end
  local words, owner = {}, h.owner:to_table()
  for k = 1, h.slots do
    words[k] = "–"
    for i = 1, #h.factors do
      if owner[i] == k then words[k] = name_of(h, i) end
    end
  end
  return "slots: " .. table.concat(words, ", ")
end

--- One line of words about what health.measure found.
function health.line(h)
  if h.good then return good_line(h) end
  local parts, empty = {}, {}
  for k, flag in ipairs(h.empty:to_table()) do
    if flag == 1 then empty[#empty + 1] = tostring(k) end
  end
  if #empty > 0 then parts[1] = list(empty) .. (#empty == 1 and " is empty" or " are empty") end
  local owner, place = #h.factors > 0 and h.owner:to_table() or {}, #h.factors > 0 and h.place:to_table() or {}
  local lost, homeless = {}, {}
  for i in ipairs(h.factors) do
    if h.chance[i] < 1 and place[i] == 0 then lost[#lost + 1] = name_of(h, i) end
    if owner[i] == 0 and place[i] > 0 then homeless[place[i]] = true end
  end
  for k = 1, h.slots do
    local words = {}
    for i in ipairs(h.factors) do
      if homeless[k] and place[i] == k then words[#words + 1] = name_of(h, i) end
    end
    if #words > 1 then parts[#parts + 1] = ("%s share slot %d"):format(list(words), k) end
  end
  if #lost > 0 then parts[#parts + 1] = "no slot tells " .. (#lost < 3 and table.concat(lost, " or ") or table.concat(lost, ", ")) end
  return "slots: " .. table.concat(parts, "; ")
end

-- Rows of slot k. v: the tensors of h as tables.
local function slot_rows(h, v, put, k)
  local method = "slot " .. k
  for _, metric in ipairs{"usage", "present", "entropy", "empty"} do
    if v[metric] then put(method, metric, nil, v[metric][k]) end
  end
  for i, f in ipairs(h.factors) do
    put(method, "tells", f, v.skill[k][i], {accuracy = h.accuracies[k][f], chance = h.chance[i], told = v.told[k][i] == 1,
      own = v.owner[i] == k, place = v.place[i] == k, name = name_of(h, i)})
  end
end

-- How many factors no slot tells, how many are told without a slot of their own, how many are told by several.
local function counts(h, v)
  local lost, shared, redundant = 0, 0, 0
  for i in ipairs(h.factors) do
    if h.chance[i] < 1 and v.place[i] == 0 then lost = lost + 1 end
    if v.owner[i] == 0 and v.place[i] > 0 then shared = shared + 1 end
    if v.times[i] > 1 then redundant = redundant + 1 end
  end
  return lost, shared, redundant
end

--- Rows of a run (recorder): of "slot K": usage, present (share of the images), entropy, empty, and tells (skill) for each factor;
-- of "slots": good (1 or 0, with the line and the thresholds), entropy, empty, and how many factors are lost (no slot tells
-- them), shared (told, without a slot of their own), and redundant (told by several). split: of the images ("id").
function health.record(run, h, split)
  local v = {}
  for _, name in ipairs{"usage", "present", "entropy", "empty", "skill", "told", "times", "owner", "place"} do
    v[name] = h[name] and h[name]:to_table()
  end
  local function put(method, metric, factor, value, extra)
    for key, x in pairs(extra or {}) do -- JSON has no NaN
      if x ~= x then extra[key] = nil end
    end
    run:result{method = method, split = split or "id", metric = metric, factor = factor, value = value, n = h.n, extra = extra}
  end
  for k = 1, h.slots do slot_rows(h, v, put, k) end
  if h.mean_entropy then put("slots", "entropy", nil, h.mean_entropy) end
  put("slots", "empty", nil, h.empties)
  if #h.factors > 0 then
    local lost, shared, redundant = counts(h, v)
    put("slots", "lost", nil, lost)
    put("slots", "shared", nil, shared)
    put("slots", "redundant", nil, redundant)
  end
  put("slots", "good", nil, h.good and 1 or 0, {line = h.line, thresholds = h.thresholds})
end

-- Measures, prints the line, and records where a run is given.
local function all(o)
  local h = health.measure(o)
  print(h.line)
  if o.run then health.record(o.run, h, o.split) end
  return h
end

return setmetatable(health, {__call = function(_, o) return all(o) end})
