--- percept.pictures: what slots, decoders and inversion look like.
--
-- Each takes images x (N,H,W,C) in [0,1] or slots z (N,K,m), a decoder (a module, or a function from slots to an image
-- and, if it has one, slot attention (N,Q,K)), and returns a picture u8 (H,W,3) for images.write. A few rows are
-- enough: N pictures are N rows (or columns). Options of all: font (12), height (of an enlarged cell, 96), dark.
local percept = require "percept"
local T = require "percept.tensor"
local images = require "percept.images"
local inverter = require "percept.inverter"
local plot = require "percept.plot"

local pictures = {}

local look = "font:num(0..200)=12, height:int(1..)=96, dark:bool=false"

local function integer_scale(x, height) return math.max(1, math.floor(height / x:size(2) + 0.5)) end

-- Columns of pictures with their names.
local function columns(list, names, font, height, dark, rows)
  return images.grid(list, {
    column_labels = names, row_labels = rows, font = font, dark = dark, scale = integer_scale(list[1], height), padding = 3,
  })
end

local function decode(decoder, z)
  local image, attention = decoder(z)
  return image:clamp(0, 1), attention
end

-- Attention (N,Q,K) as maps (N,h,w,K); Q positions lie on a grid of the image's proportions.
local function maps(attention, height, width)
  local n, q, k = attention:size(1), attention:size(2), attention:size(3)
  local h = math.floor(math.sqrt(q * height / width) + 0.5)
  if h < 1 or q % h ~= 0 or height % h ~= 0 or width % (q / h) ~= 0 then
    error(("pictures: attention has %d positions, which is no grid over %d x %d pixels"):format(q, height, width), 0)
  end
  return attention:reshape(n, h, q / h, k), h, q / h
end

-- Maps (N,h,w,K) of one slot, as large as the image: (N,H,W).
local function enlarged(map, k, height, width)
  local n, h, w = map:size(1), map:size(2), map:size(3)
  local sy, sx = height / h, width / w
  return map:select(4, k):reshape(n, h, 1, w, 1):expand(n, h, sy, w, sx):reshape(n, height, width)
end

-- What slot k paints: the image under its attention; without attention, the image with all other slots at their mean
-- over the batch.
local function alone(decoder, z, k, image, attention)
  local height, width = image:size(2), image:size(3)
  if attention then
    local mask = enlarged(maps(attention, height, width), k, height, width):unsqueeze(4)
    return image * mask + (1 - mask) * 0.5
  end
  local others = z:mean(1, true):expand(z:size(1), z:size(2), z:size(3)):clone()
  others:narrow(2, k, 1):copy_(z:narrow(2, k, 1))
  return (decode(decoder, others))
end

