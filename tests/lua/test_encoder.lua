-- percept.encoder: any base with any head; what trains, what stays; saving; tokens of constant bases.
local check = dofile "tests/lua/check.lua"
local percept = require "percept"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local formats = require "percept.formats"
local encoder = require "percept.encoder"
local encoders = require "percept.encoders"

local weights = "tests/golden/vit/timm_dinov2_reg.safetensors"
local side = {cnn = 16, vit = 16, pretrained = 24}
local function spec(base, head, more)
  local o = {
    base = base, head = head, slots = 3, slot_dim = 2, height = side[base], width_px = 16, width = 12, heads = 2, layers = 2,
    iterations = 2,
    cnn = {width = 8, conv_channels = {6, 8}, conv_kernel = {3, 3}, conv_stride = {2, 2}},
    vit = {patch = 8, width = 12, depth = 2, heads = 2}, weights = weights, pretrained = {heads = 2}, classes = {4, 5},
  }
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

local function copies(m)
  local out = {}
  for name, t in pairs(m:state()) do out[name] = t:detach():clone() end
  return out
end

local function same(a, b) return (a - b):abs():max():item() == 0 end

local function loss_of(m, x)
  local sum = 0
  for _, y in ipairs{m(x)} do sum = sum + (y - 0.3):square():mean() end
  return sum
end

-- One step of Adam; what moved has to be what `trains` says of its name, and only that has gradients.
local function step(m, x, trains)
  local adam = optim.adam(m, {lr = 1e-2})
  local before = copies(m)
  for _ = 1, 2 do -- lora_a moves when lora_b has
    adam:zero_grad()
    loss_of(m, x):backward()
    adam:step()
  end
  local moved, stayed = 0, 0
  for name, t in pairs(m:state()) do
    local at = not same(t:detach(), before[name])
    if not name:find "attention%.k%.bias$" then check.eq(at, trains(name), name) end -- its gradient is 0 but for rounding
    check.ok(at or not t.grad, name)
    moved, stayed = moved + (at and 1 or 0), stayed + (at and 0 or 1)
  end
  return moved, stayed
end

local function is_input(name) return name:find "input_" ~= nil end

local modes = {
  {name = "trained", options = {frozen = false}, trains = function(name) return not is_input(name) end},
  {name = "frozen", options = {frozen = true}, trains = function(name) return not name:find "^base" end},
  {name = "lora", options = {lora = {rank = 2, alpha = 4, on = "qkvo"}}, no = {cnn = true},
    trains = function(name) return not name:find "^base" or name:find "lora_[ab]$" ~= nil end},
}

