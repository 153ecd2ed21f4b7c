-- percept.interaction: measures of decoders against functions whose answers are known.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local nn = require "percept.nn"
local decoders = require "percept.decoders"
local interaction = require "percept.interaction"

local f64, i64 = {dtype = "f64"}, {dtype = "i64"}

-- x = (z1 z2, sin z1 + z2^2): slots of one number
local function product(z)
  local a, b = z:select(2, 1), z:select(2, 2)
  return T.cat({a * b, a:sin() + b:square()}, {dim = 2})
end

check.test("mixed Hessian: known values, two ways", function()
  local z = T.tensor({{{0.5}, {-1}}, {{2}, {0.25}}}, f64)
  for _, method in ipairs{"differences", "exact"} do
    local h = interaction.hessian(product, z, {method = method, probes = 0})
    -- D2_12 = (1, 0), D2_11 = (0, -sin z1), D2_22 = (0, 2): root mean squares over the 2 outputs
    local r = math.sqrt(0.5)
    for b, z1 in ipairs{0.5, 2} do
      check.near(h.blocks:to_table()[b], {{math.sin(z1) * r, r}, {r, 2 * r}}, 1e-5, method)
      check.near(h.mixed:to_table()[b], 1, 1e-5)
      check.near(h.within:to_table()[b], math.sqrt((math.sin(z1) ^ 2 + 4) / 2), 1e-5)
      check.near(h.share:to_table()[b], 1 / (1 + (math.sin(z1) ^ 2 + 4) / 2), 1e-5)
    end
    -- scale 3 and 0.5: second derivatives times both
    h = interaction.hessian(product, z, {method = method, probes = 0, scale = T.tensor({{3}, {0.5}}, f64)})
    check.near(h.mixed:to_table(), {1.5, 1.5}, 1e-5)
  end
end)

check.test("mixed Hessian: random probes estimate the norm; batches are no matter", function()
  T.manual_seed(1)
  local w = T.randn(6, 6, 5, f64)
  local function quadratic(z) -- x_c = z' W_c z
    local v = z:reshape(z:size(1), 6)
    return T.stack({v:matmul(w:select(3, 1)), v:matmul(w:select(3, 2)), v:matmul(w:select(3, 3))}, {dim = 3}):mul(v:unsqueeze(3)):sum(2)
  end
  local z = T.randn(3, 2, 3, f64)
  local all = interaction.hessian(quadratic, z, {probes = 0})
  local some = interaction.hessian(quadratic, z, {probes = 800})
  local exact = interaction.hessian(quadratic, z, {probes = 0, method = "exact"})
  check.near(exact.blocks:to_table(), all.blocks:to_table(), 1e-5)
  check.near(some.blocks:to_table(), all.blocks:to_table(), 0.15)
  local sum = 0 -- by hand: block 1,2 of W + W'
  for c = 1, 3 do
    local m = w:select(3, c) + w:select(3, c):t()
    sum = sum + m:narrow(1, 1, 3):narrow(2, 4, 3):square():sum():item()
  end
  check.near(all.blocks:to_table()[1][1][2], math.sqrt(sum / 3), 1e-5)
  check.near(interaction.hessian(quadratic, z, {probes = 0, batch = 2}).blocks:to_table(), all.blocks:to_table(), 1e-6)
  local few = interaction.hessian(quadratic, z, {probes = 0, method = "exact", outputs = 1})
  check.ok(few.mixed:min():item() > 0)
end)

check.test("additive decoders have no mixed block, others do", function()
  T.manual_seed(2)
  local z = T.randn(2, 3, 4)
  local additive = decoders.additive{slot_dim = 4, height = 16, hidden = 16, features = 8, act = "gelu"}
  local h = interaction.hessian(additive, z)
  check.ok(h.share:max():item() < 1e-6, h.share:max():item())
  check.ok(h.within:min():item() > 0)
  local cnn = interaction.hessian(decoders.cnn{slots = 3, slot_dim = 4, height = 16, hidden = 16, features = 8, act = "gelu"}, z)
  check.ok(cnn.share:min():item() > 0.2, cnn.share:min():item())
  local sum = decoders.pixel{slot_dim = 4, height = 8, hidden = 8, masks = "none"}
  local soft = decoders.pixel{slot_dim = 4, height = 8, hidden = 8}
  check.ok(interaction.hessian(sum, z).share:max():item() < 1e-6)
  check.ok(interaction.hessian(soft, z).share:min():item() > 1e-5)
  check.eq(additive.net:parameters()[1].grad, nil)
  check.ok(T.is_grad_enabled())
end)

