--- Images varied a little while training.
local T = require "percept.tensor"

local augment = {}

-- t moved by `by` places along dim, its edge repeated.
local function moved(t, dim, by)
  if by == 0 then return t end
  local n, size = t:size(dim), {t:size(1), t:size(2), t:size(3), t:size(4)}
  size[dim] = math.abs(by)
  local edge = t:narrow(dim, by > 0 and 1 or n, 1):expand(size[1], size[2], size[3], size[4])
  if by > 0 then return T.cat({edge, t:narrow(dim, 1, n - by)}, {dim = dim}) end
  return T.cat({t:narrow(dim, 1 - by, n + by), edge}, {dim = dim})
end

--- Images (B,H,W,C) moved down by dy and right by dx pixels, edges repeated.
function augment.move(x, dy, dx) return moved(moved(x, 2, dy), 3, dx) end

--- The batch moved by up to `most` pixels each way, by the global generator; most = 0: as it is.
function augment.shift(x, most)
  if (most or 0) == 0 then return x end
  local d = T.randint(-most, most + 1, {2}):to_table()
  return augment.move(x, d[1], d[2])
end

return augment
