--- values: what kind of value this is, how large it is.
local values = {}

local item_bytes = {f32 = 4, f64 = 8, i64 = 8, i32 = 4, u8 = 1}

--- Bytes a tensor's elements take.
function values.bytes(t) return t:numel() * item_bytes[t:dtype()] end

--- 1536 -> "1.5 KiB"
function values.size_text(bytes)
  local units, u = {"B", "KiB", "MiB", "GiB"}, 1
  while bytes >= 1024 and u < #units do bytes, u = bytes / 1024, u + 1 end
  return u == 1 and ("%d B"):format(bytes) or ("%.1f %s"):format(bytes, units[u])
end

--- 1234567 -> "1,234,567"
function values.count_text(n)
  local s = ("%d"):format(n)
  local head = #s % 3
  return (s:sub(1, head) .. s:sub(head + 1):gsub("(%d%d%d)", ",%1")):gsub("^,", "")
end

--- Is this a module of the engine or of nn.module?
function values.is_module(x)
  if type(x) ~= "userdata" then return false end
  local meta = debug.getmetatable(x)
  return type(meta) == "table" and rawget(meta, "__name") == "percept.module"
end

return values