for _, base in ipairs{"cnn", "vit", "pretrained"} do
  for _, head in ipairs{"queries", "slot_attention", "pooled"} do
    for _, mode in ipairs(modes) do
      if not (mode.no and mode.no[base]) then
        check.test(("%s, %s, %s"):format(base, head, mode.name), function()
          T.manual_seed(5)
          local m = encoder.build(spec(base, head, mode.options))
          local x = T.rand(3, side[base], 16, 3)
          local out = {m(x)}
          if head == "pooled" then
            check.eq({#out, out[1]:shape(), out[2]:shape()}, {2, {3, 4}, {3, 5}})
          else
            check.eq({out[1]:shape(), out[2]:shape()}, {{3, 3, 2}, {3, 3, 2}})
          end
          local moved, stayed = step(m, x, mode.trains)
          check.ok(moved > 0 and stayed >= 2)
          local path = os.tmpname()
          formats.save_checkpoint(path, m:state())
          local again = encoder.build(spec(base, head, mode.options))
          again:load_state((formats.load_checkpoint(path)))
          os.remove(path)
          check.ok(same(again(x), (m(x))))
          local tokens = m.base(x)
          check.ok(same((m(tokens)), (m(x))))
        end)
      end
    end
  end
end

check.test("lora merged: the same function, and a plain base's names", function()
  local m = encoder.build(spec("pretrained", "queries", {lora = 3}))
  local x = T.rand(2, 24, 16, 3)
  step(m, x, modes[3].trains)
  local want = m(x):detach()
  m:merge_lora()
  check.near(m(x):to_table(), want:to_table(), 1e-5)
  check.eq(m:names(), encoder.build(spec("pretrained", "queries")):names())
end)

check.test("a study's model table, sizes, resize", function()
  local m = encoder.build{base = "vit", head = "queries", slots = 3, slot_dim = 2, height = 16, width_px = 16, vae = false,
    model = {encoder_width = 12, encoder_heads = 2, encoder_layers = 1, slots = 9, patch = 2, resize = 0, lora = 0,
      vit = {patch = 4, width = 12, depth = 1, heads = 2}}}
  check.eq({#{m(T.rand(2, 16, 16, 3))}, m.head.queries:shape()}, {1, {3, 12}})
  m = encoder.build(spec("pretrained", "queries", {height = 15, width_px = 30, resize = {8, 12}}))
  check.eq({m.found.height, m.found.width_px, m.found.registers}, {8, 12, 4})
  check.eq(m(T.rand(2, 15, 30, 3)):shape(), {2, 3, 2})
  m = encoder.build{base = "cnn", head = "slot_attention", slots = 2, slot_dim = 3, height = 16,
    model = {conv_channels = {4, 8}, conv_kernel = {3, 3}, conv_stride = {2, 2}, encoder_width = 8}}
  local mean, log_std, attention = m(T.rand(1, 16, 16, 3))
  check.eq({mean:shape(), log_std:shape(), attention:shape()}, {{1, 2, 3}, {1, 2, 3}, {1, 2, 16}})
  T.manual_seed(4)
  local _, wide = encoder.build(spec("vit", "queries"))(T.ones(1, 16, 16, 3))
  T.manual_seed(4)
  local _, narrow = encoder.build(spec("vit", "queries", {log_std = -2}))(T.ones(1, 16, 16, 3))
  check.near(narrow:to_table(), (wide - 2):to_table(), 1e-5)
end)

check.test("standardise: from scratch, not where a base knows its own", function()
  local mean = T.rand(16, 16, 3)
  for _, m in ipairs{encoder.build(spec("cnn", "queries")), encoder.build(spec("vit", "queries")),
    encoders.slots{slots = 2, slot_dim = 2, height = 16, width = 8, heads = 2, layers = 1}} do
    check.ok(encoder.standardise(m, mean, T.tensor(0.25):squeeze()))
    local base = m.base or m
    check.ok(same(base.input_mean, mean))
    check.near(base.input_scale:sum():item(), 0.25 * base.input_scale:numel(), 1e-6)
  end
  local m = encoder.build(spec("vit", "queries", {resize = 8}))
  check.ok(encoder.standardise(m, T.ones(16, 16, 3), 2))
  check.near(m.base.input_mean:to_table(), T.ones(8, 8, 3):to_table(), 1e-6)
  check.ok(not encoder.standardise(encoder.build(spec("pretrained", "queries")), mean, 1))
end)

check.test("tokens of a constant base: once an image, in any order", function()
  local pictures, calls = T.rand(7, 24, 16, 3), 0
  local dataset = {images = function(_, index)
    calls = calls + index:size(1)
    return pictures:index_select(1, index)
  end}
  local function places(t) return T.tensor(t, {dtype = "i64"}) end
  local m = encoder.build(spec("pretrained", "queries"))
  local want = m.base(pictures)
  local got = encoder.tokens(m, dataset, places{5, 2, 5, 7}, {chunk = 2})
  check.near(got:to_table(), want:index_select(1, places{5, 2, 5, 7}):to_table(), 1e-5)
  check.eq(calls, 3)
  check.near(encoder.tokens(m, dataset, places{1, 2, 7}):to_table(), want:index_select(1, places{1, 2, 7}):to_table(), 1e-5)
  check.eq(calls, 4)
  local other = {images = dataset.images}
  encoder.tokens(m, other, places{1})
  check.eq(calls, 5)
  m(got):square():sum():backward()
  check.ok(m.head.queries.grad:abs():sum():item() > 0)
  local again = encoder.build(spec("pretrained", "queries", {weights = "tests/golden/vit/timm_dino.safetensors"}))
  check.eq(encoder.input(again, dataset, places{1, 2}):shape(), {2, 25, 16})
  check.eq(encoder.input(encoder.build(spec("vit", "queries")), dataset, places{1, 2}):shape(), {2, 24, 16, 3})
  local random = encoder.build(spec("vit", "queries", {frozen = true, height = 24}))
  local first = encoder.input(random, dataset, places{2})
  random:copy_from(encoder.build(spec("vit", "queries", {frozen = true, height = 24})))
  check.ok(not same(encoder.input(random, dataset, places{2}), first), "other weights, other tokens")
  check.near(encoder.input(random, dataset, places{2}):to_table(), random.base(pictures:narrow(1, 2, 1)):to_table(), 1e-5)
  local bare = m.base
  check.near(encoder.tokens(bare, dataset, places{3}):to_table(), want:narrow(1, 3, 1):to_table(), 1e-5)
  check.error("~this base is trained, so its tokens change; build it with frozen = true", encoder.tokens,
    encoder.build(spec("vit", "queries")), dataset, places{1})
end)

check.test("a frozen base in a search and in a training loop", function()
  local m = encoder.build(spec("vit", "queries", {frozen = true}))
  local decoder = percept.decoders.mlp{slots = 3, slot_dim = 2, height = 16, hidden = 16}
  local both = nn.module{encoder = m, decoder = decoder, forward = function(self, x) return self.decoder((self.encoder(x))) end}
  check.eq(both:count(), decoder:count() + m.head:count())
  local adam = optim.adam(both, {lr = 1e-2})
  local x = T.rand(4, 16, 16, 3)
  percept.train.loop{name = "fit", steps = 3, quiet = true, optimizer = adam, modules = {both = both},
    step = function() return nn.mse(both(x), x) end}
  check.ok(not m.base.patch.weight.grad)
end)

check.test("mistakes", function()
  local function refuses(words, o) check.error("~" .. words, encoder.build, o) end
  refuses("unknown option depth; known are base, channels, classes,", {depth = 2})
  refuses("base = resnet: known are cnn, pretrained, vit", {base = "resnet"})
  refuses("head = mlp: known are pooled, queries, slot_attention", {head = "mlp"})
  refuses('weights = "model.safetensors"', {base = "pretrained", slots = 2, slot_dim = 2})
  refuses("argument 1 (slots)", {height = 16, slot_dim = 2})
  refuses("classes = {n1, n2, ...}, 1 to 4 factors, got 0", {head = "pooled", height = 16})
  refuses("lora: cnn has no attention to adapt", {height = 16, slots = 2, slot_dim = 2, lora = 2})
  refuses("patches of 8 do not tile an image of 20 x 20", {base = "vit", height = 20, slots = 2, slot_dim = 2})
end)

check.done()
