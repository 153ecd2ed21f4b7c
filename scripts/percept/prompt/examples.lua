--- examples: short code for every documented function; help(f) shows it, the tests run it.
-- T and percept are there, as at the prompt. Keys: module, function.
local examples = {}

local tensor = {}

local function all(template, names)
  for name in names:gmatch "%S+" do tensor[name] = template:gsub("NAME", name) end
end

all("T.NAME(T.rand(2, 3))", [[abs acos asin atan cos cosh elu erf exp expm1 gelu leaky_relu log log1p reciprocal relu rsqrt
  sigmoid silu sin sinh softplus sqrt square tan tanh ceil floor round trunc sign neg isfinite isinf isnan logical_not]])
all("T.NAME(T.rand(2, 3), T.rand(3))", [[add sub mul div pow maximum minimum remainder fmod eq ne lt le gt ge logical_and
  logical_or logical_xor]])
all("x = T.rand(2, 3); x:NAME(), x:NAME(2)", "sum mean max min amax amin prod any all argmax argmin var std median")
all("T.rand(2, 3):NAME(2)", "softmax log_softmax logsumexp cumsum cumprod sort argsort")
all("T.rand(2, 3):NAME()", [[t clone contiguous numel nelement dtype is_contiguous to_table float double long int byte detach
  requires_grad is_leaf dim ndim shape size sizes stride flatten norm]])
all("T.NAME(3, 2)", "zeros ones empty rand randn")
all("T.NAME(T.rand(3, 2))", "zeros_like ones_like empty_like rand_like randn_like")
all("T.NAME(T.rand(3, 3))", "tril triu det inverse logdet diag diagonal")

