--- Tokens of pretrained Vision Transformers against timm's and transformers': vit/*.safetensors, which dump_vit.py wrote,
-- have small networks under the names of each source. Mistakes in such files, too.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local formats = require "percept.formats"
local encoders = require "percept.encoders"

local here = (arg and arg[0] or ""):match "^(.*)/[^/]*$" or "tests/golden"
local golden = formats.load_safetensors(here .. "/vit/tokens.safetensors")

local function path(name) return ("%s/vit/%s.safetensors"):format(here, name) end

-- name -> what the reader has to find
local cases = {
  timm_dino = {scheme = "timm"}, timm_dinov2 = {scheme = "timm"}, timm_dinov2_reg = {scheme = "timm", registers = 4},
  timm_reg_embedded = {scheme = "timm", registers = 3}, timm_ijepa = {scheme = "timm"}, timm_siglip = {scheme = "timm_siglip"},
  timm_clip = {scheme = "timm_clip", options = {activation = "quick_gelu"}}, -- neither names nor shapes tell it
  hf_dino = {scheme = "hf_vit", prefix = "vit."}, hf_dinov2 = {scheme = "hf_dinov2"},
  hf_dinov2_reg = {scheme = "hf_dinov2_registers", registers = 4}, hf_ijepa = {scheme = "hf_ijepa"},
  hf_clip = {scheme = "hf_clip", prefix = "vision_model."}, hf_siglip = {scheme = "hf_siglip", prefix = "vision_model."},
}

local function load(name, more)
  local o = {heads = 2}
  for _, t in ipairs{cases[name] and cases[name].options or {}, more or {}} do
    for k, v in pairs(t) do o[k] = v end
  end
  return encoders.vit_pretrained(path(name), o)
end

local names = {}
for key in pairs(golden) do
  local name = key:match "^(.-)/16x16$"
  if name and name ~= "x" then names[#names + 1] = name end
end
table.sort(names)

check.test("every network of the file is one of ours", function()
  local n = 0
  for name in pairs(cases) do
    check.ok(golden[name .. "/16x16"], name)
    n = n + 1
  end
  check.eq(#names, n)
end)

for _, name in ipairs(names) do
  for _, size in ipairs{{16, 16}, {24, 20}, {8, 12}} do
    local label = ("%s/%dx%d"):format(name, size[1], size[2])
    check.test(label, function()
      local v, info = load(name, {height = size[1], width_px = size[2]})
      local case = cases[name]
      check.eq({info.scheme, info.depth, info.width, info.patch, info.registers, info.prefix},
        {case.scheme, 2, 16, 4, case.registers or 0, case.prefix or ""})
      local want = golden[label]
      local got = T.no_grad(function() return v(golden[("x/%dx%d"):format(size[1], size[2])]) end)
      check.eq(got:shape(), want:shape())
      local off = (got - want):abs():max():item()
      check.ok(off <= 1e-4, ("off by %.3g"):format(off))
      check.ok(want:abs():max():item() > 0.5, "numbers worth comparing")
    end)
  end
end

check.test("positions as DINO's own code takes them to another grid", function()
  for _, grid in ipairs{{3, 7}, {8, 2}} do
    local got = encoders.positions(golden.table, {5, 5}, grid, {offset = 0.1})
    local want = golden[("offset/%dx%d"):format(grid[1], grid[2])]
    check.near(got:to_table(), want:to_table(), 1e-5)
    check.ok((encoders.positions(golden.table, {5, 5}, grid) - want):abs():max():item() > 1e-3)
  end
end)

check.test("another convention for positions gives other tokens", function()
  local x = golden["x/24x20"]
  local function off(more)
    more.height, more.width_px = 24, 20
    return (load("timm_dino", more)(x) - golden["timm_dino/24x20"]):abs():max():item()
  end
  check.ok(off{antialias = false} > 1e-3)
  check.ok(off{antialias = true} < 1e-4)
  check.ok(off{scheme = "dino"} > 1e-3)
end)

check.test("options", function()
  local x = golden["x/16x16"]
  local want = golden["timm_dinov2_reg/16x16"]
  local v = load("timm_dinov2_reg", {tokens = "patches"})
  check.near(v(x):to_table(), want:narrow(2, 6, 16):to_table(), 1e-4)
  v = load("timm_dino", {mean = {0, 0, 0}, std = {1, 1, 1}})
  check.near(v((x - T.tensor{0.485, 0.456, 0.406}) / T.tensor{0.229, 0.224, 0.225}):to_table(), golden["timm_dino/16x16"]:to_table(), 1e-4)
  local _, info = load "timm_siglip"
  check.ok(table.concat(info.ignored, " "):find("attn_pool.q.weight", 1, true))
  v, info = load "hf_clip"
  check.ok(table.concat(info.ignored, " "):find("norm_out.weight", 1, true) and not v.norm_out)
  v = load("hf_clip", {final_norm = true})
  check.ok(v.norm_out and (v(x) - golden["hf_clip/16x16"]):abs():max():item() > 1e-2)
end)

-- The file of a case with some tensors changed, in a folder of its own; config: what config.json says there.
local made = {}
local function changed(name, change, config, pixels)
  local tensors = formats.load_safetensors(path(name))
  local metadata = change(tensors) or {}
  local folder = os.tmpname()
  os.remove(folder)
  check.eq(os.execute("mkdir " .. folder), 0)
  local file = folder .. "/model.safetensors"
  formats.save_safetensors(file, tensors, metadata)
  for file_name, text in pairs{["config.json"] = config or "", ["preprocessor_config.json"] = pixels or ""} do
    if text ~= "" then
      local f = assert(io.open(folder .. "/" .. file_name, "w"))
      f:write(text)
      f:close()
    end
  end
  made[#made + 1] = folder
  return file
end

check.test("facebookresearch's names, prefixes, what a file or a config.json says about heads", function()
  local x, want = golden["x/16x16"], golden["hf_dinov2_reg/16x16"]
  local file = changed("hf_dinov2_reg", function(t) -- as in facebookresearch/dinov2, in a checkpoint of a larger model
    local new = {}
    for name, v in pairs(t) do
      local block, rest = name:match "^encoder%.layer%.(%d+)%.(.*)$"
      if block and rest:find "attention%.query" then
        local kind = rest:match "[^.]*$"
        local stem = ("encoder.layer.%s.attention.attention."):format(block)
        local parts = {t[stem .. "query." .. kind], t[stem .. "key." .. kind], t[stem .. "value." .. kind]}
        new[("backbone.blocks.%s.attn.qkv.%s"):format(block, kind)] = T.cat(parts, {dim = 1})
      elseif block and not rest:find "attention%.attention" then
        rest = rest:gsub("attention%.output%.dense", "attn.proj"):gsub("layer_scale(%d)%.lambda1", "ls%1.gamma")
        new[("backbone.blocks.%s.%s"):format(block, rest)] = v
      end
    end
    for ours, theirs in pairs{["patch_embed.proj.weight"] = "embeddings.patch_embeddings.projection.weight",
      ["patch_embed.proj.bias"] = "embeddings.patch_embeddings.projection.bias", cls_token = "embeddings.cls_token",
      pos_embed = "embeddings.position_embeddings", register_tokens = "embeddings.register_tokens", mask_token = "embeddings.mask_token",
      ["norm.weight"] = "layernorm.weight", ["norm.bias"] = "layernorm.bias"} do new["backbone." .. ours] = t[theirs] end
    new["ibot_head.mlp.weight"] = T.ones(2, 2)
    for name in pairs(t) do t[name] = nil end
    for name, v in pairs(new) do t[name] = v end
    return {num_attention_heads = "2"}
  end)
  local v, info = encoders.vit_pretrained(file)
  check.eq({info.scheme, info.heads, info.prefix, #info.ignored}, {"dinov2_registers", 2, "backbone.", 2})
  check.near(v(x):to_table(), want:to_table(), 1e-4)

  file = changed("hf_clip", function() end, '{"vision_config": {"num_attention_heads": 4, "hidden_act": "gelu", "layer_norm_eps": 0.5}}')
  v, info = encoders.vit_pretrained(file)
  check.eq(info.heads, 4)
  local same = load("hf_clip", {heads = 4, activation = "gelu", eps = 0.5})
  check.near(v(x):to_table(), same(x):to_table(), 0)
  file = changed("timm_clip", function() end,
    '{"architecture": "vit_base_patch16_clip_quickgelu_224", "pretrained_cfg": {"mean": [0, 0, 1]}}')
  v = encoders.vit_pretrained(file, {heads = 2})
  check.near(v.input_mean:select(1, 1):select(1, 1):to_table(), {0, 0, 1}, 0)
  v.input_mean:copy_(load "timm_clip".input_mean)
  check.near(v(x):to_table(), golden["timm_clip/16x16"]:to_table(), 1e-4)
  file = changed("hf_siglip", function() end, "{}", '{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4]}')
  check.near(encoders.vit_pretrained(file, {heads = 2}).input_scale:to_table(), {1, 2, 4}, 0)
  file = changed("hf_clip", function() end, '{"hidden_act": "relu"}')
  check.error("~config.json says hidden_act = relu", encoders.vit_pretrained, file)
end)

check.test("positions of an oblong grid", function()
  local file = changed("timm_ijepa", function(t) t.pos_embed = t.pos_embed:narrow(2, 1, 8) end)
  check.error("~8 positions are no square grid; say grid =", encoders.vit_pretrained, file, {heads = 2})
  check.error("~8 positions are no grid of 3 x 3", encoders.vit_pretrained, file, {heads = 2, grid = {3, 3}})
  local v, info = encoders.vit_pretrained(file, {heads = 2, grid = {2, 4}})
  check.eq({info.height, info.width_px, v.position:shape()}, {8, 16, {8, 16}})
end)

check.test("mistakes name the tensors and the remedy", function()
  local function refuses(words, name, change, more)
    check.error("~" .. words, encoders.vit_pretrained, changed(name, change), more or {heads = 2})
  end
  check.error("~no such file", encoders.vit_pretrained, "nowhere.safetensors")
  check.error("~timm_dino.safetensors: tokens are 16 wide, which is no multiple of 64; say heads =",
    encoders.vit_pretrained, path "timm_dino")
  refuses("1 tensors are missing (by our names): block2.norm1.bias", "hf_dino",
    function(t) t["vit.encoder.layer.1.layernorm_before.bias"] = nil end)
  refuses("missing (by our names): block1.attention.k.weight, block1.attention.q.weight, block1.attention.v.weight", "timm_dino",
    function(t) t["blocks.0.attn.qkv.weight"] = nil end)
  refuses("1 unknown tensors: dist_token", "timm_dino", function(t) t.dist_token = T.ones(1, 1, 16) end)
  refuses("4 unknown tensors: encoder.layer.0.mlp.weights_in.bias", "hf_dinov2", function(t)
    for i = 0, 1 do
      t[("encoder.layer.%d.mlp.weights_in.weight"):format(i)] = T.ones(64, 16)
      t[("encoder.layer.%d.mlp.weights_in.bias"):format(i)] = T.ones(64)
    end
  end)
  refuses("block1.fc2.weight is (16,16), not (16,32); a gated or other MLP", "timm_dino",
    function(t) t["blocks.0.mlp.fc2.weight"] = t["blocks.0.mlp.fc2.weight"]:narrow(2, 1, 16) end)
  refuses("no Vision Transformer as timm or transformers name it", "timm_dino", function(t) t["patch_embed.proj.weight"] = nil end)
  refuses("no position embedding", "timm_dino", function(t) t.pos_embed = nil end)
  refuses('several Vision Transformers; choose one by prefix = "" or "teacher."', "timm_dino",
    function(t) t["teacher.patch_embed.proj.weight"] = t["patch_embed.proj.weight"] end)
  check.error("~patches of 4 do not tile an image of 18 x 18", encoders.vit_pretrained, path "timm_dino", {heads = 2, height = 18})
  check.error("~scheme 'hf_clip' does not name its tensors as this file does",
    encoders.vit_pretrained, path "timm_dino", {scheme = "hf_clip"})
  check.error("~scheme 'beit': known are auto, dino, ", encoders.vit_pretrained, path "timm_dino", {scheme = "beit"})
end)

for _, folder in ipairs(made) do os.execute("rm -r " .. folder) end
check.done()
