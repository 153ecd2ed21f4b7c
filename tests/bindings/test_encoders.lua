-- percept.encoders: bases, heads, low-rank adaptation, positions, messages.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local encoders = require "percept.encoders"

local function worst(a, b) return (a - b):abs():max():item() end

local function norm(x, m) return nn.layer_norm(x:size(x:dim())):copy_from(m)(x) end

check.test("cnn and queries are the slot encoder in two pieces", function()
  local sizes = {height = 16, width_px = 12, width = 8, conv_channels = {4, 8}, conv_kernel = {5, 3}, conv_stride = {2, 2}}
  local function with(more)
    local o = {}
    for k, v in pairs(sizes) do o[k] = v end
    for k, v in pairs(more) do o[k] = v end
    return o
  end
  local whole = encoders.slots(with{slots = 3, slot_dim = 2, heads = 2, layers = 2})
  local base = encoders.cnn(sizes)
  local head = encoders.queries{slots = 3, slot_dim = 2, tokens = 8, width = 8, heads = 2, layers = 2, norm = false}
  base.input_mean:fill_(0.3)
  local x, state = T.rand(2, 16, 12, 3), whole:state()
  whole.input_mean:fill_(0.3)
  for _, part in ipairs{base, head} do
    for name, t in pairs(part:state()) do T.no_grad(function() t:copy_(state[name]) end) end
  end
  check.eq(base(x):shape(), {2, 12, 8})
  local m1, l1 = whole(x)
  local m2, l2 = head(base(x))
  check.eq({worst(m1, m2), worst(l1, l2)}, {0, 0})
end)