for name, code in pairs{
  abs = "T.abs(T.tensor{-1, 2})",
  tensor = "T.tensor{{1, 2}, {3, 4}}", from_table = 'T.from_table({1, 2, 3}, {dtype = "f64"})', full = "T.full({2, 2}, 0.5)",
  full_like = "T.full_like(T.rand(2), 7)", arange = "T.arange(1, 10, 2)", linspace = "T.linspace(0, 1, 5)", eye = "T.eye(3)",
  randint = "T.randint(1, 7, {10})", randperm = "T.randperm(5)", manual_seed = "T.manual_seed(1); T.rand(2)",
  generator = "g = T.generator(7); T.rand({2}, {generator = g})",
  get_rng_state = "s = T.get_rng_state(); a = T.rand(1); T.set_rng_state(s); a:eq(T.rand(1))",
  set_rng_state = "T.set_rng_state(T.get_rng_state())", get_num_threads = "T.get_num_threads()",
  set_num_threads = "T.set_num_threads(T.get_num_threads())", is_tensor = "T.is_tensor(T.ones(1)), T.is_tensor(1)",
  where = "x = T.randn(4); T.where(x:gt(0), x, 0)", clamp = "T.randn(4):clamp(-1, 1)", lerp = "T.lerp(T.zeros(2), T.ones(2), 0.25)",
  matmul = "T.matmul(T.rand(2, 3), T.rand(3, 4))", bmm = "T.bmm(T.rand(5, 2, 3), T.rand(5, 3, 4))",
  addmm = "T.addmm(T.zeros(2, 4), T.rand(2, 3), T.rand(3, 4))", dot = "T.rand(3):dot(T.rand(3))", outer = "T.outer(T.rand(2), T.rand(3))",
  einsum = 'T.einsum("bkm,mn->bkn", T.rand(2, 3, 4), T.rand(4, 5))', topk = "values, places = T.rand(6):topk(2)",
  cat = "T.cat({T.ones(1, 2), T.zeros(1, 2)}, {dim = 1})", stack = "T.stack{T.ones(2), T.zeros(2)}",
  split = "a, b = T.arange(1, 7):split(3)", chunk = "T.rand(6):chunk(2)", unbind = "T.rand(3, 2):unbind()",
  reshape = "T.arange(1, 7):reshape(2, -1)", view = "T.arange(1, 7):view(2, 3)", expand = "T.ones(1, 3):expand(4, 3)",
  permute = "T.rand(2, 3, 4):permute(3, 1, 2)", transpose = "T.rand(2, 3, 4):transpose(1, 3)", narrow = "T.arange(1, 10):narrow(1, 3, 4)",
  select = "T.rand(3, 2):select(1, 2)", squeeze = "T.rand(1, 3, 1):squeeze()", unsqueeze = "T.rand(3):unsqueeze(1)",
  flip = "T.arange(1, 5):flip(1)", roll = "T.arange(1, 5):roll(1)", tile = "T.tensor{1, 2}:tile(3)", pad = "T.ones(2):pad{1, 1}",
  one_hot = "T.tensor({1, 3}, {dtype = 'i64'}):one_hot(3)", item = "T.ones(2):sum():item()", to = 'T.rand(2):to "f64"',
  conv2d_relu = "T.conv2d_relu(T.rand(1, 8, 8, 3), T.randn(16, 3, 3, 3), {padding = 1}):size()",
  conv_transpose2d_relu = "T.conv_transpose2d_relu(T.rand(1, 4, 4, 8), T.randn(8, 2, 2, 3), {stride = 2}):size()",
  composite = "image, masks = T.composite(T.randn(2, 3, 8, 8, 4)); image:size()",
  attention = "y, weights = T.attention(T.rand(1, 5, 8), T.rand(1, 3, 8), T.rand(1, 3, 8), 2); weights:size()",
  slot_attention = "y, weights = T.slot_attention(T.rand(1, 9, 8), T.rand(1, 2, 3, 8), T.rand(1, 2, 3, 4)); y:size()",
  ptr = 'ffi = require "ffi"; x = T.ones(3); ffi.cast("float *", x:ptr())[0]',
  custom = [[
double = T.custom(function(ctx, x) return x * 2 end, function(ctx, gy) return gy * 2 end)
double(T.ones(2))]],
  scatter_add = "T.zeros(1, 3):scatter_add(2, T.tensor({{1, 3, 3}}, {dtype = 'i64'}), T.ones(1, 3))",
  index_add = "T.zeros(3, 2):index_add(1, T.tensor({1, 1}, {dtype = 'i64'}), T.ones(2, 2))",
  masked_select = "x = T.randn(6); x:masked_select(x:gt(0))", masked_fill = "x = T.randn(6); x:masked_fill(x:lt(0), 0)",
  embedding = "T.embedding(T.rand(10, 4), T.tensor({1, 7}, {dtype = 'i64'}))", linear = "T.linear(T.rand(2, 3), T.rand(4, 3))",
  bincount = "T.tensor({1, 2, 2}, {dtype = 'i64'}):bincount()", unfold = "T.arange(1, 7):unfold(1, 3, 1)",
  ["repeat"] = 'T["repeat"](T.tensor{1, 2}, 3)', repeat_ = "T.tensor({1, 2}):repeat_(3)",
  repeat_interleave = "T.tensor({1, 2}):repeat_interleave(2)", dropout = "T.dropout(T.ones(6), 0.5)",
  same_storage = "x = T.rand(4); x:same_storage(x:reshape(2, 2))", type_as = "T.ones(2):type_as(T.zeros(1):long())",
  get_default_dtype = "T.get_default_dtype()", set_default_dtype = "T.set_default_dtype(T.get_default_dtype())",
  is_grad_enabled = "T.is_grad_enabled()", set_grad_enabled = "T.set_grad_enabled(true)",
  enable_grad = "T.enable_grad(function() return T.is_grad_enabled() end)", anomaly = "T.anomaly(false)",
  gather = "T.rand(2, 3):gather(2, T.tensor({{1}, {3}}, {dtype = 'i64'}))",
  index_select = "T.rand(3, 2):index_select(1, T.tensor({3, 1}, {dtype = 'i64'}))",
  conv2d = "image, weight = T.rand(1, 8, 8, 3), T.randn(16, 3, 3, 3); T.conv2d(image, weight, {padding = 1, stride = 2}):size()",
  conv_transpose2d = "T.conv_transpose2d(T.rand(1, 4, 4, 8), T.randn(8, 2, 2, 3), {stride = 2}):size()",
  avg_pool2d = "T.avg_pool2d(T.rand(1, 4, 4, 3), 2):size()", max_pool2d = "T.max_pool2d(T.rand(1, 4, 4, 3), 2):size()",
  grid_sample = "T.grid_sample(T.rand(1, 4, 4, 3), T.affine_grid(T.tensor{{{.5, 0, 0}, {0, .5, 0}}}, {2, 2})):size()",
  affine_grid = "T.affine_grid(T.tensor{{{1, 0, 0}, {0, 1, 0}}}, {2, 2})",
  upsample = "T.upsample(T.rand(1, 4, 4, 3), 2):size()", layer_norm = "T.layer_norm(T.rand(2, 8))",
  group_norm = "T.group_norm(T.rand(2, 4, 4, 8), 2):size()", svd = "u, s, v = T.svd(T.rand(4, 3))", qr = "q, r = T.qr(T.rand(4, 3))",
  solve = "T.solve(T.eye(3) * 2, T.ones(3, 1))", lstsq = "T.lstsq(T.rand(5, 2), T.rand(5, 1))", pinv = "T.pinv(T.rand(4, 3))",
  cholesky = "T.cholesky(T.eye(3) * 4)", eigh = "values, vectors = T.eigh(T.eye(3))",
  backward = "x = T.rand(3, {requires_grad = true}); (x * x):sum():backward(); x.grad", zero_grad = "x = T.rand(2); x:zero_grad()",
  grad = "x = T.tensor({2}, {requires_grad = true}); T.grad((x ^ 3):sum(), x)",
  higher_order = [[
x = T.rand(3, 8, {requires_grad = true})
layer = percept.nn.block(8, 2)
y = T.higher_order(function() return layer(x:unsqueeze(1)) end)
g = T.grad(y:sum(), x, {create_graph = true})
T.grad((g ^ 2):sum(), x):size()]],
  no_grad = "x = T.rand(2, {requires_grad = true}); T.no_grad(function() return x * 2 end)",
  jacobian = "T.jacobian(function(x) return x:exp() end, T.rand(2))",
  hessian = "T.hessian(function(x) return (x ^ 3):sum() end, T.rand(2))",
  jvp = "T.jvp(function(x) return x:sin() end, T.rand(2), T.ones(2))", vjp = "T.vjp(function(x) return x:sin() end, T.rand(2), T.ones(2))",
  printoptions = "T.printoptions{precision = 4}", requires_grad_ = "x = T.rand(2):requires_grad_(); x:requires_grad()",
  gradcheck = 'T.gradcheck(function(x) return x:tanh():sum() end, T.rand(3, {dtype = "f64", requires_grad = true}))',
} do
  tensor[name] = code
