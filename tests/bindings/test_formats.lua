-- percept.formats and percept.images: files that are there, that are not, that are broken.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local formats = require "percept.formats"
local images = require "percept.images"

local dir = os.tmpname()
os.remove(dir)
require("percept.sys").mkdir(dir)
local function at(name) return dir .. "/" .. name end

local function put(name, bytes)
  local f = assert(io.open(at(name), "wb"))
  f:write(bytes)
  f:close()
end

local function bytes_of(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local tensors = {a = T.tensor{{1, 2}, {3, 4}}, ["b.c"] = T.tensor({1, 2, 3}, {dtype = "i64"}),
  d = T.tensor({5}, {dtype = "u8"}), s = T.tensor(2.5)}

check.test("round trips", function()
  for _, kind in ipairs{"npz", "safetensors", "checkpoint"} do
    formats["save_" .. kind](at(kind), tensors)
    local back = formats["load_" .. kind](at(kind))
    for name, t in pairs(tensors) do
      check.eq(back[name]:to_table(), t:to_table(), kind .. " " .. name)
      check.eq(back[name]:dtype(), t:dtype(), kind)
      check.eq(back[name]:shape(), t:shape(), kind)
    end
  end
  formats.save_npy(at "t.npy", tensors.a:t())
  check.eq(formats.load_npy(at "t.npy"):to_table(), {{1, 3}, {2, 4}})
end)

check.test("metadata", function()
  formats.save_safetensors(at "m", {a = T.ones(1)}, {step = 12, name = "x"})
  local _, meta = formats.load_safetensors(at "m")
  check.eq(meta.step, "12")
  check.eq(meta.name, "x")
  check.error("~metadata are strings by name", formats.save_safetensors, at "m", {a = T.ones(1)}, {step = {}})
end)

check.test("files that are not there", function()
  for _, kind in ipairs{"npy", "npz", "safetensors", "checkpoint"} do
    check.error("~" .. at "nothing", formats["load_" .. kind], at "nothing")
  end
  check.error("~/nonexistent/x", formats.save_npz, "/nonexistent/x", tensors)
  check.error("~nothing.png", images.read, at "nothing.png")
end)

check.test("files that are broken", function()
  for _, kind in ipairs{"npz", "safetensors", "checkpoint"} do
    formats["save_" .. kind](at "whole", tensors)
    local text = bytes_of(at "whole")
    for _, n in ipairs{0, 3, math.floor(#text / 2), #text - 1} do
      put("cut", text:sub(1, n))
      local ok, why = pcall(formats["load_" .. kind], at "cut")
      check.ok(not ok and why:find("cut", 1, true), kind .. " cut at " .. n .. ": " .. tostring(why))
    end
  end
  formats.save_checkpoint(at "whole", tensors)
  local text = bytes_of(at "whole")
  put("bent", text:sub(1, -2) .. string.char((text:byte(-1) + 1) % 256)) -- one bit of a weight
  check.ok(not pcall(formats.load_checkpoint, at "bent"))
end)

check.test("what cannot be saved", function()
  check.error("formats: a table name -> tensor is expected, names without NUL bytes; entry number 1 is number 3",
    formats.save_npz, at "x", {3})
  check.error("~entry a is string", formats.save_npz, at "x", {a = "b"})
end)

check.test("images", function()
  local x = T.rand(4, 6, 3)
  images.write(at "x.png", x)
  local y = images.read(at "x.png")
  check.eq(y:shape(), {4, 6, 3})
  check.eq(y:dtype(), "u8")
  check.ok((y:to "f32" / 255 - x):abs():max():item() < 0.003)
  check.eq(images.read(at "x.png", 1):shape(), {4, 6, 1})
  check.eq(images.resize(x, 2, 3):shape(), {2, 3, 3})
  check.near(images.resize(x, 1, 1):to_table(), x:mean({1, 2}, true):to_table(), 1e-5)
  put("cut.png", bytes_of(at "x.png"):sub(1, 60))
  check.error("~cut.png", images.read, at "cut.png")
  put("text.png", "not a png at all")
  check.error("~text.png", images.read, at "text.png")
end)

os.execute("rm -rf '" .. dir .. "'")
check.done()