check.test("tokens of any width reach the queries", function()
  local head = encoders.queries{slots = 4, slot_dim = 3, tokens = 20, width = 12, heads = 3}
  local mean, log_std = head(T.randn(2, 7, 20))
  check.eq({mean:shape(), log_std:shape()}, {{2, 4, 3}, {2, 4, 3}})
  check.eq(#head:children(), 8) -- norm, five blocks, norm, head
  local row = T.randn(1, 3, 20) -- tokens are normed: neither scale nor mean of a token counts
  check.near(head(row * 5 + 2):to_table(), head(row):to_table(), 1e-4)
  local one = encoders.queries{slots = 2, slot_dim = 3, tokens = 5, width = 4, heads = 1, layers = 1, vae = false}
  check.eq(select("#", one(T.rand(1, 2, 5))), 1)
end)

-- Algorithm 1 of arXiv 2006.15055, step by step.
local function slot_attention(m, tokens, slots)
  local t = norm(tokens, m.norm_tokens)
  local k, v = m.k(t), m.v(t)
  local logits = T.matmul(k, m.q(norm(slots, m.norm_slots)):transpose(2, 3)) * (slots:size(3) ^ -0.5)
  local attention = logits:softmax(3)
  local weights = attention + 1e-8
  weights = weights / weights:sum(2, true)
  local updates = T.matmul(weights:transpose(2, 3), v)
  local b, n, d = slots:size(1), slots:size(2), slots:size(3)
  local new = m.gru(updates:reshape(b * n, d), slots:reshape(b * n, d)):reshape(b, n, d)
  return new + m.ff(norm(new, m.norm_ff)), attention
end

check.test("slot attention is the algorithm of its paper", function()
  for _, detach in ipairs{true, false} do
    local m = encoders.slot_attention{slots = 3, slot_dim = 2, tokens = 10, width = 6, iterations = 2, hidden = 9, detach = detach}
    local tokens = T.randn(4, 11, 10)
    local slots, attention = m.start:detach():expand(4, 3, 6), nil
    for _ = 1, detach and 3 or 2 do slots, attention = slot_attention(m, tokens, slots) end
    local h = m.head(norm(slots, m.norm_out))
    local mean, log_std, a = m(tokens)
    check.near(mean:to_table(), h:narrow(3, 1, 2):to_table(), 2e-6)
    check.near(log_std:to_table(), (h:narrow(3, 3, 2) + math.log(0.5)):to_table(), 2e-6)
    check.near(a:to_table(), attention:transpose(2, 3):to_table(), 2e-6)
  end
end)

check.test("detached slot attention: gradients of one step, and the start gets its slots'", function()
  local m = encoders.slot_attention{slots = 3, slot_dim = 2, tokens = 5, width = 4, iterations = 2}
  local tokens = T.randn(2, 6, 5)
  m(tokens):square():sum():backward()
  local got, start = m.q.weight.grad:clone(), m.start.grad:clone()
  m:zero_grad()
  local slots = m.start:detach():expand(2, 3, 4)
  T.no_grad(function() for _ = 1, 2 do slots = slot_attention(m, tokens, slots) end end)
  slots = slots:detach():requires_grad_()
  m.head(norm(slot_attention(m, tokens, slots), m.norm_out)):narrow(3, 1, 2):square():sum():backward()
  check.near(got:to_table(), m.q.weight.grad:to_table(), 1e-5)
  check.near(start:to_table(), slots.grad:sum(1):to_table(), 1e-5)
end)

check.test("vit: tokens, variants, what a name says", function()
  local o = {height = 12, width_px = 8, patch = 4, width = 16, depth = 2, heads = 2}
  local function shape(more)
    local p = {}
    for k, v in pairs(o) do p[k] = v end
    for k, v in pairs(more) do p[k] = v end
    local v = encoders.vit(p)
    return v(T.rand(3, 12, 8, 3)):shape(), v
  end
  local s, v = shape{}
  check.eq(s, {3, 7, 16})
  check.eq(v.position:shape(), {7, 16})
  s, v = shape{registers = 3, class_position = false, layer_scale = 0.1, activation = "quick_gelu"}
  check.eq(s, {3, 10, 16})
  check.eq(v.position:shape(), {6, 16})
  check.near(v.block2.scale1:to_table(), T.full({16}, 0.1):to_table(), 1e-7)
  check.eq(shape{tokens = "patches", registers = 2}, {3, 6, 16})
  s, v = shape{class_token = false, position = "sincos", pre_norm = true, qkv_bias = false, patch_bias = false, final_norm = false}
  check.eq(s, {3, 6, 16})
  check.near(v.position:to_table(), nn.sincos2d(3, 2, 16):to_table(), 0)
  local names = table.concat(v:names(), " ")
  check.ok(names:find("norm_pre", 1, true) and not names:find("patch.bias", 1, true) and not names:find("q.bias", 1, true)
    and not names:find("norm_out", 1, true) and not names:find("class", 1, true), names)
  v = encoders.vit{name = "vit_tiny_patch16_32", depth = 1}
  check.eq({v.position:shape(), v.block1.fc1.weight:shape()}, {{5, 192}, {768, 192}})
  v = encoders.vit{name = "vit_small_patch14_reg4_dinov2", depth = 1, height = 28}
  check.eq({v.registers:shape(), v.position:shape(), v.block1.scale2:shape()}, {{4, 384}, {4, 384}, {384}})
  v = encoders.vit{name = "vit_base_patch16_clip_quickgelu_32", depth = 1}
  check.ok(v.norm_pre and not v.patch.bias)
  check.ok(not encoders.vit{name = "vit_base_patch16_siglip_32", depth = 1}.class_token)
end)

check.test("vit: the same as its parts, one after the other", function()
  local v = encoders.vit{height = 8, width_px = 12, channels = 2, patch = 4, width = 12, depth = 2, heads = 3, registers = 2,
    layer_scale = 0.5, pre_norm = true, activation = "gelu_tanh"}
  v.input_mean:fill_(0.4)
  v.input_scale:copy_(T.tensor{0.5, 2})
  local x = T.rand(3, 8, 12, 2)
  local eps = {eps = 1e-6}
  local function gelu(y) return y * 0.5 * ((math.sqrt(2 / math.pi) * (y + 0.044715 * y ^ 3)):tanh() + 1) end
  local function n(name, t, m) return nn.layer_norm(12, eps):copy_from((m or v)[name])(t) end
  local p = v.patch((x - 0.4) / T.tensor{0.5, 2}):reshape(3, 6, 12)
  local c = (v.class_token + v.position:narrow(1, 1, 1)):expand(3, 1, 12)
  local t = n("norm_pre", T.cat({c, v.registers:expand(3, 2, 12), p + v.position:narrow(1, 2, 6)}, {dim = 2}))
  for i = 1, 2 do
    local b = v["block" .. i]
    t = t + b.scale1 * (b.attention(n("norm1", t, b)))
    t = t + b.scale2 * b.fc2(gelu(b.fc1(n("norm2", t, b))))
  end
  check.near(v(x):to_table(), n("norm_out", t):to_table(), 2e-6)
end)

check.test("fix: constants have no gradient and no place in an optimiser", function()
  local v = encoders.vit{height = 8, patch = 4, width = 8, depth = 1, heads = 2}
  local head = encoders.queries{slots = 2, slot_dim = 2, tokens = 8, width = 8, heads = 2, layers = 1}
  local names, numbers = v:names(), v:count()
  v:fix()
  check.eq({v:count(), #v:parameters()}, {0, 0})
  check.eq(v:names(), names)
  local both = nn.module{base = v, head = head, forward = function(self, x) return self.head(self.base(x)) end}
  check.eq(both:count(), head:count())
  local adam = optim.adam(both, {lr = 0.1})
  local before = v.patch.weight:clone()
  local mean = both(T.rand(2, 8, 8, 3))
  mean:square():sum():backward()
  adam:step()
  check.ok(not v.patch.weight.grad)
  check.eq(worst(before, v.patch.weight), 0)
  check.eq(v:fix(false):count(), numbers)
  check.ok(v.patch.weight:requires_grad() and not v.input_mean:requires_grad())
end)

check.test("lora: frozen base, trained A and B, merged to the same function", function()
  local v = encoders.vit{height = 8, patch = 4, width = 12, depth = 2, heads = 2}
  local x, count = T.rand(3, 8, 8, 3), v:count()
  local plain, names = v(x):detach(), v:names()
  v:lora{rank = 3, alpha = 6, on = "qkvo"}
  check.eq(worst(v(x), plain), 0)
  check.eq(v:count(), 2 * 4 * 3 * (12 + 12))
  check.eq(v.block1.attention.q:type(), "lora_linear")
  local base = v.block1.attention.q.weight:clone()
  local adam = optim.adam(v, {lr = 1e-2})
  for _ = 1, 5 do
    adam:zero_grad()
    v(x):square():sum():backward()
    adam:step()
  end
  check.ok(not v.block1.attention.q.weight.grad and v.block2.attention.o.lora_b:abs():max():item() > 0)
  check.eq(worst(base, v.block1.attention.q.weight), 0)
  local adapted = v(x):detach()
  check.ok(worst(adapted, plain) > 1e-3)
  local saved = v:state()
  v:merge_lora()
  check.near(v(x):to_table(), adapted:to_table(), 2e-6)
  check.eq(v:names(), names)
  check.eq(v:fix(false):count(), count)
  check.eq(v.block1.attention.q:type(), "linear")
  check.ok(saved["block1.attention.q.lora_a"])
  check.error("~nothing in vit is adapted", v.merge_lora, v)
end)

check.test("lora in a cross-attention, whose weights are otherwise folded", function()
  local head = encoders.queries{slots = 2, slot_dim = 2, tokens = 8, width = 16, heads = 1, layers = 1}
  local tokens = T.randn(2, 40, 8)
  head:lora{rank = 2, on = "kvq"}
  T.no_grad(function() for _, p in ipairs(head:parameters()) do p:copy_(T.randn(p:shape())) end end)
  local y = head(tokens):detach()
  check.near(head:merge_lora()(tokens):to_table(), y:to_table(), 1e-5)
end)

check.test("positions: what stays, what is interpolated", function()
  local table_ = T.randn(7, 3)
  check.eq(worst(encoders.positions(table_, {2, 3}, {2, 3}, {prefix = 1}), table_), 0)
  local up = encoders.positions(table_, {2, 3}, {4, 5}, {prefix = 1, antialias = true})
  check.eq(up:shape(), {21, 3})
  check.eq(worst(up:narrow(1, 1, 1), table_:narrow(1, 1, 1)), 0)
  for _, antialias in ipairs{true, false} do -- weights sum to 1
    local one = encoders.positions(T.ones(12, 2), {3, 4}, {5, 2}, {antialias = antialias, offset = 0.1})
    check.near(one:to_table(), T.ones(10, 2):to_table(), 1e-6)
  end
  -- one new cell between two of four, at distances 1.5, 0.5, 0.5, 1.5 with a = -0.75
  local mid = encoders.positions(T.tensor{{1}, {10}, {100}, {1000}}, {1, 4}, {1, 1})
  check.near(mid:item(), -0.09375 * 1001 + 0.59375 * 110, 1e-3)
end)

check.test("mistakes", function()
  check.error("~patches of 5 do not tile an image of 12 x 12; choose sides that are multiples", encoders.vit, {height = 12, patch = 5})
  check.error("~5 heads do not divide the inner width 16", encoders.vit, {height = 8, patch = 4, width = 16, heads = 5, depth = 1})
  check.error("~'resnet' in the name 'resnet_small' is not understood", encoders.vit, "resnet_small")
  check.error("~says no size", encoders.vit, "vit_patch16")
  check.error("~expected one of none|relu|gelu|silu|elu|leaky_relu|tanh|sigmoid|gelu_tanh|quick_gelu, got string", encoders.vit,
    {activation = "swish"})
  check.error("~tokens must be (B,T,8), got (1,2,3)", encoders.queries{slots = 2, slot_dim = 2, tokens = 8, layers = 1}, T.ones(1, 2, 3))
  check.error("~tokens must be (B,T,8), got (1,8)", encoders.slot_attention{slots = 2, slot_dim = 2, tokens = 8}, T.ones(1, 8))
  check.error("~tokens: expected an integer >= 1, got 0", encoders.slot_attention, 2, 2, 0)
  check.error("~slots: expected an integer >= 1, got 0", encoders.queries, 0, 2, 8)
  check.error("~an f32 table (1 + 2 x 2, width) is expected, got (4,3)", encoders.positions, T.ones(4, 3), {2, 2}, {3, 3}, {prefix = 1})
  check.error("~images must be (B,8,8,3), got (1,8,8,1)", encoders.vit{height = 8, patch = 4, depth = 1}, T.ones(1, 8, 8, 1))
  local v = encoders.vit{height = 8, patch = 4, width = 8, depth = 1, heads = 1}
  check.error("~on 'qx': letters of q, k, v, o are expected", v.lora, v, {on = "qx"})
  check.error("~rank: expected an integer >= 1, got 0", v.lora, v, {rank = 0})
  check.error("~linear has no attention to adapt", nn.linear(2, 2).lora, nn.linear(2, 2))
  v:lora()
  check.error("~adapted already; merge_lora() first", v.lora, v)
  check.ok(v.block1.attention.q.lora_a:requires_grad())
  check.error("~the last convolution has 5 channels", encoders.cnn, {conv_channels = {5}})
end)

check.done()