end

examples.tensor = tensor

examples.nn = {
  activation = 'percept.nn.activation "gelu"(T.randn(3))',
  attention = "y, weights = percept.nn.attention(16, 4)(T.randn(2, 5, 16))",
  bce_with_logits = "percept.nn.bce_with_logits(T.randn(4), T.tensor{0, 1, 1, 0})",
  block = "percept.nn.block(16, 4)(T.randn(2, 5, 16)):size()",
  checkpoint = "layer = percept.nn.block(16, 4); percept.nn.checkpoint(layer, T.randn(2, 5, 16)):size()",
  conv2d = "percept.nn.conv2d(3, 8, 3, {padding = 1})(T.rand(1, 8, 8, 3)):size()",
  conv_transpose2d = "percept.nn.conv_transpose2d(8, 3, 2, {stride = 2})(T.rand(1, 4, 4, 8)):size()",
  cross_entropy = "percept.nn.cross_entropy(T.randn(4, 3), T.tensor({1, 3, 2, 2}, {dtype = 'i64'}))",
  dropout = "percept.nn.dropout(0.5)(T.ones(8))",
  flatten = "percept.nn.flatten()(T.rand(2, 3, 4)):size()",
  fourier = "percept.nn.fourier(4, 4, 2):size()",
  gaussian_nll = "percept.nn.gaussian_nll(T.zeros(3), T.ones(3), T.ones(3))",
  group_norm = "percept.nn.group_norm(2, 8)(T.rand(1, 4, 4, 8)):size()",
  gru_cell = "percept.nn.gru_cell(4, 8)(T.rand(2, 4), T.zeros(2, 8)):size()",
  init = 'm = percept.nn.linear(4, 4); percept.nn.init(m.weight, "orthogonal")',
  kl = "percept.nn.kl(T.zeros(2, 3), T.zeros(2, 3))",
  layer_norm = "percept.nn.layer_norm(8)(T.rand(2, 8))",
  linear = "percept.nn.linear(4, 2)(T.rand(3, 4))",
  mlp = "m = percept.nn.mlp{4, 16, 2}; m(T.rand(3, 4))",
  module = [[
scale = percept.nn.module{gain = T.ones(1), forward = function(self, x) return x * self.gain end}
scale(T.rand(3))]],
  mse = 'percept.nn.mse(T.zeros(2, 3), T.ones(2, 3), {reduction = "batch_mean"})',
  position = "percept.nn.position(5, 8)(T.zeros(2, 5, 8)):size()",
  sequential = 'percept.nn.sequential{percept.nn.linear(4, 8), percept.nn.activation "relu", percept.nn.linear(8, 1)}',
  sincos = "percept.nn.sincos(5, 8):size()",
  sincos2d = "percept.nn.sincos2d(4, 4, 8):size()",
}

