--- inspect: what a value is made of: a module's parameter tree with shapes and sizes, a tensor's figures.
local describe = require "percept.prompt.describe"
local percept = require "percept"
local T = require "percept.tensor"
local values = require "percept.prompt.values"

local M = {bytes = values.bytes, size_text = values.size_text, count_text = values.count_text, is_module = values.is_module}

local function shape_text(t) return "(" .. table.concat(t:size(), ",") .. ")" end

-- ---- modules ----

-- The parameters and buffers that stand in the module itself, not in a child.
local function own_names(module)
  local names = {}
  for _, name in ipairs(module:names()) do
    if not name:find(".", 1, true) then names[#names + 1] = name end
  end
  local inside = {}
  for _, child in ipairs(module:children()) do inside[child.name] = true end
  return names, inside
end

local function totals(module)
  local trained = module:named_parameters()
  local state = module:state()
  local sum = {numbers = 0, bytes = 0, tensors = 0, frozen = 0, buffers = 0}
  for name, t in pairs(state) do
    sum.tensors, sum.bytes = sum.tensors + 1, sum.bytes + values.bytes(t)
    if not trained[name] then
      sum.buffers = sum.buffers + t:numel()
    else
      sum.numbers = sum.numbers + t:numel()
      if not t:requires_grad() then sum.frozen = sum.frozen + t:numel() end
    end
  end
  return sum
end

local function tree(module, name, indent, last, rows)
  local branch = indent == nil and "" or indent .. (last and "└ " or "├ ")
  rows[#rows + 1] = {branch .. (name and name .. ": " or "") .. module:type(), "", values.count_text(module:count()), "", ""}
  local inner = indent == nil and "" or indent .. (last and "  " or "│ ")
  local state, trained = module:state(), module:named_parameters()
  local names = own_names(module)
  local children = module:children()
  for i, parameter in ipairs(names) do
    local t = state[parameter]
    local note = not trained[parameter] and "buffer" or not t:requires_grad() and "frozen" or ""
    rows[#rows + 1] = {inner .. (i == #names and #children == 0 and "└ " or "├ ") .. parameter, shape_text(t),
      values.count_text(t:numel()), values.size_text(values.bytes(t)), (t:dtype() ~= "f32" and t:dtype() .. " " or "") .. note}
  end
  for i, child in ipairs(children) do tree(child.module, child.name, inner, i == #children, rows) end
end

-- Columns of UTF-8 text: characters, not bytes.
local function width_of(s) return select(2, s:gsub("[^\128-\191]", "")) end

local function aligned(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width_of(cell)) end
  end
  for r, row in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(row) do
      local pad = (" "):rep(widths[i] - width_of(cell))
      parts[i] = (i == 3 or i == 4) and pad .. cell or cell .. pad
    end
    lines[r] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  return lines
end

local function module_text(module, name)
  local rows = {{"", "shape", "numbers", "bytes", ""}}
  tree(module, name, nil, true, rows)
  local lines, sum = aligned(rows), totals(module)
  local parts = {("%s trained numbers in %d tensors, %s"):format(values.count_text(sum.numbers), sum.tensors, values.size_text(sum.bytes))}
  if sum.frozen > 0 then parts[#parts + 1] = values.count_text(sum.frozen) .. " of them frozen" end
  if sum.buffers > 0 then parts[#parts + 1] = values.count_text(sum.buffers) .. " numbers in buffers" end
  lines[#lines + 1] = table.concat(parts, "; ")
  return table.concat(lines, "\n")
end

-- ---- tensors and the rest ----

local function tensor_text(t)
  local lines = {("%s tensor %s, %s%s%s"):format(t:dtype(), shape_text(t), values.size_text(values.bytes(t)),
    t:is_contiguous() and "" or ", strides (" .. table.concat(t:stride(), ",") .. ")",
    t:requires_grad() and (t:is_leaf() and ", wants a gradient" or ", has history") or "")}
  if t:numel() > 0 then
    local x = t:detach():to "f64"
    local bad = x:ne(x):to("f64"):sum():item()
    if bad > 0 then
      lines[2] = ("%d NaN"):format(bad)
    else
      lines[2] = ("min %.6g  max %.6g  mean %.6g  sd %.6g"):format(x:min():item(), x:max():item(), x:mean():item(),
        t:numel() > 1 and x:std():item() or 0)
    end
  end
  return table.concat(lines, "\n")
end

--- What inspect() prints, as a string.
function M.text(x)
  if values.is_module(x) then return module_text(x) end
  if T.is_tensor(x) then return tensor_text(x) end
  if type(x) == "table" then
    local parts, names = {}, {}
    for name, v in pairs(x) do
      if values.is_module(v) then names[#names + 1] = name end
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(names) do parts[#parts + 1] = module_text(x[name], tostring(name)) end
    if #parts > 0 then return table.concat(parts, "\n\n") end
  end
  return describe.text(x)
end

M.inspect = percept.declare("inspect", "x:any", function(x) print(M.text(x)) end,
  "what a value is made of: a module's parameter tree with shapes and sizes, a tensor's figures")

return M
