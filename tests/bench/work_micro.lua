--- work_micro: single operations at the workloads' shapes (family e): forward, and backward where it matters.
-- A list of rows; work(o) -> job with step(), flops or bytes (moved at least: read and written once).
local percept = require "percept"
local flops = require "flops"
local T, nn = percept.tensor, percept.nn

local list = {}

local function add(id, title, make)
  list[#list + 1] = {id = "e_" .. id, title = title, batch = 0, size = 0, work = make}
end

-- forward alone, without recording
local function forward(f, count)
  return {step = function() return T.no_grad(f) end, flops = count.flops, bytes = count.bytes}
end

-- gradients of y = f(x...) for the tensors of `of`, with a given gradient of y; y is computed once
local function backward(f, of, count)
  for _, t in ipairs(of) do t:requires_grad_() end
  local y = f()
  local g = T.randn(y:shape())
  return {
    step = function() return T.grad(y, of, {grad_outputs = g, retain_graph = true}) end,
    flops = count.flops, bytes = count.bytes,
  }
end

for _, n in ipairs{64, 128, 256, 512, 1024, 2048} do
  add("matmul" .. n, ("matmul %d^3"):format(n), function()
    local a, b = T.randn(n, n), T.randn(n, n)
    return forward(function() return a:matmul(b) end, {flops = 2 * n ^ 3})
  end)
end

for _, out in ipairs{128, 512} do
  add("linear" .. out, ("linear 65536 x 128 -> %d"):format(out), function()
    local x, w = T.randn(65536, 128), T.randn(out, 128)
    return forward(function() return x:linear(w) end, {flops = flops.linear(65536, 128, out)})
  end)
end
add("linear512_back", "  its backward, data and weight", function()
  local x, w = T.randn(65536, 128), T.randn(512, 128)
  return backward(function() return x:linear(w) end, {x, w}, {flops = 2 * flops.linear(65536, 128, 512)})
end)

add("softmax4", "softmax 262144 x 4", function()
  local x = T.randn(262144, 4)
  return forward(function() return x:softmax() end, {bytes = 8 * x:numel()})
end)
add("softmax4_back", "  its backward", function()
  local x = T.randn(262144, 4)
  return backward(function() return x:softmax() end, {x}, {bytes = 12 * x:numel()})
end)
add("softmax_slots", "softmax over slots 32x4x64x64", function()
  local x = T.randn(32, 4, 64, 64, 1)
  return forward(function() return x:softmax(2) end, {bytes = 8 * x:numel()})
end)
add("layer_norm", "layer norm 65536 x 128", function()
  local x, l = T.randn(65536, 128), nn.layer_norm(128)
  return forward(function() return l(x) end, {bytes = 8 * x:numel()})
end)
add("layer_norm_back", "  its backward", function()
  local x, l = T.randn(65536, 128), nn.layer_norm(128)
  return backward(function() return l(x) end, {x, l.weight, l.bias}, {bytes = 12 * x:numel()})
end)

local function pointwise(id, title, f, floats)
  add(id, title .. " 65536 x 512", function()
    local x = T.randn(65536, 512)
    return forward(function() return f(x) end, {bytes = 4 * floats * x:numel()})
  end)
end
pointwise("gelu", "GELU (erf)", function(x) return x:gelu() end, 2)
add("gelu_back", "  its backward", function()
  local x = T.randn(65536, 512)
  return backward(function() return x:gelu() end, {x}, {bytes = 12 * x:numel()})
end)
pointwise("gelu_tanh", "GELU (tanh)", function(x) return x:gelu "tanh" end, 2)
pointwise("relu", "ReLU", function(x) return x:relu() end, 2)
pointwise("add", "add", function(x) return x + x end, 3)
pointwise("exp", "exp", function(x) return x:exp() end, 2)

-- a convolution layer forward, backward of data and weight, backward of data alone
local function convolution(id, title, make, size, count)
  local function input() return T.randn(unpack(size)) end
  add(id, title, function()
    local l, x = make(), input()
    return forward(function() return l(x) end, {flops = count})
  end)
  add(id .. "_back", "  backward, data and weight", function()
    local l, x = make(), input()
    return backward(function() return l(x) end, {x, l.weight, l.bias}, {flops = 2 * count})
  end)
  add(id .. "_data", "  backward, data", function()
    local l, x = make(), input()
    l:freeze()
    return backward(function() return l(x) end, {x}, {flops = count})
  end)
end
local function conv(from, to, kernel, stride)
  return function() return nn.conv2d(from, to, kernel, {stride = stride, padding = (kernel - 1) / 2}) end
end
local function deconv(from, to, stride)
  return function() return nn.conv_transpose2d(from, to, 5, {stride = stride, padding = 2, output_padding = stride - 1}) end
end
convolution("conv3", "conv 5x5 s2 3->64, 64x64, b32", conv(3, 64, 5, 2), {32, 64, 64, 3}, flops.conv(32 * 1024, 5, 3, 64))
convolution("conv64", "conv 5x5 s2 64->64, 32x32, b32", conv(64, 64, 5, 2), {32, 32, 32, 64}, flops.conv(32 * 256, 5, 64, 64))
convolution("conv3x3", "conv 3x3 s1 64->64, 64x64, b32", conv(64, 64, 3, 1), {32, 64, 64, 64}, flops.conv(32 * 4096, 3, 64, 64))
convolution("deconv8", "convT 5x5 s2 32->64, 8->16, b128", deconv(32, 64, 2), {128, 8, 8, 32}, flops.conv(128 * 64, 5, 32, 64))
convolution("deconv16", "convT 5x5 s2 64->64, 16->32, b128", deconv(64, 64, 2), {128, 16, 16, 64}, flops.conv(128 * 256, 5, 64, 64))
convolution("deconv32", "convT 5x5 s2 64->64, 32->64, b128", deconv(64, 64, 2), {128, 32, 32, 64}, flops.conv(128 * 1024, 5, 64, 64))
convolution("deconv4", "convT 5x5 s1 64->4, 64x64, b128", deconv(64, 4, 1), {128, 64, 64, 64}, flops.conv(128 * 4096, 5, 64, 4))

return list