local fit = [[
m = percept.nn.linear(2, 1)
opt = percept.optim.NAME(m, {lr = 0.1})
percept.nn.mse(m(T.ones(4, 2)), T.zeros(4, 1)):backward()
opt:step()]]
examples.optim = {
  adam = fit:gsub("NAME", "adam"), adamw = fit:gsub("NAME", "adamw"), sgd = fit:gsub("NAME", "sgd"),
  lbfgs = "x, info = percept.optim.lbfgs(function(x) return ((x - 3) ^ 2):sum() end, T.zeros(2)); x",
  schedule = [[
rate = percept.optim.schedule{{kind = "linear", from = 0, to = 1e-3, steps = 10}, {kind = "cosine", from = 1e-3, to = 0, steps = 90}}
rate(0), rate(10), rate(99)]],
}

examples.encoders = {
  slots = [[
e = percept.encoders.slots{slots = 3, slot_dim = 4, height = 16}
mean, log_std = e(T.rand(2, 16, 16, 3)); mean:size()]],
  cnn = "base = percept.encoders.cnn{height = 16, width = 32}; base(T.rand(2, 16, 16, 3)):size()",
  vit = 'base = percept.encoders.vit{name = "vit_tiny_patch16_32", depth = 2}; base(T.rand(2, 32, 32, 3)):size()',
  queries = [[
head = percept.encoders.queries{slots = 3, slot_dim = 4, tokens = 32}
mean, log_std = head(T.randn(2, 16, 32)); mean:size()]],
  slot_attention = [[
head = percept.encoders.slot_attention{slots = 3, slot_dim = 4, tokens = 32}
mean, log_std, attention = head(T.randn(2, 16, 32)); attention:size()]],
  vit_pretrained = [[
-- of a file as timm or transformers write it; here one of our own
v = percept.encoders.vit{height = 32, patch = 8, width = 64, depth = 1, class_token = false}
s, b = v:state(), {}
for ours, name in pairs{["attention.o"] = "attn.proj", norm1 = "norm1", norm2 = "norm2", fc1 = "mlp.fc1", fc2 = "mlp.fc2"} do
  for _, k in ipairs{".weight", ".bias"} do b["blocks.0." .. name .. k] = s["block1." .. ours .. k] end
end
for _, k in ipairs{".weight", ".bias"} do
  b["blocks.0.attn.qkv" .. k] = T.cat({s["block1.attention.q" .. k], s["block1.attention.k" .. k], s["block1.attention.v" .. k]}, {dim = 1})
  b["norm" .. k] = s["norm_out" .. k]
end
b["patch_embed.proj.weight"], b["patch_embed.proj.bias"] = s["patch.weight"]:permute(1, 4, 2, 3), s["patch.bias"]
b.pos_embed = s.position:unsqueeze(1)
percept.formats.save_safetensors("vit.safetensors", b)
base, info = percept.encoders.vit_pretrained("vit.safetensors", {height = 48})
base(T.rand(1, 48, 48, 3)):size()]],
  positions = "percept.encoders.positions(T.randn(1 + 14 * 14, 8), {14, 14}, {8, 8}, {prefix = 1, antialias = true}):size()",
}

