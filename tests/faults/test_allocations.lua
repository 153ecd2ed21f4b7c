--- Every function of the surface that allocates, each of its allocations failing in turn: an error with a sentence or the
-- right result; nothing leaks, and the same call works afterwards. Operations are in tests/engine/grad/test_faults.c.
local T = require "percept.tensor"
local nn, optim, sys = require "percept.nn", require "percept.optim", require "percept.sys"
local formats, images, metrics = require "percept.formats", require "percept.images", require "percept.metrics"
local datasets, plot, replay = require "percept.datasets", require "percept.plot", require "percept.replay"
local encoders, decoders = require "percept.encoders", require "percept.decoders"
local inverter, interaction = require "percept.inverter", require "percept.interaction"
local check = dofile "tests/lua/check.lua"
local sweep = dofile "tests/lua/sweep.lua"

local dir = os.tmpname()
os.remove(dir)
sys.mkdir(dir .. "/images")
sys.mkdir(dir .. "/masks")
local function at(name) return dir .. "/" .. name end
local function write(name, text)
  local f = assert(io.open(at(name), "wb"))
  f:write(text)
  f:close()
end
local i64, u8 = { dtype = "i64" }, { dtype = "u8" }
local function num(t) return t:double():sum():item() end

--- One sweep a test, with failures that reached the caller.
local function case(name, fn)
  check.test(name, function()
    local errors = sweep.run(check, fn)
    check.ok(errors > 0, "no failure reached the caller")
  end)
end

-- ---- tensors ----

T.manual_seed(1)
local x, y = T.rand(4, 5), T.rand(4, 5)
local index = T.tensor({ 1, 3 }, i64)

case("constructors", function()
  return num(T.zeros(2, 3)) + num(T.ones { 2, 3 }) + num(T.full({ 2 }, 3)) + T.empty(3):numel() + num(T.arange(5))
    + num(T.linspace(0, 1, 4)) + num(T.eye(3)) + T.rand(2):numel() + T.randn(3):numel() + T.randint(1, 5, { 3 }):numel()
    + num(T.randperm(6)) + num(T.tensor { { 1, 2 }, { 3, 4 } }) + num(T.from_table { 1, 2 }) + num(T.zeros_like(x))
    + num(T.ones_like(x)) + T.rand_like(x):numel() + T.randn_like(x):numel() + num(T.full_like(x, 2)) + T.empty_like(x):numel()
end)
case("generators", function()
  local g = T.generator(3)
  local a = T.rand(3, { generator = g })
  local state = T.get_rng_state()
  T.set_rng_state(state)
  return num(a)
end)
case("texts and tables", function()
  return #tostring(x) + #tostring(x:t()) + #x:to_table() + #tostring(T.rand(20, 20, { generator = T.generator(1) }):byte())
end)
case("indexing", function()
  local z = x:clone()
  z[1] = 2
  z[{ {}, 2 }] = y[{ {}, 2 }]
  z[{ { 1, 2 }, { 1, 4, 2 } }] = 1
  z[index] = 5
  z[z:gt(4)] = 0
  return num(z) + num(z[index]) + num(z[z:gt(0.5)]) + num(z[{ index, 2 }]) + num(z[{ { 2, 3 }, index }])
end)
case("in place", function()
  local z = x:clone()
  z:add_(y):sub_(1):mul_(2):div_(3):clamp_(-1, 1):copy_(y:t():t()):fill_(2):zero_()
  z:uniform_(0, 1):normal_(0, 1):copy_(y:double())
  return num(z)
end)
case("splitting and joining", function()
  local a, b = x:chunk(2, 2)
  local parts = x:split(2, 1)
  return num(T.cat({ a, b }, 2)) + num(T.stack { x, y }) + num(parts[1] or parts) + num(x["repeat"](x, 2, 1)) + #x:unbind(1)
end)
case("sorting and counting", function()
  local v, i = x:sort(1)
  local k, j = x:topk(2)
  return num(v) + num(i) + num(k) + num(j) + num(x:argsort(1)) + num(T.bincount(T.tensor({ 1, 2, 2 }, i64))) + num(x:median(1))
end)

-- ---- gradients ----

