--- Values, gradients and gradients of gradients against PyTorch's: golden.safetensors, which
-- dump.py wrote and documents. Every op runs in f64 (tight) and in f32 (the kernels of training).
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local formats = require "percept.formats"
local check = dofile "tests/lua/check.lua"

local here = (arg and arg[0] or ""):match "^(.*)/[^/]*$" or "tests/golden"
local golden = formats.load_safetensors(here .. "/golden.safetensors")

-- case -> kind -> name -> tensor
local data, seen = {}, {}
for key, t in pairs(golden) do
  local name, kind, what = key:match "^(.-)/(%a+)%.(.*)$"
  data[name] = data[name] or { ["in"] = {}, out = {}, cot = {}, grad = {}, hess = {} }
  data[name][kind][tonumber(what) or what] = t
end

--- Largest difference in units of 1 + the largest number wanted; NaN is a difference.
local function compare(what, got, want, tol)
  check.ok(got ~= nil, what .. ": no result")
  check.eq(got:shape(), want:shape(), what .. ": shape")
  if want:numel() == 0 then return end
  want = want:double()
  local scale = 1 + want:abs():amax():item()
  local off = (got:detach():double() - want):abs():amax():item() / scale
  check.ok(off <= tol, ("%s: off by %.3g, allowed %.3g\ngot %s\nwant %s"):format(what, off, tol, tostring(got), tostring(want)))
end

local function is_float(t) return t:dtype() == "f32" or t:dtype() == "f64" end