examples.decoders = {
  additive = "d = percept.decoders.additive{slot_dim = 4, height = 16, hidden = 16, features = 8}; d(T.randn(2, 3, 4)):size()",
  cnn = "d = percept.decoders.cnn{slots = 3, slot_dim = 4, height = 16, hidden = 16, features = 8}; d(T.randn(2, 3, 4)):size()",
  pixel = "d = percept.decoders.pixel{slot_dim = 4, height = 8, hidden = 8}; image, masks = d(T.randn(2, 3, 4)); masks:size()",
  broadcast = "d = percept.decoders.broadcast{slot_dim = 4, height = 16, hidden = 8}; image, masks = d(T.randn(2, 3, 4)); image:size()",
  sprites = "d = percept.decoders.sprites{slot_dim = 8, height = 16, picture = 8}; image, masks = d(T.randn(2, 3, 8)); masks:size()",
  cross = "d = percept.decoders.cross{slots = 3, slot_dim = 4, height = 16}; image, attention = d(T.randn(2, 3, 4)); image:size()",
  mlp = "d = percept.decoders.mlp{slots = 3, slot_dim = 4, height = 16}; d(T.randn(2, 3, 4)):size()",
  render = "d = percept.decoders.render{slots = 3, slot_dim = 4, height = 16}; image, attention = d(T.randn(2, 3, 4)); attention:size()",
}

examples.inverter = {
  search = [[
d = percept.decoders.mlp{slots = 2, slot_dim = 3, height = 8, hidden = 16}
x = d(T.randn(4, 2, 3)):detach()
found = percept.inverter.search(d, x, T.zeros(4, 2, 3), {steps = 20, lr = 0.1})
found.loss, found.steps]],
  start = [[
d = percept.decoders.mlp{slots = 2, slot_dim = 3, height = 8, hidden = 16}
bank, x = T.randn(50, 2, 3), d(T.randn(4, 2, 3)):detach()
z0 = percept.inverter.start(x, {from = "bank", decoder = d, bank = bank, starts = 2}); z0:size()]],
  summary = [[
d = percept.decoders.mlp{slots = 2, slot_dim = 3, height = 8, hidden = 16}
found = percept.inverter.search(d, T.rand(4, 8, 8, 3), T.zeros(4, 2, 3), {steps = 20, lr = 0.1})
percept.inverter.summary(found).converged]],
}

examples.replay = {
  sample = "bank = T.randn(50, 3, 4); z, rows = percept.replay.sample(bank, 8, {rows = true}); z:size(), rows:size()",
  fit = [[
bank, labels = T.randn(50, 3, 4), T.randint(1, 6, {50, 3})
new = percept.replay.fit(bank, {exclude = {labels = labels, groups = {{1, 3}, {2, 3}}}}) -- no (1,3) and (2,3) both known
z, rows = new:sample(8, {rows = true})
mixture = percept.replay.fit(bank, {marginals = "mixture", components = 4})
mixture:sample(8):size()]],
}

examples.consistency = {
  loss = [[
d = percept.decoders.additive{slot_dim = 4, height = 16, hidden = 16, features = 8}
e = percept.encoders.slots{slots = 2, slot_dim = 4, height = 16}
percept.consistency.loss(e, d, T.randn(8, 2, 4), {n = 4})]],
}

