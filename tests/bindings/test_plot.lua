-- percept.plot: options, data as lists and tensors, files, mistakes.
local check = dofile "tests/lua/check.lua"
local plot, T = require "percept.plot", require "percept.tensor"
local images = require "percept.images"

local scratch = os.tmpname()

check.test("lists and tensors draw the same", function()
  local a = plot.lines{{name = "a", x = {1, 2, 3}, y = {1, 4, 2}}, {name = "b", y = {{1, 2}, {3, 4}}}}:svg()
  local b = plot.lines{series = {
    {name = "a", x = T.tensor{1, 2, 3}, y = T.tensor{1, 4, 2}}, {name = "b", y = T.tensor{{1, 2}, {3, 4}}}}}:svg()
  check.eq(a, b)
  check.eq(plot.lines{y = {1, 2}}:svg(), plot.lines{{y = {1, 2}}}:svg())
end)

check.test("every kind, both themes", function()
  local plots = {
    plot.lines{title = "t", yscale = "log", xlim = {0, 5}, {y = {1, 10, 100}, sd = {0, 1, 2}, points = true}},
    plot.scatter{zero = true, {x = {1, 2}, y = {3, 4}, low = {2, 3}, high = {4, 5}, color = 3}},
    plot.bars{groups = {"a", "b"}, numbers = true, {name = "x", y = {1, 2}}, {name = "y", y = {{1, 2}, {3, 4}}}},
    plot.heat{values = {{0, 1}, {0.5, 0 / 0}}, framed = {{0, 1}, {0, 0}}, rows = {"r", "s"}, columns = {"c", "d"}},
    plot.lines{}, plot.lines{y = {}}, plot.bars{groups = {}},
  }
  for i, p in ipairs(plots) do
    local light, dark = p:svg(), p:svg "dark"
    check.ok(light:match "^<svg .*</svg>\n$" and light ~= dark, i)
    local pixels = p:pixels("dark", 1)
    check.eq({pixels:size(1), pixels:size(2), pixels:size(3)}, {400, 640, 3})
    check.eq(pixels:select(1, 1):select(1, 1):to_table(), {15, 20, 25})
  end
  check.eq(plot.lines{theme = "dark"}:svg(), plot.lines{}:svg "dark")
end)

check.test("files", function()
  local p = plot.lines{y = {1, 2}, width = 200, height = 100}
  p:save(scratch .. ".svg")
  local f = assert(io.open(scratch .. ".svg"))
  check.eq(f:read "*a", p:svg())
  f:close()
  p:save(scratch .. ".png", {scale = 3})
  check.eq(images.read(scratch .. ".png"):size(2), 600)
  check.error("~ends in neither .svg nor .png", p.save, p, scratch .. ".gif")
  os.remove(scratch .. ".svg")
  os.remove(scratch .. ".png")
end)

check.test("mistakes name what is known", function()
  check.error("plot.lines: unknown option colour; known are color, dashed, digits, height, high, legend, low, name, numbers, "
    .. "points, sd, series, theme, title, width, x, xlabel, xlim, xscale, y, ylabel, ylim, yscale, zero", plot.lines, {colour = 1})
  check.error("plot.lines: series 2: unknown option Y; known are color, dashed, high, low, name, points, sd, x, y",
    plot.lines, {{y = {1}}, {Y = {1}}})
  check.error("plot.scatter: series 1 has no y", plot.scatter, {{x = {1}}})
  check.error("~series 'a': x has shape (2), y has 1 values", plot.lines, {{name = "a", x = {1, 2}, y = {1}}})
  check.error("~series 1: y is a tensor or a list of numbers, got string", plot.lines, {{y = "1"}})
  check.error("~series 1 is string, not a table", plot.lines, {"y"})
  check.error("~xscale", plot.lines, {y = {1}, xscale = "cubic"})
  check.error("~ylim is {low, high}", plot.lines, {y = {1}, ylim = {1}})
  check.error("~groups = ", plot.bars, {{y = {1}}})
  check.error("~series 1: bars stand at groups and take no x", plot.bars, {groups = {"a"}, {x = {1}, y = {1}}})
  check.error("~2 values for 1 groups", plot.bars, {groups = {"a"}, {y = {1, 2}}})
  check.error("~unknown option rowss", plot.heat, {values = {{1}}, rowss = {}})
  check.error("~argument", plot.heat, {})
  check.error("~spec", plot.lines, 3)
  check.error("~sides of 60 to 8000", plot.lines{width = 1}.svg, plot.lines{width = 1})
end)

check.test("help knows the plots", function()
  for _, name in ipairs{"lines", "scatter", "bars", "heat"} do
    local usage, text = require "percept".usage(plot[name])
    check.ok(usage and text:find("plot." .. name, 1, true), name)
  end
  check.ok(plot.css "dark":find(".plot .f-s0{fill:#", 1, true))
end)

os.remove(scratch)
check.done()