--- Runs one case in one dtype. fn(inputs) -> outputs; leaves: name -> tensor whose gradient is compared.
local function run(name, dtype, tol, prepare, fn)
  local d = data[name]
  local inputs, leaves, order = {}, {}, {}
  for key, t in pairs(d["in"]) do
    local x = is_float(t) and t:to(dtype):clone() or t
    if d.grad[key] then x:requires_grad_() end
    inputs[key] = x
  end
  if prepare then prepare(inputs) end
  local out = { fn(inputs) }
  local loss
  for k, want in ipairs(d.out) do
    compare("output " .. k, out[k], want, tol)
    check.eq(is_float(out[k]), is_float(want), "output " .. k .. " is a float")
    if d.cot[k] then
      local part = (out[k] * d.cot[k]:to(dtype)):sum()
      loss = loss and loss + part or part
    end
  end
  for key in pairs(d.grad) do order[#order + 1] = key end
  if #order == 0 then return end
  table.sort(order)
  for i, key in ipairs(order) do leaves[i] = inputs[key] end
  local twice = next(d.hess) ~= nil
  local grads = T.grad(loss, leaves, { create_graph = twice })
  for i, key in ipairs(order) do compare("gradient of " .. key, grads[i], d.grad[key], tol) end
  if not twice then return end
  local sum
  for _, g in ipairs(grads) do
    if g:requires_grad() then sum = sum and sum + (g * g):sum() or (g * g):sum() end
  end
  local second = T.grad(sum, leaves, { allow_unused = true })
  for i, key in ipairs(order) do
    compare("second gradient of " .. key, second[i] or T.zeros_like(leaves[i]), d.hess[key], tol * 10)
  end
end

--- options: f32 = tolerance in f32 (default 2e-5)
local function case(name, fn, options)
  options = options or {}
  check.test(name .. " (f64)", function() run(name, "f64", options.f64 or 1e-12, nil, fn) end)
  check.test(name .. " (f32)", function() run(name, "f32", options.f32 or 1e-5, nil, fn) end)
  seen[name] = true
end

--- A module with the case's weights: its parameters are the inputs of the same names.
local function module(name, make, call)
  local m = make()
  seen[name] = true
  check.test(name, function()
    local state = {}
    for _, path in ipairs(m:names()) do
      local t = data[name]["in"][(path:gsub("%.", "_"))]
      check.ok(t, "no values for " .. path)
      state[path] = t
    end
    m:load_state(state)
    run(name, "f32", 2e-5, function(inputs)
      for path, t in pairs(m:named_parameters()) do inputs[(path:gsub("%.", "_"))] = t end
    end, function(i) return call(m, i) end)
  end)
end

-- pointwise
for _, op in ipairs { "gelu", "silu", "sigmoid", "tanh", "softplus", "erf", "sin", "cos", "exp", "expm1", "atan", "square",
  "relu", "abs", "log", "log1p", "sqrt", "rsqrt", "reciprocal" } do
  case(op, function(i) return T[op](i.x) end)
end
case("gelu_tanh", function(i) return T.gelu(i.x, { approximate = "tanh" }) end)
case("softplus_beta", function(i) return T.softplus(i.x, { beta = 3, threshold = 4 }) end)
case("elu", function(i) return T.elu(i.x, 1.5) end)
case("leaky_relu", function(i) return T.leaky_relu(i.x, 0.2) end)
case("clamp", function(i) return i.x:clamp(-1, 0.5) end)
case("pow", function(i) return i.x ^ i.y end)
case("div", function(i) return i.x / i.y end)
case("maximum", function(i) return T.maximum(i.x, i.y) end)
case("remainder", function(i) return T.remainder(i.x, i.y), T.fmod(i.x, i.y) end)
case("where", function(i) return T.where(i.c, i.x, i.y) end)

-- convolutions
local function conv(op, name, options)
  case(name, function(i) return T[op](i.x, i.w, i.b, options) end)
end
conv("conv2d", "conv2d", {})
conv("conv2d", "conv2d_stride", { stride = { 2, 1 }, padding = { 1, 0 } })
conv("conv2d", "conv2d_dilation", { dilation = { 2, 1 }, padding = 2 })
conv("conv2d", "conv2d_groups", { groups = 2, padding = 1, stride = 2 })
conv("conv2d", "conv2d_depthwise", { groups = 4, padding = 1 })
conv("conv2d", "conv2d_1x1", {})
conv("conv_transpose2d", "conv_transpose2d", {})
conv("conv_transpose2d", "conv_transpose2d_stride", { stride = 2, padding = 1 })
conv("conv_transpose2d", "conv_transpose2d_output_padding", { stride = { 2, 3 }, padding = 1, output_padding = { 1, 2 } })
conv("conv_transpose2d", "conv_transpose2d_dilation", { dilation = 2, stride = 2, padding = 1 })
conv("conv_transpose2d", "conv_transpose2d_groups", { groups = 2, stride = 2, padding = 1, output_padding = 1 })

-- pooling and resampling
case("avg_pool2d", function(i) return T.avg_pool2d(i.x, 2) end)
case("avg_pool2d_padding", function(i) return T.avg_pool2d(i.x, 3, { stride = { 2, 1 }, padding = 1 }) end)
case("max_pool2d", function(i) return T.max_pool2d(i.x, { 2, 3 }, { stride = { 2, 1 } }) end)
case("max_pool2d_padding", function(i) return T.max_pool2d(i.x, 3, { stride = 2, padding = 1 }) end)
for name, options in pairs {
  nearest = { scale_factor = 2 }, nearest_size = { size = { 5, 7 } }, nearest_down = { size = { 2, 3 } },
  bilinear = { scale_factor = 2, mode = "bilinear" }, bilinear_size = { size = { 5, 7 }, mode = "bilinear" },
  bilinear_down = { size = { 2, 3 }, mode = "bilinear" },
  bilinear_corners = { size = { 6, 9 }, mode = "bilinear", align_corners = true },
} do
  case("upsample_" .. name, function(i) return T.upsample(i.x, options) end)
end

for name, options in pairs {
  [""] = {}, _corners = { align_corners = true }, _border = { padding = "border" },
  _border_corners = { padding = "border", align_corners = true }, _nearest = { mode = "nearest" }, _twice = {},
} do
  case("grid_sample" .. name, function(i) return T.grid_sample(i.x, i.g, options) end)
end
-- at the edges themselves and far from them
case("grid_sample_edges", function(i) return T.grid_sample(i.x, i.g), T.grid_sample(i.x, i.g, { padding = "border" }) end)
case("affine_grid", function(i) return T.affine_grid(i.t, { 3, 4 }) end)
case("affine_grid_corners", function(i) return T.affine_grid(i.t, { 3, 4 }, { align_corners = true }) end)

-- norms and softmax
case("layer_norm", function(i) return T.layer_norm(i.x, i.w, i.b) end, { f32 = 5e-5 })
case("layer_norm_2", function(i) return T.layer_norm(i.x, i.w, i.b, { dims = 2, eps = 1e-3 }) end)
case("layer_norm_plain", function(i) return T.layer_norm(i.x) end)
case("group_norm", function(i) return T.group_norm(i.x, 2, i.w, i.b) end)
case("softmax", function(i) return i.x:softmax() end)
case("softmax_1", function(i) return i.x:softmax(1) end)
case("log_softmax", function(i) return i.x:log_softmax(-1) end)
case("log_softmax_2", function(i) return i.x:log_softmax(2) end)

-- losses
case("cross_entropy", function(i) return nn.cross_entropy(i.x, i.t) end)
case("cross_entropy_smooth", function(i) return nn.cross_entropy(i.x, i.t, { label_smoothing = 0.1 }) end)
case("cross_entropy_sum", function(i) return nn.cross_entropy(i.x, i.t, { label_smoothing = 0.2, reduction = "sum" }) end)
case("mse", function(i) return nn.mse(i.x, i.y) end)
case("bce_with_logits", function(i) return nn.bce_with_logits(i.x, i.t) end)
case("gaussian_nll", function(i) return nn.gaussian_nll(i.m, i.x, i.v) end)
case("kl", function(i) return nn.kl(i.m, i.s) end)

-- attention and modules
case("attention", function(i) return T.attention(i.q, i.k, i.v, 2) end)
case("attention_scale", function(i) return T.attention(i.q, i.k, i.v, 1, { scale = 0.7 }) end)
case("linear", function(i) return T.linear(i.x, i.w, i.b) end)
module("nn.attention", function() return nn.attention(8, 2, { context = 6, inner = 8, bias = true }) end,
  function(m, i) return m(i.x, i.c) end)
module("nn.block", function() return nn.block(8, 2, { context = 6, ff = 16 }) end, function(m, i) return m(i.x, i.c) end)
module("nn.gru_cell", function() return nn.gru_cell(4, 5) end, function(m, i) return m(i.x, i.h) end)

-- linear algebra
local loose = { f64 = 1e-10, f32 = 5e-4 }
local function symmetric(a) return (a + a:transpose(-1, -2)) / 2 end
case("solve", function(i) return T.solve(i.a, i.b) end, loose)
case("inverse", function(i) return T.inverse(i.a) end, loose)
case("det", function(i) return T.det(i.a) end, loose)
case("logdet", function(i) return T.logdet(i.a) end, loose)
case("cholesky", function(i) return T.cholesky(symmetric(i.a)) end, loose)
local function singular_values(i) return (select(2, T.svd(i.a))) end
case("svd_wide", singular_values, loose)
case("svd_tall", singular_values, loose)
case("svd_vectors", function(i)
  local u, s, vh = T.svd(i.a)
  return T.matmul(u * (s / (s + 1)):unsqueeze(-2), vh)
end, loose)
case("qr", function(i)
  local q, r = T.qr(i.a)
  return q:abs(), r:abs()
end, loose)
case("eigh", function(i)
  local w, v = T.eigh(symmetric(i.a))
  return w, T.matmul(v * w:tanh(), v:t())
end, loose)
case("lstsq", function(i) return T.lstsq(i.a, i.b) end, loose)
case("pinv", function(i) return T.pinv(i.a) end, loose)
case("matmul", function(i) return T.matmul(i.a, i.b) end)
case("matmul_vector", function(i) return T.matmul(i.a, i.b) end)
case("addmm", function(i) return T.addmm(i.c, i.a, i.b, { beta = 0.5, alpha = 2 }) end)
for k, equation in ipairs { "ij,jk->ik", "bij,bjk->bik", "bhnd,bhmd->bhnm", "ii->i", "ij->ji", "ij->", "i,j->ij", "abc,cd->abd",
  "ab,bc,cd->ad", "bn,anm,bm->ba" } do
  case("einsum_" .. k, function(i)
    if i.z then return T.einsum(equation, i.x, i.y, i.z) end
    if i.y then return T.einsum(equation, i.x, i.y) end
    return T.einsum(equation, i.x)
  end)
end

-- reductions, sorting
case("sum", function(i) return i.x:sum { 1, 3 } end)
case("mean", function(i) return i.x:mean(2, { keepdim = true }) end)
case("var", function(i) return i.x:var(2) end)
case("var_biased", function(i) return i.x:var({ 1, 3 }, { unbiased = false }) end)
case("std", function(i) return i.x:std(-1) end)
case("std_all", function(i) return i.x:std() end)
case("norm", function(i) return i.x:norm() end)
case("norm_1", function(i) return i.x:norm(1, 3) end)
case("norm_3", function(i) return i.x:norm(3, 2) end)
case("norm_inf", function(i) return i.x:norm(math.huge, 3) end)
case("logsumexp", function(i) return i.x:logsumexp(2) end)
case("logsumexp_dims", function(i) return i.x:logsumexp { 1, 3 } end)
case("cumsum", function(i) return i.x:cumsum(2) end)
case("cumprod", function(i) return i.x:cumprod(3) end)
case("prod", function(i) return i.x:prod(3) end)
case("amax", function(i) return i.x:amax { 1, 3 } end)
case("sort", function(i) return i.x:sort(2) end)
case("sort_descending", function(i) return i.x:sort(-1, { descending = true }) end)
case("topk", function(i) return i.x:topk(3) end)
case("topk_smallest", function(i) return i.x:topk(2, 1, { largest = false }) end)
case("max", function(i) return i.x:max(2) end)
case("min", function(i) return i.x:min(3) end)
case("median", function(i) return i.x:median(3) end)
case("argmax", function(i) return i.x:argmax(2), i.x:argmin(3) end)

-- shapes and indices
case("pad", function(i) return i.x:pad({ 1, 0, -1, 2 }, { value = 0.5 }) end)
case("roll", function(i) return i.x:roll(-3, 2) end)
case("flip", function(i) return i.x:flip { 1, 3 } end)
case("unfold", function(i) return i.x:unfold(2, 3, 1) end)
case("tril", function(i) return i.x:transpose(1, 2):tril(-1), i.x:triu(1) end)
case("diagonal", function(i) return i.x:diagonal(1) end)
case("repeat_interleave", function(i) return i.x:repeat_interleave(2, 2) end)
case("gather", function(i) return i.x:gather(2, i.i) end)
case("scatter_add", function(i) return i.x:scatter_add(2, i.i, i.s) end)
case("index_select", function(i) return i.x:index_select(2, i.i) end)
case("index_add", function(i) return i.x:index_add(1, i.i, i.s) end)
case("masked_select", function(i) return i.x:masked_select(i.m) end)
case("index_mask", function(i) return i.x[i.m] end)
case("embedding", function(i) return T.embedding(i.w, i.i) end)

-- five steps of each optimiser on sum a (x - c)^2 / 2
for name, make in pairs {
  sgd = function(x) return optim.sgd(x, { lr = 0.1 }) end,
  sgd_momentum = function(x) return optim.sgd(x, { lr = 0.1, momentum = 0.9, weight_decay = 0.05 }) end,
  sgd_nesterov = function(x) return optim.sgd(x, { lr = 0.1, momentum = 0.8, nesterov = true, weight_decay = 0.05 }) end,
  adam = function(x) return optim.adam(x, { lr = 0.1, beta1 = 0.8, beta2 = 0.95, eps = 1e-6 }) end,
  adam_decay = function(x) return optim.adam(x, { lr = 0.1, weight_decay = 0.1 }) end,
  adamw = function(x) return optim.adamw(x, { lr = 0.1, weight_decay = 0.2 }) end,
} do
  seen["optim." .. name] = true
  check.test("optim." .. name, function()
    local d = data["optim." .. name]["in"]
    local x = d.x:clone():requires_grad_()
    local o, path = make(x), {}
    for k = 1, 5 do
      o:zero_grad()
      local loss = (d.a * (x - d.c) ^ 2):sum() / 2
      loss:backward()
      o:step()
      path[k] = x:detach():clone()
    end
    compare("path", T.stack(path), data["optim." .. name].out[1], 2e-6)
  end)
end

check.test("every case of the file is compared", function()
  for name in pairs(data) do check.ok(seen[name], "no test of " .. name) end
end)
check.done()