-- Slot k alone paints column k of a 2 x 3 image of 2 channels.
local function columns(z) -- (B,3,2)
  return T.stack({z, z:tanh() * 2}, {dim = 2}) -- (B,2,3,2)
end

check.test("slot Jacobians, JIS, J-ARI", function()
  T.manual_seed(3)
  local z = T.randn(4, 3, 2, f64)
  local masks = T.tensor({{1, 2, 3}, {1, 2, 3}}, i64):unsqueeze(1):expand(4, 2, 3)
  for _, method in ipairs{"differences", "exact"} do
    local s = interaction.jacobian(columns, z, {method = method})
    check.eq(s:shape(), {4, 6, 3})
    check.near(s:to_table()[1], {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, 1e-6)
    local raw = interaction.jacobian(columns, z, {normalise = false, method = method})
    check.near(raw:select(2, 1):select(2, 1):to_table(), {2, 2, 2, 2}, 1e-6) -- |d z| + |d z| of two channels
    check.near(raw:select(2, 4):select(2, 1):to_table(), ((1 - z:tanh():square()) * 2):select(2, 1):sum(2):to_table(), 1e-5)
    check.near(interaction.jis(s), 1, 1e-6)
    check.near((interaction.j_ari(columns, z, masks, {method = method})), 1, 1e-12)
  end
  local doubled = interaction.jacobian(columns, z, {normalise = false, scale = T.tensor({2, 2}, f64)})
  check.near(doubled:select(2, 1):select(2, 1):to_table(), {4, 4, 4, 4}, 1e-6)
  check.near(interaction.jacobian(columns, z, {batch = 3}):to_table(), interaction.jacobian(columns, z):to_table(), 1e-9)
  -- half on one slot, half on another: (1/2 - 1/3)/(1 - 1/3) = 1/4; a pixel of no slot is left out
  local s = T.tensor{{{0.5, 0.5, 0}, {0, 0, 0}, {0, 0, 1}}}
  check.near((interaction.jis(s)), (0.25 + 1) / 2)
  check.near((interaction.jis(s, T.tensor({{1, 1, 0}}, i64))), 0.25)
  local mean, each = interaction.jis(T.cat({s, s}, {dim = 1}), T.tensor({{1, 1, 0}, {0, 0, 0}}, i64))
  check.near(mean, 0.25)
  check.ok(each:to_table()[2] ~= each:to_table()[2])
  check.near((interaction.jis(T.full({1, 2, 4}, 0.25))), 0)
end)

check.test("attention as masks: bilinear, argmax, FG-ARI, images without foreground left out", function()
  local a = T.tensor{{{0.9, 0.1}, {0.2, 0.8}, {0.9, 0.1}, {0.1, 0.9}}} -- 2 x 2: left slot 1, right slot 2
  local slots = interaction.segment(a, 4, 4)
  check.eq(slots:to_table()[1], {{1, 1, 2, 2}, {1, 1, 2, 2}, {1, 1, 2, 2}, {1, 1, 2, 2}})
  check.eq(interaction.segment(T.cat({a, a}, {dim = 2}), 4, 2):shape(), {1, 4, 2})
  local masks = T.tensor({{{0, 5, 7, 0}, {0, 5, 7, 0}, {0, 5, 7, 0}, {0, 5, 7, 0}}}, {dtype = "u8"})
  local decoder = function(z) return z:reshape(z:size(1), 2, 1, 1), a:expand(z:size(1), 4, 2) end
  local mean, each = interaction.ari(decoder, T.zeros(3, 2, 1), T.cat({masks, masks * 0, masks}, {dim = 1}))
  check.near(mean, 1)
  check.near({each:to_table()[1], each:to_table()[3]}, {1, 1})
  check.ok(each:to_table()[2] ~= each:to_table()[2])
  check.ok((interaction.ari(decoder, T.zeros(1, 2, 1), T.tensor({{{1, 1, 1, 1}, {1, 1, 1, 1}, {2, 2, 2, 2}, {2, 2, 2, 2}}}, i64))) < 0.1)
  local none = interaction.ari(decoder, T.zeros(1, 2, 1), masks * 0)
  check.ok(none ~= none)
  local m = decoders.pixel{slot_dim = 2, height = 4, hidden = 4}
  check.ok((interaction.ari(m, T.randn(3, 2, 2), T.cat({masks, masks, masks}, {dim = 1}), {batch = 2})) >= -1)
end)

check.test("compositional contrast: 0 when no output sees two slots, known values, a loss", function()
  T.manual_seed(4)
  local z = T.randn(5, 3, 2, f64)
  for _, image in ipairs{false, true} do check.near(interaction.contrast(columns, z, {image = image}):item(), 0, 1e-5) end
  local at = T.tensor({{{0.5}, {-1}}}, f64)
  -- gradients: (z2, z1) and (cos z1, 2 z2)
  local want = 1 * 0.5 + math.cos(0.5) * 2
  for _, method in ipairs{"differences", "exact"} do
    check.near((interaction.contrast(product, at, {method = method})):item(), want, 1e-6)
  end
  -- as an image of 1 x 2 pixels of one channel: norms over their mean, weighted
  local function pixels(x) return product(x):reshape(x:size(1), 1, 2, 1) end
  local m1, m2 = 0.75, (math.cos(0.5) + 2) / 2
  local top = math.max(m1, m2)
  want = 1 * 0.5 / m1 ^ 2 * (m1 / top) + math.cos(0.5) * 2 / m2 ^ 2 * (m2 / top)
  check.near((interaction.contrast(pixels, at, {image = true})):item(), want, 1e-6)
  local net = nn.mlp{4, 8, 6}
  local function decode(x) return net(x:reshape(x:size(1), 4)) end
  local x, opt = T.randn(8, 2, 2), require "percept.optim".adam(net, {lr = 1e-2})
  for _, method in ipairs{"differences", "exact"} do
    local first, last
    for _ = 1, 15 do
      opt:zero_grad()
      local loss = interaction.contrast(decode, x, {create_graph = true, method = method})
      loss:backward()
      opt:step()
      first, last = first or loss:item(), loss:item()
    end
    check.ok(last < 0.8 * first, ("%s: %g -> %g"):format(method, first, last))
  end
end)

check.test("what does not depend on slots, or is no number, is not scored by luck", function()
  local z = T.zeros(2, 2, 3)
  for _, image in ipairs{true, false} do
    for _, method in ipairs{"differences", "exact"} do
      local function constant(x) return x:sum():mul(0) + T.zeros(x:size(1), 4, 4, 3) end
      check.eq(interaction.contrast(constant, z, {image = image, method = method}):item(), 0)
    end
  end
  local masks, weights = T.ones(2, 2, 2):long(), T.rand(2, 4, 3)
  masks[{1, 1}], masks[{2, 2}] = 2, 2
  local clean = select(2, interaction.fg_ari(weights, masks))
  weights[{2, 3, 1}] = 0 / 0
  local mean, each = interaction.fg_ari(weights, masks)
  check.ok(mean ~= mean and each[2] ~= each[2])
  check.near(each[1], clean[1], 0)
  check.ok((interaction.jis(weights)) ~= (interaction.jis(weights)))
  local broken = masks:double()
  broken[{1, 1, 1}] = 0 / 0
  check.error("interaction.fg_ari: masks are labels; these hold NaN or infinity", interaction.fg_ari, T.rand(2, 4, 3), broken)
end)

-- f(z) = z + c q(z) and its inverse by fixed-point iteration, f64, two slots of two numbers
local function pair_of(additive)
  local a = T.tensor({{0, 0.3, 0.2, -0.4}, {0.1, 0, -0.3, 0.2}, {0.3, 0.2, 0, 0.1}, {-0.2, 0.4, 0.3, 0}}, f64)
  local function bend(v)
    local left, right = v:narrow(2, 1, 2), v:narrow(2, 3, 2)
    local q = T.cat({left:sin() * left:narrow(2, 1, 1):cos(), right:tanh() * right:narrow(2, 2, 1):cos()}, {dim = 2})
    if not additive then q = q * v:narrow(2, 1, 1):cos() * v:narrow(2, 4, 1):cos() end
    return q:matmul(a)
  end
  local function f(z)
    local v = z:reshape(z:size(1), 4)
    return v + bend(v)
  end
  local function g(x)
    local v = x
    for _ = 1, 80 do v = x - bend(v) end
    return v:reshape(x:size(1), 2, 2)
  end
  return f, g
end

check.test("the inverse of an additive function keeps the tangent condition, others do not", function()
  T.manual_seed(5)
  local z = T.randn(6, 2, 2, f64) * 0.7
  for _, additive in ipairs{true, false} do
    local f, g = pair_of(additive)
    check.near(g(f(z)):to_table(), z:to_table(), 1e-9)
    for _, method in ipairs{"differences", "exact"} do
      local r = interaction.tangent(g, f, z, {method = method, probes = 0})
      check.ok(r.within:min():item() > 1e-2, r.within:min():item())
      if additive then
        check.ok(r.mixed:max():item() < 1e-4, r.mixed:max():item())
      else
        check.ok(r.mixed:min():item() > 1e-3, r.mixed:min():item())
      end
    end
    -- in the data's own coordinates the encoder's Hessian has no zero block
    local plain = interaction.hessian(function(x) return g(x:reshape(x:size(1), 4)):reshape(x:size(1), 4) end,
      f(z):reshape(6, 2, 2), {probes = 0})
    check.ok(plain.mixed:min():item() > 1e-3, plain.mixed:min():item())
  end
  local f, g = pair_of(true)
  local r = interaction.tangent(g, f, z, {x = f(z) + 0.3, probes = 3, batch = 4})
  check.eq({r.blocks:shape(), r.mixed:shape()}, {{6, 2, 2}, {6}})
end)

check.test("an encoder and a decoder of ours", function()
  local e = require "percept.encoders".slots{slots = 3, slot_dim = 4, height = 16, width = 8, heads = 2, layers = 1,
    conv_channels = {8}, conv_kernel = {3}, conv_stride = {2}}
  local d = decoders.cross{slots = 3, slot_dim = 4, height = 16, patch = 4, width = 8, heads = 2, layers = 1}
  local z = T.randn(2, 3, 4)
  check.ok(interaction.tangent(e, d, z, {probes = 1}).mixed:min():item() >= 0)
  check.eq(interaction.jacobian(d, z):shape(), {2, 256, 3})
  check.ok(interaction.hessian(d, z, {method = "exact", probes = 1, outputs = 3}).mixed:min():item() >= 0)
end)

check.test("messages", function()
  local z = T.zeros(2, 3, 2)
  check.error("~interaction.jacobian: the decoder is number; a module or a function is expected", interaction.jacobian, 3, z)
  check.error("~slots must be (B,K,m) of at least one image, one slot and one latent, got (3,2)", interaction.hessian, columns,
    T.zeros(3, 2))
  for _, shape in ipairs{{0, 2, 3}, {1, 0, 3}, {1, 1, 0}, {1, 2, 0}} do
    for _, name in ipairs{"hessian", "jacobian", "contrast"} do
      check.error("~interaction." .. name .. ": slots must be (B,K,m) of at least one", interaction[name], columns, T.zeros(shape))
    end
  end
  check.error("~the decoder gave nil for 4 inputs", interaction.jacobian, function() end, T.zeros(1, 3, 2))
  check.error("~scale must be (3,2) or (2), got (3)", interaction.jacobian, columns, z, {scale = T.ones(3)})
  check.error('~no slot attention; use from = "jacobian"', interaction.ari, columns, z, T.zeros(2, 2, 3))
  check.error("~5 places are no grid in the proportions of 4 x 4", interaction.segment, T.rand(1, 5, 2), 4, 4)
  check.error("~masks must be (2,H,W) labels, got (1,4,4)", interaction.fg_ari, T.rand(2, 4, 2), T.zeros(1, 4, 4))
  check.error("~are not one label for each of the 4 pixels of 2 images", interaction.jis, T.rand(2, 4, 2), T.zeros(1, 4, 4))
  check.error("~one slot alone cannot interact", interaction.jis, T.rand(2, 4, 1))
  check.error("~(B,Q,K) is expected, got (2,4)", interaction.segment, T.rand(2, 4), 4, 4)
  check.error("~3 images for 2 slot sets", interaction.tangent, columns, columns, z, {x = T.zeros(3, 2)})
end)

check.test("second derivatives as a loss; options that make no sense", function()
  T.manual_seed(6)
  local net, z = nn.mlp{4, 8, 6}, T.randn(8, 2, 2)
  local function decode(x) return net(x:reshape(x:size(1), 4)) end
  for _, method in ipairs{"differences", "exact"} do
    local opt, first, last = require "percept.optim".adam(net, {lr = 1e-2}), nil, nil
    for _ = 1, 10 do
      opt:zero_grad()
      local loss = interaction.hessian(decode, z, {create_graph = true, method = method, probes = 0}).share:mean()
      loss:backward()
      opt:step()
      first, last = first or loss:item(), loss:item()
    end
    check.ok(last < first, ("%s: %g -> %g"):format(method, first, last))
  end
  for name, bad in pairs{batch = {0, -1}, eps = {0, -1, 0 / 0, 1 / 0}, probes = {-1}, outputs = {0, -1}} do
    for _, value in ipairs(bad) do
      check.error("~interaction.hessian: " .. name .. ": expected", interaction.hessian, decode, z, {[name] = value})
    end
  end
  check.error("~interaction.ari: slots must be (B,K,m) of at least one image, got (3,2)", interaction.ari, decode, T.zeros(3, 2),
    T.zeros(3, 2, 2))
  check.error("~interaction.jacobian: slots must be f32 or f64", interaction.jacobian, decode, z:long())
end)

check.done()