local leaf = T.rand(3, 2, { dtype = "f64" }):requires_grad_()
local function f(v) return (v * v):exp():sum(1) end
case("backward", function()
  local v = leaf:detach():requires_grad_()
  f(v):sum():backward()
  return num(v.grad)
end)
case("derivatives of functions", function()
  local v = T.ones(3, 2, { dtype = "f64" })
  local a, b = T.jvp(f, leaf:detach(), v)
  return num(T.jacobian(f, leaf:detach())) + num(a) + num(b) + num(T.hessian(function(u) return f(u):sum() end, leaf:detach()))
end)
case("vjp", function()
  local a, b = T.vjp(f, leaf:detach(), T.ones(2, { dtype = "f64" }))
  return num(a) + num(b)
end)
case("custom operations and checkpoints", function()
  local double = T.custom { name = "double", forward = function(_, u) return u * 2 end, backward = function(_, g) return g * 2 end }
  local u = leaf:detach():requires_grad_()
  local out = nn.checkpoint(function(w) return double(w):sin() end, u)
  out:sum():backward()
  return num(u.grad)
end)
case("einsum and gradcheck", function()
  local a = T.einsum("ij,kj->ik", leaf, leaf)
  return num(a) + num(T.einsum("ij->j", leaf)) + (T.gradcheck(function(u) return u:sin() end, leaf) and 1 or 0)
end)
case("anomaly", function()
  T.anomaly(true)
  local ok, got = pcall(function() return num((x:clone():requires_grad_() * 2):detach()) end)
  T.anomaly(false)
  if not ok then error(got, 0) end
  return got
end)

-- ---- layers ----

local seq, image = T.rand(2, 5, 8), T.rand(2, 6, 6, 4)
local layers = {
  linear = { function() return nn.linear(8, 3) end, seq },
  conv2d = { function() return nn.conv2d(4, 6, 3, { padding = 1, stride = 2 }) end, image },
  conv_transpose2d = { function() return nn.conv_transpose2d(4, 6, 3, { stride = 2 }) end, image },
  layer_norm = { function() return nn.layer_norm(8) end, seq },
  group_norm = { function() return nn.group_norm(2, 4) end, image },
  mlp = { function() return nn.mlp({ 8, 6, 4 }) end, seq },
  sequential = { function() return nn.sequential { nn.linear(8, 4), nn.activation "relu", nn.flatten(), nn.dropout(0) } end, seq },
  attention = { function() return nn.attention(8, 2) end, seq },
  block = { function() return nn.block(8, 2, { bias = true }) end, seq },
  position = { function() return nn.position(5, 8) end, seq },
  custom = { function()
    return nn.module { a = nn.linear(8, 4), w = T.ones(4, { requires_grad = true }),
      forward = function(self, v) return self.a(v) * self.w end }
  end, seq },
}
for name, layer in pairs(layers) do
  case("nn." .. name, function()
    T.manual_seed(2)
    local m = layer[1]()
    local out = m(layer[2])
    out:sum():backward()
    return num(out) + m:count() + #m:names() + #m:children()
  end)
end
case("modules: states, copies, flat buffers", function()
  T.manual_seed(2)
  local a, b = nn.block(8, 2), nn.block(8, 2)
  b:load_state(a:state())
  b:copy_from(a)
  local values, gradients = b:flatten()
  b:zero_grad()
  b:freeze():unfreeze():fix():fix(false)
  return num(values) + num(gradients) + #b:parameters() + b:count()
end)
case("modules: low-rank adaptation", function()
  T.manual_seed(2)
  local m = nn.block(8, 2)
  m:lora { rank = 2, on = "qkvo" }
  m(seq):sum():backward()
  m:merge_lora()
  return num(m(seq))
end)
case("cells, tables, losses", function()
  T.manual_seed(2)
  local h = nn.gru_cell(8, 8)(seq:select(2, 1), T.zeros(2, 8))
  local target = T.tensor({ 1, 2 }, i64)
  return num(h) + num(nn.sincos(4, 8)) + num(nn.sincos2d(2, 2, 8)) + num(nn.fourier(2, 2)) + nn.cross_entropy(h, target,
    { label_smoothing = 0.1 }):item() + nn.mse(h, h):item() + nn.bce_with_logits(h, h:abs()):item()
    + nn.gaussian_nll(h, h, h:abs() + 1):item() + nn.kl(h, h):item() + num(nn.init(T.zeros(4, 4), "xavier_uniform"))
end)

-- ---- optimisers ----

