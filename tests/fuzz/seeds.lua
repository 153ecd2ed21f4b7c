-- seeds.lua FOLDER: the corpora that the targets begin with: small good inputs of every kind, one folder a target.
local percept = require "percept"
local T, formats, images = percept.tensor, percept.formats, percept.images
local out = assert(arg[1], "seeds.lua: which folder?")

local function put(target, name, text)
  percept.sys.mkdir(out .. "/" .. target)
  local f = assert(io.open(("%s/%s/%s"):format(out, target, name), "wb"))
  f:write(text)
  f:close()
end
local function take(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  os.remove(path)
  return text
end
local scratch = os.tmpname()
local function made(save, ...)
  save(scratch, ...)
  return take(scratch)
end

T.manual_seed(1)
for _, shape in ipairs{{4, 4}, {3, 5, 3}, {2, 2, 4}, {1, 1, 1}} do
  put("png", table.concat(shape, "x"), made(images.write, T.rand(unpack(shape))))
end
put("csv", "plain", "filename,animal,x\na.png,Cat,1\nb.png,Dog,2.5\n")
put("csv", "quoted", "\239\187\191a,\"b,c\"\r\n\"x\ny\",\"he said \"\"no\"\"\"\r\n\r\n1,2\r\n")
put("csv", "one", "a\n1\n")
for _, dtype in ipairs{"f32", "f64", "i64", "i32", "u8"} do
  put("npy", dtype, made(formats.save_npy, T.zeros(2, 3, {dtype = dtype})))
end
put("npy", "scalar", made(formats.save_npy, T.ones()))
put("npy", "empty", made(formats.save_npy, T.zeros(0, 3)))
local some = {weight = T.rand(3, 2), bias = T.zeros(3), n = T.tensor({1, 2}, {dtype = "i64"}), e = T.zeros(0)}
put("npz", "some", made(formats.save_npz, some))
put("safetensors", "some", made(formats.save_safetensors, some, {a = "b"}))
put("safetensors", "one", made(formats.save_safetensors, {x = T.ones(1)}))
put("checkpoint", "some", made(formats.save_checkpoint, {["m.weight"] = T.rand(3, 2), ["m.bias"] = T.zeros(3)},
  {step = "12", rng = "1 2 3 4 5 6", scalars = "0.5 1 2 3"}))
put("scenes", "table", "\1filename,animal,x\na.png,Cat,1\nb.png,Dog,2.5\n")
put("scenes", "masks", "\1filename,maskname,animal\na.png,a.png,Cat\n")
put("scenes", "cache", "\0PCSC" .. ("\0"):rep(200))
put("sql", "select", "select uid, status from run where id = 1")
put("sql", "query", "@paper")
put("sql", "attach", "attach '/tmp/x.db' as y; create table y.t(a)")
put("sql", "pragma", "pragma journal_mode = delete; pragma user_version = 7; vacuum into '/tmp/x'")
put("sql", "with", "with recursive t(n) as (select 1 union all select n + 1 from t where n < 9) select n from t -- pivot: 1")
put("sql", "functions", "select load_extension('x'), writefile('/tmp/x', 1), readfile('/etc/passwd'), random(), json('{}')")
local db = os.tmpname()
os.remove(db)
local run = percept.run{experiment = "e", name = "n", db = db, config = {lr = 0.1}}
for i = 1, 3 do run:log(i, {loss = 1 / i}) end
run:result{method = "m", split = "s", metric = "v", value = 1}
run:finish()
put("database", "run", take(db))
put("set", "all", "lr=0.2\nn=4\nlabel=y\non=false\nlist=4,5\nmodel.width=3\nmodel.deep.gamma=1e-3\nmilestones.100=0.7\n")
put("set", "wrong", "lr=x\nn=1.5\nzz=3\nmodel=4\nn=\n=3\nlr=nan\nlist={}")
put("json", "text", '{"a":[1,2.5,null,true,{"b":"\\u00e4"}],"c":{}}')
put("json", "bytes", "\6\20\26abc\44\7\1\9")
put("report", "cells", "\5\7\4<b>x\30\5\3'\"&\50\0\0\70\1\2ab\90\3\1z")
put("report", "none", "")
for i = 1, 24 do
  local g, text = T.generator(i), {}
  for k = 1, 90 do text[k] = string.char(g:random(256) - 1) end
  put("boundary", "r" .. i, table.concat(text))
end