examples.ridge = {
  fit = [[
x, labels = T.rand(60, 4, 4, 3), {animal = T.randint(1, 4, {60})}
m = percept.ridge.fit(x, labels, {animal = 3}, {lambda = {0.01, 1}})
m.lambda.animal, m:score(x, labels).animal]],
}

local decoder = "d, z = percept.decoders.cross{slots = 3, slot_dim = 4, height = 16}, T.randn(2, 3, 4)\n"
examples.interaction = {
  attention = "percept.interaction.attention(T.randn(2, 16, 3):softmax(3))",
  segment = "percept.interaction.segment(T.randn(2, 16, 3):softmax(3), 8, 8):size()",
  fg_ari = "mean, each = percept.interaction.fg_ari(T.randn(2, 16, 3):softmax(3), T.randint(0, 3, {2, 8, 8})); each",
  ari = decoder .. "percept.interaction.ari(d, z, T.randint(0, 3, {2, 16, 16}))",
  j_ari = decoder .. "percept.interaction.j_ari(d, z, T.randint(0, 3, {2, 16, 16}))",
  jis = decoder .. "percept.interaction.jis(percept.interaction.jacobian(d, z), T.randint(0, 3, {2, 16, 16}))",
  jacobian = decoder .. "percept.interaction.jacobian(d, z):size()",
  contrast = decoder .. "percept.interaction.contrast(d, z, {image = true})",
  hessian = decoder .. "h = percept.interaction.hessian(d, z); h.share",
  tangent = decoder .. [[
e = percept.encoders.slots{slots = 3, slot_dim = 4, height = 16}
percept.interaction.tangent(e, d, z, {probes = 1}).share]],
}

local labels = "a, b = T.tensor({1, 2, 2}, {dtype = 'i64'}), T.tensor({1, 2, 1}, {dtype = 'i64'}); "
examples.metrics = {
  accuracy = labels .. "percept.metrics.accuracy(a, b)",
  ari = labels .. "percept.metrics.ari(a, b)",
  ari_masks = "m = T.randint(1, 4, {2, 8, 8}); percept.metrics.ari_masks(m, m)",
  fg_ari = "m = T.randint(0, 3, {2, 8, 8}); percept.metrics.fg_ari(m, m)",
  mbo = "m = T.randint(0, 3, {2, 8, 8}); percept.metrics.mbo(m, m)",
  miou = "percept.metrics.miou(T.tensor({{1, 1, 2, 2}}, {dtype = 'i64'}), T.tensor({{0, 5, 7, 7}}, {dtype = 'i64'}))",
  confusion = labels .. "percept.metrics.confusion(a, b, 2)",
  hungarian = "columns, total = percept.metrics.hungarian(T.tensor{{1, 2}, {0, 3}}); columns",
  r2 = "y = T.rand(9, 2); percept.metrics.r2(y + 0.01, y)",
  r2_columns = "y = T.rand(9, 2); percept.metrics.r2_columns(y + 0.01, y)",
  chance = "percept.metrics.chance(T.tensor({1, 2, 2}, {dtype = 'i64'}))",
  slot_use = "share, mixed, entropy = percept.metrics.slot_use(T.randn(2, 16, 3):softmax(3)); share, entropy",
  slot_health = [[
h = percept.metrics.slot_health{attention = T.randn(8, 16, 2):softmax(3), accuracy = T.tensor{{.9, .2}, {.1, .8}},
  chance = T.tensor{.1, .2}}
h.good, h.usage, h.owner]],
  slot_of = "percept.metrics.slot_of(T.tensor{{.9, .2}, {.1, .8}})",
}

local slots_told = decoder .. [[
labels = {left = T.tensor({1, 2}, {dtype = 'i64'})}
readouts = percept.readout.fit(z, labels, {"left"}, {left = 2}, {steps = 5})
]]
examples.health = {
  measure = slots_told .. "h = percept.health.measure{decoder = d, z = z, readouts = readouts, labels = labels}; h.line, h.good",
  line = slots_told .. "percept.health.line(percept.health.measure{z = z, readouts = readouts, labels = labels})",
  record = slots_told .. [[
run = percept.run{experiment = "example"}
percept.health.record(run, percept.health.measure{decoder = d, z = z, readouts = readouts, labels = labels}); run:finish()
percept.recorder.print("percept.db", "@slots")]],
}

