--- The pictures of a run, as its artifacts: what the methods make of ID and OOD images, who paints what, recombination,
-- replay samples, the search at work, accuracy per combination with the held-out cells framed.
local T = require "percept.tensor"
local images = require "percept.images"
local replay = require "percept.replay"
local pictures = require "percept.pictures"

local study = {}

-- n indices spread over a set, whose order is by world.
local function spread(index, n)
  n = math.min(n, index:size(1))
  local step = math.max(1, math.floor(index:size(1) / n))
  return index:narrow(1, 1, n, step), n, step
end

-- Accuracy for one factor per combination with another, ID validation and the far set together.
local function combinations(o, method, pair)
  local data, dataset = o.data, o.data.dataset
  local near, far = data.sets[1], data.sets[2]
  local index = T.cat({near[2], far[2]}, {dim = 1})
  local predicted = T.cat({o.predicted[near[1]][method][pair[1]], o.predicted[far[1]][method][pair[1]]}, {dim = 1})
  local rows, cols = dataset:values(pair[1]), dataset:values(pair[2])
  local held = T.ones(#rows, #cols)
  local a, b = dataset:factor(pair[1], data.split.id_train):to_table(), dataset:factor(pair[2], data.split.id_train):to_table()
  for i = 1, #a do held:narrow(1, a[i], 1):narrow(2, b[i], 1):fill_(0) end
  local name = function(f) return data.labels[f] or f end
  local noun = data.labels[pair[1]] and " animal" or ""
  return pictures.combinations(predicted:eq(dataset:factor(pair[1], index)):to("f32"), dataset:factor(pair[1], index),
    dataset:factor(pair[2], index), rows, cols, {
      held = held, title = ("%s%s named right: %s"):format(name(pair[1]), noun, method), ylabel = name(pair[1]) .. noun,
      xlabel = name(pair[2]),
    })
end

-- Of a few images of the far set: attention, recombination, the search at work.
local function far_pictures(o, keep, x, z, few, has_attention)
  local best, some = (z.search or z.encoder):narrow(1, 1, few), x:narrow(1, 1, few)
  if has_attention then keep("attention", pictures.attention(o.decoder, best, {images = some, font = 13})) end
  local first = o.data.scored[1]
  local who = o.data.labels[first] and "left_animal" or first:gsub("%W", "_")
  keep(who .. "_into_other_scenes", pictures.swap(o.decoder, best, {o.slot_of[first]}, {images = some, font = 13}))
  if not z.search then return end
  local c = o.config.search
  keep("search", (pictures.inversion(o.decoder, some, z.encoder:narrow(1, 1, few),
    {font = 13, search = {method = c.method, steps = c.steps, lr = c.lr, prior = c.prior}})))
end

--- Draws them. o: data (of scenes.open), run, config, decoder, bank (ID slots), slot_of (factor -> slot), slots: set name
-- -> method -> (N,K,m), predicted: set name -> method -> factor -> (N), methods (names). Returns the path of the first.
function study.draw(o)
  local run, decoder, data = o.run, o.decoder, o.data
  local first
  if data.restricted then print "pictures are left out: this dataset's licence does not let its images be passed on" end
  local function keep(name, picture)
    if data.restricted and T.is_tensor(picture) then return end
    local path = ("%s/%s.%s"):format(run.folder, name, T.is_tensor(picture) and "png" or "svg")
    if T.is_tensor(picture) then images.write(path, picture) else picture:save(path) end
    run:artifact(path, {kind = "picture"})
    first = first or path
  end
  local has_attention = T.no_grad(function() return select(2, decoder(o.bank:narrow(1, 1, 1))) ~= nil end)
  for i = #data.sets, 1, -1 do -- the far set first
    local name = data.sets[i][1]
    local index, n, step = spread(data.sets[i][2], 8)
    local x, z, extra = data.dataset:images(index), {}, {}
    for method, all in pairs(o.slots[name]) do z[method] = all:narrow(1, 1, n, step) end
    for _, item in ipairs{{"search", "search"}, {"replay", "replay"}, {"both", "replay + search"}} do
      if z[item[2]] then extra[#extra + 1] = {item[1], z[item[2]]} end
    end
    keep(i == #data.sets and (run.experiment:gsub("/.*", "")) or "reconstructions_" .. name,
      pictures.slots(decoder, z.encoder, {images = x, font = 13, extra = extra}))
    if i == #data.sets then far_pictures(o, keep, x, z, math.min(5, n), has_attention) end
  end
  keep("split", pictures.split(data.split, {title = ("%s split"):format(data.preset or "the")}))
  keep("replay_samples", T.no_grad(function()
    local sample = decoder(replay.sample(o.bank, 32)):clamp(0, 1)
    return images.grid(sample, {columns = 8, padding = 2, scale = math.max(1, math.floor(64 / sample:size(2)))})
  end))
  for _, method in ipairs(o.methods) do
    for _, pair in ipairs(data.cells) do
      if o.predicted[data.far][method] and o.predicted[data.far][method][pair[1]] and pair == data.cells[1] then
        keep("accuracy_" .. method:gsub("%W+", "_"), combinations(o, method, pair))
      end
    end
  end
  return first
end

return study