for _, kind in ipairs { "adam", "adamw", "sgd" } do
  case("optim." .. kind, function()
    T.manual_seed(2)
    local m = nn.linear(8, 3)
    local o = optim[kind]({ { params = m, lr = 0.1 } }, kind == "sgd" and { lr = 0.1, momentum = 0.5 } or { lr = 0.1 })
    for _ = 1, 2 do
      o:zero_grad()
      m(seq):square():sum():backward()
      o:clip(1)
      o:step()
    end
    local tensors, scalars = o:state()
    o:load_state(tensors, scalars)
    return num(m.weight)
  end)
end
case("optim.lbfgs", function()
  local r = optim.lbfgs(function(v) return (v * v):sum() end, T.ones(3), { max_iter = 3 })
  return type(r) == "number" and r or num(r)
end)

-- ---- files ----

local names = { a = x, b = x:t(), c = index, ["long name of a tensor"] = T.zeros(0, 3) }
case("npy and npz", function()
  formats.save_npy(at "a.npy", x:t())
  formats.save_npz(at "a.npz", names)
  return num(formats.load_npy(at "a.npy")) + num(formats.load_npz(at "a.npz").b)
end)
case("safetensors", function()
  formats.save_safetensors(at "a.safetensors", names, { k = "v" })
  local t, meta = formats.load_safetensors(at "a.safetensors")
  return num(t.a) + num(t.b) + #meta.k
end)
case("checkpoints", function()
  formats.save_checkpoint(at "a.ckpt", names, { k = "v" })
  local t, meta = formats.load_checkpoint(at "a.ckpt")
  return num(t.a) + num(t.b) + #meta.k
end)

-- ---- pictures ----

local picture = T.rand(3, 8, 8, 3)
local labels = T.zeros(3, 8, 8, u8)
labels:narrow(2, 1, 4):fill_(2)
case("PNG", function()
  images.write(at "rgb.png", picture[1])
  images.write(at "gray.png", picture[1]:select(3, 1))
  images.write(at "labels.png", labels[1])
  return num(images.read(at "rgb.png")) + num(images.read(at "gray.png", 1)) + num(images.read_labels(at "labels.png"))
end)
case("grids", function()
  return num(images.grid(picture, { column_labels = { "a", "b" }, row_labels = { "c" }, font = 12 }))
    + num(images.grid { picture, labels:unsqueeze(4):float() }) + num(images.grid(picture, { dark = true, scale = 2 }))
end)
case("colours and sizes", function()
  return num(images.overlay(picture, labels, { outline = true })) + num(images.overlay(picture, T.rand_like(picture) * 0))
    + num(images.colorize(x)) + num(images.labels_to_rgb(labels)) + num(images.resize(picture, 5, 7)) + num(images.resize(picture, 16))
end)
case("plots", function()
  local p = plot.lines { title = "t", xlabel = "x", ylabel = "y", yscale = "log", xlim = { 0, 5 },
    { name = "a", y = { 1, 10, 100 }, sd = { 0, 1, 2 }, points = true }, { name = "b", y = T.tensor { { 1, 2 }, { 3, 4 } } } }
  local bars = plot.bars { groups = { "a", "b" }, numbers = true, { name = "x", y = { 1, 2 } } }
  local heat = plot.heat { values = x:narrow(1, 1, 2):narrow(2, 1, 2), framed = { { 0, 1 }, { 2, 0 } }, rows = { "r", "s" },
    columns = { "c", "d" } }
  return #p:svg() + #bars:svg "dark" + #heat:svg() + #plot.css() + #plot.scatter { { x = { 1, 2 }, y = { 3, 4 } } }:svg()
end)
case("plots as pixels and files", function()
  local p = plot.lines { width = 120, height = 90, { y = { 1, 2, 4 } } }
  p:save(at "p.svg")
  p:save(at "p.png", { scale = 1 })
  return num(p:pixels("light", 1))
end)

-- ---- data ----