local function slots(decoder, z, x, extra, font, height, dark)
  return T.no_grad(function()
    local image, attention = decode(decoder, z)
    local list, names = {}, {}
    if x then list[1], names[1] = x, "input" end
    list[#list + 1], names[#names + 1] = image, "decoded"
    for k = 1, z:size(2) do
      list[#list + 1], names[#names + 1] = alone(decoder, z, k, image, attention), "slot " .. k
    end
    for _, item in ipairs(extra or {}) do -- {name, slots}
      list[#list + 1], names[#names + 1] = decode(decoder, item[2]), item[1]
    end
    return columns(list, names, font, height, dark)
  end)
end

local function attention(decoder, z, x, font, height, dark)
  return T.no_grad(function()
    local image, a = decode(decoder, z)
    if not a then error("pictures.attention: this decoder returns no attention; pictures.slots shows its slots", 0) end
    x = x or image
    local h, w = image:size(2), image:size(3)
    local map = maps(a, h, w)
    local list, names = {x:to("f32"), images.overlay(x:clamp(0, 1), map, {alpha = 0.55}):to("f32") / 255}, {"input", "who paints"}
    for k = 1, z:size(2) do
      list[#list + 1] = images.colorize(enlarged(map, k, h, w)):to("f32") / 255
      names[#names + 1] = "slot " .. k
    end
    return columns(list, names, font, height, dark)
  end)
end

local function masks(x, labels, alpha, font, height, dark)
  return columns({x, images.overlay(x, labels, {alpha = alpha, outline = true}), images.labels_to_rgb(labels)},
    {"image", "masks over it", "masks"}, font, height, dark)
end

local function traversal(decoder, z, slot, dims, range, steps, bank, font, height, dark)
  return T.no_grad(function()
    if z:size(1) ~= 1 then error(("pictures.traversal: one set of slots (1,K,m) is varied, got %d"):format(z:size(1)), 0) end
    local sd = bank and bank:std(1) or T.ones(z:size(2), z:size(3))
    local chosen, rows, list, names = dims, {}, {}, {}
    if not chosen then
      chosen = {}
      for d = 1, math.min(z:size(3), 12) do chosen[d] = d end
    end
    for i, d in ipairs(chosen) do
      if d < 1 or d > z:size(3) then error(("pictures.traversal: slots have %d numbers, there is no number %d"):format(z:size(3), d), 0) end
      rows[i] = "z" .. d
    end
    for s = 1, steps do
      local offset = steps > 1 and range * (2 * (s - 1) / (steps - 1) - 1) or 0
      local batch = z:expand(#chosen, z:size(2), z:size(3)):clone()
      for i, d in ipairs(chosen) do
        local at = batch:narrow(1, i, 1):narrow(2, slot, 1):narrow(3, d, 1)
        at:copy_(at + sd:narrow(1, slot, 1):narrow(2, d, 1):reshape(1, 1, 1) * offset)
      end
      list[s], names[s] = decode(decoder, batch), ("%+.1f sd"):format(offset):gsub("^%+0%.0 sd", "0")
    end
    return columns(list, names, font, height, dark, rows)
  end)
end

local function swap(decoder, z, moved, x, font, height, dark)
  return T.no_grad(function()
    local n, k = z:size(1), z:size(2)
    for _, s in ipairs(moved) do
      if s < 1 or s > k then error(("pictures.swap: there are %d slots, no slot %d"):format(k, s), 0) end
    end
    x = (x or (decode(decoder, z))):to("f32")
    local h, w, c = x:size(2), x:size(3), x:size(4)
    -- the corner is empty; the first row shows whose scene, the first column whose slots are put into it
    local list, names = {T.cat({T.full({1, h, w, c}, dark and 0 or 1), x}, {dim = 1})}, {"slots of"}
    for j = 1, n do
      local mixed = z:narrow(1, j, 1):expand(n, k, z:size(3)):clone()
      for _, s in ipairs(moved) do mixed:narrow(2, s, 1):copy_(z:narrow(2, s, 1)) end
      list[j + 1], names[j + 1] = T.cat({x:narrow(1, j, 1), (decode(decoder, mixed))}, {dim = 1}), "into " .. j
    end
    return columns(list, names, font, height, dark)
  end)
end

local function inversion(decoder, x, z0, font, height, dark, options, at)
  local list, names, losses = {x, T.no_grad(function() return (decode(decoder, z0)) end)}, {"target", "start"}, {}
  local total = options and options.steps or 60
  for _, steps in ipairs(at or {math.max(1, math.floor(total / 20)), math.max(2, math.floor(total / 6)), total}) do
    local o = {steps = steps, batch = x:size(1)}
    for key, value in pairs(options or {}) do
      if key ~= "steps" and key ~= "batch" then o[key] = value end
    end
    -- the search has no chance in it: a shorter one is the beginning of the longer one
    local r = inverter.search(decoder, x, z0, o)
    list[#list + 1] = T.no_grad(function() return (decode(decoder, r.z)) end)
    names[#names + 1] = ("%d step%s"):format(steps, steps == 1 and "" or "s")
    losses = r.loss:to_table()
  end
  local difference = (x:to("f32") - list[#list]):abs():mean(4)
  list[#list + 1] = images.colorize(difference, {high = 0.5}):to("f32") / 255
  names[#names + 1] = "difference"
  return columns(list, names, font, height, dark), losses
end

-- Means of values (N) by two factors as (A,B); NaN where there are none.
local function table_of(values, a, b, na, nb)
  local sum, count = {}, {}
  local v, ia, ib = values:to("f64"):to_table(), a:to_table(), b:to_table()
  for i = 1, na do
    sum[i], count[i] = {}, {}
    for k = 1, nb do sum[i][k], count[i][k] = 0, 0 end
  end
  for i, value in ipairs(v) do
    sum[ia[i]][ib[i]], count[ia[i]][ib[i]] = sum[ia[i]][ib[i]] + value, count[ia[i]][ib[i]] + 1
  end
  for i = 1, na do
    for k = 1, nb do sum[i][k] = sum[i][k] / count[i][k] end -- 0/0 is NaN
  end
  return T.tensor(sum, {dtype = "f64"}), count
end

local function combinations(values, a, b, rows, cols, held, title, ylabel, xlabel, theme)
  local mean = table_of(values, a, b, #rows, #cols)
  return plot.heat{
    values = mean, framed = held, rows = rows, columns = cols, limits = {0, 1}, frame_name = held and "held out of training" or nil,
    title = title, xlabel = xlabel, ylabel = ylabel, theme = theme, width = math.min(1000, math.max(420, 170 + 74 * #cols)),
    height = math.max(260, 120 + 26 * #rows),
  }
end

-- A split's cell matrix: images of each cell, what is held out framed. Cells that no image has are empty.
local function split_picture(split, title, theme)
  if type(split) ~= "table" or not T.is_tensor(split.cell) or type(split.rows) ~= "table" then
    error("pictures.split: a split with a matrix of cells is needed, from datasets.split(scenes, ...); "
      .. "splits of continuous latents have none", 0)
  end
  local cell, count = split.cell:to "f64", split.count:to "f64"
  local values = T.where(count:gt(0), count, T.full({1}, 0 / 0, {dtype = "f64"}))
  local framed = cell:eq(2):to "f64" + cell:eq(1):to "f64" * 2
  local pseudo = split.pseudo_ood:numel()
  local name = ("held out: %d OOD images"):format(split.ood:numel())
  if pseudo > 0 then name = ("%s; dashed: %d pseudo-OOD images"):format(name, pseudo) end
  return plot.heat{
    values = values, framed = framed, frame_name = name, rows = split.rows, columns = split.columns,
    limits = {0, math.max(1, count:max():item())}, title = title or ("images a cell; ID: %d train, %d validation%s"):format(
      split.id_train:numel(), split.id_val:numel(), split.id_test:numel() > 0 and (", %d test"):format(split.id_test:numel()) or ""),
    ylabel = split.row_factor, xlabel = split.column_factor, theme = theme,
    width = math.min(1200, math.max(420, 190 + 52 * #split.columns)), height = math.min(1200, math.max(260, 150 + 26 * #split.rows)),
  }
end

--- Input, decoded, and what each slot paints, one row an image; extra: {{name, slots}, ...} decoded behind them.
pictures.slots = percept.declare("pictures.slots", "decoder:any, z:tensor, images:tensor?, extra:table?, " .. look, slots,
  "input, decoded, and each slot by itself, one row an image; extra: {{name, slots}, ...} are decoded, too")
--- Which slot paints where, and the attention map of every slot.
pictures.attention = percept.declare("pictures.attention", "decoder:any, z:tensor, images:tensor?, " .. look, attention,
  "slot attention: colours of the slots over the image, then each slot's map, the brighter the more")
--- Masks (N,H,W) beside and over their images.
pictures.masks = percept.declare("pictures.masks", "images:tensor, masks:tensor, alpha:num(0..1)=0.5, " .. look, masks,
  "u8 label masks (N,H,W) over their images")
--- One slot's numbers varied, one row each: steps values within +- range standard deviations (of bank (N,K,m), else 1).
pictures.traversal = percept.declare("pictures.traversal",
  "decoder:any, z:tensor, slot:int(1..)=1, dims:table?, range:num(0..)=2, steps:int(1..)=7, bank:tensor?, " .. look, traversal,
  "the numbers of one slot of z (1,K,m) varied, one row each, within +- range standard deviations (of bank (N,K,m), else 1)")
--- Recombination: the slots `moved` of image i (row) in the scene of image j (column).
pictures.swap = percept.declare("pictures.swap", "decoder:any, z:tensor, moved:table, images:tensor?, " .. look, swap,
  "recombination: row i shows its slots `moved` in the scenes of all columns; first row and column are the images themselves")
--- The search at work: target, start, after some steps, the end, what is left. Also the last losses, a list.
pictures.inversion = percept.declare("pictures.inversion",
  "decoder:any, x:tensor, z0:tensor, " .. look .. ", search:table?, at:table?", inversion,
  "target, start, after the numbers of steps in `at`, and what is left; search: options of inverter.search -> picture, losses")
--- Accuracy (or any value in [0,1]) per combination of two factors, held-out cells framed: a plot.
pictures.combinations = percept.declare("pictures.combinations",
  "values:tensor, a:tensor, b:tensor, rows:table, columns:table, held:tensor?, title:str?, ylabel:str?, xlabel:str?, "
    .. "theme:str(light|dark)=light", combinations,
  "mean of values (N) per combination of classes a and b (N) as a heat map; held (rows,columns): frames -> plot")
--- A split as a heat map: images in each cell of its matrix, held-out cells framed, pseudo-OOD ones dashed: a plot.
pictures.split = percept.declare("pictures.split", "split:table, title:str?, theme:str(light|dark)=light", split_picture,
  "a split's cells: number of images each, OOD cells framed, pseudo-OOD ones dashed -> plot")

return pictures