examples.images = {
  grid = "percept.images.grid(T.rand(6, 8, 8, 3), {columns = 3}):size()",
  read = 'percept.images.write("x.png", T.rand(8, 8, 3)); percept.images.read("x.png"):size()',
  read_labels = 'percept.images.write("m.png", T.zeros(4, 4):to "u8"); percept.images.read_labels("m.png"):size()',
  write = 'percept.images.write("x.png", T.rand(8, 8, 3))',
  resize = "percept.images.resize(T.rand(8, 8, 3), 4):size()",
}

local stored = 'percept.formats.save_KIND("t.EXT", {w = T.rand(2)}); percept.formats.load_KIND("t.EXT").w'
examples.formats = {
  save_npy = 'percept.formats.save_npy("x.npy", T.rand(2, 3)); percept.formats.load_npy("x.npy")',
  save_npz = (stored:gsub("KIND", "npz"):gsub("EXT", "npz")),
  save_safetensors = (stored:gsub("KIND", "safetensors"):gsub("EXT", "safetensors")),
  save_checkpoint = (stored:gsub("KIND", "checkpoint"):gsub("EXT", "safetensors")),
}
for _, kind in ipairs{"npy", "npz", "safetensors", "checkpoint"} do
  examples.formats["load_" .. kind] = examples.formats["save_" .. kind]
end

local scenes = [[
scenes = percept.datasets.scenes("experiments/data/spar_cycles", {height = 16, width = 16, masks = false, only = {
  world_name = {"Park", "Dawn"}, character_name = {"Horse", "Lion"}, character2_name = {"Eagle", "Bull"}}})
]]

examples.datasets = {
  scenes = scenes .. "scenes:count(), scenes:images(T.tensor({1, 2}, {dtype = 'i64'})):size()",
  split = scenes .. [[
s = percept.datasets.split(scenes, {pairs = {{"character_name", "world_name"}}, fraction = 0.3, seed = 1})
s.id_train:numel(), s.ood:numel()]],
  emoji = [[
e = percept.datasets.emoji{count = 8, size = 32, animals = {"Horse", "Tiger", "Whale"}, places = {"Park", "City"}, occlusion = 0.5}
e:images():size(), e:values("character_name"), e:numeric("occlusion1"):max()]],
  open = "d = percept.datasets.open('sprites', {size = 16, count = 200}); d:count(), d:factors(), d:images():size()",
  sprite_set = "d = percept.datasets.sprite_set(50, {height = 16}); d:values('shape1'), d:numeric('x1'):size(), d:latents():size()",
  kinds = "for i, k in ipairs(percept.datasets.kinds()) do print(k.name, k.what) end",
  kind = [[
percept.datasets.kind{name = "gray", what = "noise", open = function(spec, o)
  return {name = "gray", images = T.rand(4, o.size, o.size), factors = {{name = "half", values = {"a", "b"}, index = {1, 1, 2, 2}}}}
end}
percept.datasets.open("gray", {size = 8}):images():size()]],
  dataset = [[
d = percept.datasets.dataset{name = "mine", images = T.rand(4, 8, 8, 3), factors = {
  {name = "color", values = {"red", "blue"}, index = {1, 2, 1, 2}}, {name = "shape", values = {"disc", "star"}, index = {1, 1, 2, 2}}}}
d:factor("color"), d:digest()]],
  check = "percept.datasets.check(percept.datasets.sprite_set(5, {height = 8})):count()",
  arrays = [[
percept.formats.save_npz("digits.npz", {images = T.rand(6, 8, 8), digit = T.tensor({3, 1, 3, 1, 3, 1}, {dtype = "i64"})})
d = percept.datasets.arrays("digits.npz")
d:count(), d:channels(), d:values("digit"), d:factor("digit")]],
  licence = [[percept.datasets.licence("experiments/data/spar_cycles")]],
  sprites = "x, factors = percept.datasets.sprites(4, {objects = 2, height = 16}); x",
  batches = "b = percept.datasets.batches(T.arange(1, 11):long(), 4, {seed = 1}); b:next()",
  split_latents = "s = percept.datasets.split_latents(T.rand(500, 2, 2)); s.ood:numel()",
}