local rows = { "filename,shape,color,size,mask" }
for i = 1, 16 do
  images.write(at(("images/%d.png"):format(i)), picture[i % 3 + 1])
  images.write(at(("masks/%d.png"):format(i)), labels[1])
  rows[#rows + 1] = ("images/%d.png,s%d,c%d,%g,masks/%d.png"):format(i, (i - 1) % 4, math.floor((i - 1) / 4), i / 7, i)
end
write("labels.csv", table.concat(rows, "\n") .. "\n")
write("plain.csv", (table.concat(rows, "\n"):gsub(",mask[^\n]*", "")) .. "\n")
local caches = 0
case("scenes", function()
  caches = caches + 1
  local d = datasets.scenes(dir, { cache_dir = at("cache" .. caches), only = { shape = { "s0", "s1", "s2" } }, exclude = { color = "c3" } })
  local again = datasets.scenes(dir, { cache_dir = at("cache" .. caches), height = 4, width = 4 })
  return num(d:images(index)) + num(d:factor "shape") + num(d:numeric("size", index)) + #d:values "color" + #d:filename(1)
    + #again:digest() + #d:factors()
end)
local set = datasets.scenes(dir, { cache_dir = at "cache", labels = "plain.csv" })
case("splits", function()
  local n = 0
  for _, o in ipairs { { rule = "band" }, { rule = "random", seed = 3 }, { rule = "list", cells = { { "s0", "c1" } } } } do
    o.pairs, o.fraction, o.val = { { "shape", "color" } }, o.rule ~= "list" and 0.25 or nil, 0.2
    local s = datasets.split(set, o)
    n = n + num(s.ood) + num(s.id_train) + #s.digest
  end
  return n
end)
case("splits of latents, sprites, batches", function()
  local inside = datasets.sprites(20, { sampler = "diagonal", seed = 1, height = 8, width = 8 })
  local outside = datasets.sprites(10, { sampler = "off_diagonal", seed = 2, height = 8, width = 8, dtype = "u8" })
  local split = datasets.split_latents(T.cat({ inside.unit, outside.unit }, 1), { val = 0.25, seed = 1 })
  local b = datasets.batches(split.id_train, 4, { seed = 3 })
  b:set_state(b:state())
  return num(b:next()) + num(split.ood) + num(inside.images) + num(outside.images)
end)
case("emoji", function()
  local e = datasets.emoji { count = 3, size = 8, seed = 2, animals = { "Horse", "Tiger" }, places = { "Park", "City" } }
  return num(e:images()) + num(e:masks()) + #e:values "character_name" + #e:licence()
end)

-- ---- perception ----

local sizes = { slots = 2, slot_dim = 3, height = 8, hidden = 4, features = 2 }
local slots = T.rand(3, 2, 3)
local kinds = {
  cross = { slots = 2, slot_dim = 3, height = 8, patch = 4, width = 8, heads = 2, layers = 1 },
  render = { slots = 2, slot_dim = 3, height = 8, patch = 4, hidden = 4, key_dim = 4 },
  broadcast = { slot_dim = 3, height = 8 },
  pixel = { slot_dim = 3, height = 8, hidden = 4, patch = 2 },
  additive = { slot_dim = 3, height = 8, hidden = 4, features = 2 },
  cnn = sizes,
  mlp = { slots = 2, slot_dim = 3, height = 8 },
}
for name, options in pairs(kinds) do
  case("decoders." .. name, function()
    T.manual_seed(4)
    local d = decoders[name](options)
    local z = slots:clone():requires_grad_()
    local out, attention = d(z)
    out:sum():backward()
    return num(out) + num(z.grad) + (attention and num(attention) or 0)
  end)
end
local bases = {
  slots = { { slots = 2, slot_dim = 3, height = 8, width = 8, heads = 2, layers = 1, conv_channels = { 8 }, conv_kernel = { 3 },
    conv_stride = { 2 } }, T.rand(2, 8, 8, 3) },
  cnn = { { height = 8, width = 8, conv_channels = { 8 }, conv_kernel = { 3 }, conv_stride = { 2 } }, T.rand(2, 8, 8, 3) },
  vit = { { height = 8, patch = 4, width = 8, depth = 1, heads = 2, registers = 1, layer_scale = 0.5 }, T.rand(2, 8, 8, 3) },
  queries = { { slots = 2, slot_dim = 3, tokens = 8, width = 8, heads = 2, layers = 1 }, seq },
  slot_attention = { { slots = 2, slot_dim = 3, tokens = 8, width = 8, iterations = 2 }, seq },
}
for name, base in pairs(bases) do
  case("encoders." .. name, function()
    T.manual_seed(4)
    local mean, log_std = encoders[name](base[1])(base[2])
    mean:sum():backward()
    return num(mean) + (log_std and num(log_std) or 0)
  end)
end
case("encoders.positions", function()
  return num(encoders.positions(T.ones(5, 3), { 2, 2 }, { 3, 3 }, { prefix = 1 }))
    + num(encoders.positions(T.ones(4, 3), { 2, 2 }, { 1, 1 }, { antialias = true }))
end)

T.manual_seed(5)
local decoder = decoders.render(kinds.render)
local a = T.randn(6, 12)
local function decode(z) return z:reshape(z:size(1), 6):sin():matmul(a):reshape(z:size(1), 2, 2, 3) end
local module_images = T.no_grad(function() return (decoder(slots)) end)
local readout = nn.sequential { nn.flatten(), nn.linear(6, 3) }
for _, method in ipairs { "adam", "lbfgs", "lm" } do
  case("inverter.search, " .. method, function()
    local r = inverter.search(decode, decode(slots), { slots * 0, slots * 0.5 }, { method = method, steps = 3, trace = true, tol = 0 })
    return num(r.z) + num(r.loss) + num(r.trace)
  end)
  case("inverter.search of a module, " .. method, function()
    local o = { method = method, steps = 2, entropy = 0.1, readout = readout, prior = 0.1 }
    local r = inverter.search(decoder, module_images, slots * 0, o)
    return num(r.z) + num(r.loss)
  end)
end
case("inverter, a target", function()
  return num(inverter.search(decode, decode(slots), slots * 0, { steps = 2, target = T.ones(3), batch = 2 }).z)
end)

local bank, bank_labels = T.randn(12, 2, 3), T.randint(1, 4, { 12, 2 })
for _, marginals in ipairs { "empirical", "gaussian", "mixture", "prior" } do
  case("replay, " .. marginals, function()
    T.manual_seed(3)
    local s = replay.fit(bank, { marginals = marginals, components = marginals == "mixture" and 2 or nil })
    return num((s:sample(6))) + num((replay.sample(bank, 3, { marginals = marginals })))
  end)
end
case("replay, combinations left out", function()
  T.manual_seed(3)
  local b, from = replay.sample(bank, 4, { rows = true, exclude = { labels = bank_labels, groups = { { 1, 2 } } } })
  local c = replay.sample(bank, 4, { exclude = { labels = bank_labels, combinations = bank_labels } })
  return num(b) + num(from) + num(c)
end)

local function encode(image_) return image_:reshape(image_:size(1), 12):matmul(a:t()):reshape(image_:size(1), 2, 3) end
local weights = T.rand(3, 4, 2):softmax(3)
for _, method in ipairs { "differences", "exact" } do
  local o = { method = method, probes = 2 }
  case("interaction, " .. method, function()
    T.manual_seed(6)
    local s = interaction.jacobian(decode, slots, { method = method })
    local contrast = interaction.contrast(decode, slots, { method = method })
    return num(s) + (type(contrast) == "number" and contrast or num(contrast)) + num(interaction.hessian(decode, slots, o).blocks)
  end)
  case("interaction.tangent, " .. method, function()
    T.manual_seed(6)
    return num(interaction.tangent(encode, decode, slots, nil, o).blocks)
  end)
end
case("interaction, attention and segments", function()
  local w = weights:clone():requires_grad_()
  interaction.attention(w):backward()
  local jis = interaction.jis(weights)
  return num(w.grad) + num(interaction.segment(weights, 8, 8)) + (type(jis) == "number" and jis or num(jis))
    + interaction.fg_ari(weights, labels)
end)

case("metrics", function()
  local p, t = T.tensor({ 1, 2, 2, 3 }, i64), T.tensor({ 1, 2, 3, 3 }, i64)
  local columns, total = metrics.hungarian(T.tensor { { 4, 1, 3 }, { 2, 0, 5 }, { 3, 2, 2 } })
  local masks = T.tensor({ { 1, 1, 2, 2 } }, i64)
  return #columns + total + metrics.accuracy(p, t) + num(metrics.confusion(p, t, 3)) + metrics.r2(x, y)
    + num(metrics.r2_columns(x, y)) + metrics.ari(p, t) + num(metrics.ari_masks(masks, masks)) + num(metrics.fg_ari(masks, masks))
end)

os.execute("rm -rf '" .. dir .. "'")
check.done()