examples.recorder = {
  query = [[
run = percept.run{experiment = "example", seed = 1, config = {width = 8}}
run:log(1, {loss = 0.5}); run:finish()
percept.recorder.query("percept.db", "select metric, last from run_metric")]],
  start = 'run = percept.recorder.start{db = "percept.db", experiment = "example", config = {lr = 1e-3}}; run:finish()',
  resume = [[
run = percept.recorder.start{db = "percept.db", experiment = "example"}; run:finish("killed")
again = percept.recorder.resume("percept.db", run:uid()); again:finish()]],
  find = [[
run = percept.run{experiment = "example", name = "first"}; run:finish()
percept.recorder.find("percept.db", run:uid())]],
  checkpoint = [[
run = percept.run{experiment = "example"}; run:finish()
step, path = percept.recorder.checkpoint("percept.db", run:uid()); step]],
  print = [[
percept.run{experiment = "example"}:finish()
percept.recorder.print("percept.db", "select status, count(*) as n from run group by 1", {format = "markdown"})]],
  stale = [[
percept.run{experiment = "example"}:finish()
#percept.recorder.stale "percept.db"]],
  merge = [[
percept.run{experiment = "example", db = "other.db"}:finish()
added, replaced, same = percept.recorder.merge("percept.db", "other.db"); added]],
  finish_open = 'percept.recorder.finish_open "done"',
  json = "percept.recorder.json{a = {1, 2}}",
  parse_json = [==[percept.recorder.parse_json('{"a": [1, 2]}').a]==],
  queries = "#percept.recorder.queries()",
}

examples.prompt = { -- the globals of the prompt
  show = "show(T.rand(4, 8, 8, 3), {columns = 2})",
  plot = 'plot{loss = {3, 2, 1.5, 1.2}, log = "y"}',
  db = [[
percept.run{experiment = "example", config = {width = 8}}:finish()
db"select experiment, status from run"]],
  load = 'm = load() -- the newest run; load "UID" any other',
  inspect = "inspect(percept.nn.mlp{4, 16, 2})",
  time = "time(function() return T.rand(64, 64):exp() end, {seconds = 0.01})",
  prof = "prof(function() local x = T.rand(64, 64, {requires_grad = true}); (x:matmul(x)):sum():backward() end)",
  help = "help(T.conv2d)",
  who = "who()",
}

-- Which of them stand in which module.
examples.prompt_modules = {
  terminal = {show = true}, chart = {plot = true}, inspect = {inspect = true}, profile = {time = true, prof = true},
  help = {help = true, who = true, load = true},
}

-- First steps, for help().
examples.overview = {
  {"x = T.randn(3, 4); x:softmax(2)", "tensors"},
  {'m = percept.decoders.render{slots = 3, slot_dim = 6, height = 32}; inspect(m)', "a decoder, and what it is made of"},
  {"show(m(T.randn(4, 3, 6)))", "what it paints, and which slot paints what"},
  {"prof(function() m(T.randn(4, 3, 6)) end)", "where the time goes"},
  {'db"select experiment, status from run"', "every run, in SQL"},
}

examples.experiment = {
  _ = [[
percept.experiment{
  name = "line",
  defaults = {steps = 50, model = {width = 8}},
  run = function(cfg, run)
    local m = percept.nn.mlp{1, cfg.model.width, 1}
    local x = T.linspace(-1, 1, 32):reshape(32, 1)
    percept.train.loop{name = "fit", steps = cfg.steps, modules = {net = m}, optimizer = percept.optim.adam(m, {lr = 1e-2}), run = run,
      quiet = true, step = function() return percept.nn.mse(m(x), x ^ 2) end}
  end,
}]],
}

--- The example of a function by module and name, or nil.
function examples.of(module, name)
  return examples[module] and examples[module][name]
end

return examples
