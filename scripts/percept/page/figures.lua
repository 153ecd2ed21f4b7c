--- page.figures: curves and bars as inline SVG, pictures as data URIs.
local artifacts = require "percept.run.artifacts"
local files = require "percept.files"
local html = require "percept.page.html"
local plot = require "percept.plot"
local recorder = require "percept.recorder"
local e = html.e

local figures = {}

local size = {width = 420, height = 270}
local most_bytes = 6 * 2 ^ 20 -- of one picture

--- A plot's SVG in a card.
function figures.card(p) return e.figure{class = "card", html.raw(p:svg "light")} end

local function grid(cards) return #cards > 0 and e.div{class = "grid", cards} or nil end

--- A curve of one run, thinned: lists of steps and values.
function figures.curve(db, uid, metric, points)
  local x, y = {}, {}
  for _, row in ipairs(recorder.query(db, "@curve", {metric = metric, run = uid, points = points or 300})) do
    x[#x + 1], y[#y + 1] = row.step, row.value or 0 / 0
  end
  return x, y
end

--- Would a logarithmic axis show more? Positive values over more than a factor of fifty.
function figures.scale(lists)
  local low, high = math.huge, 0
  for _, list in ipairs(lists) do
    for _, v in ipairs(list) do
      if v <= 0 then return "linear" end
      if v == v and v ~= math.huge then low, high = math.min(low, v), math.max(high, v) end
    end
  end
  return high / low > 50 and "log" or "linear"
end

local function lines(title, series)
  local ys = {}
  for i, s in ipairs(series) do ys[i] = s.y end
  return figures.card(plot.lines{
    title = title, xlabel = "step", yscale = figures.scale(ys), series = series, width = size.width, height = size.height,
  })
end

-- attempt1/loss and attempt2/loss are drawn together: prefix "attempt", names attempt1, attempt2.
local function group_of(metric)
  local prefix, last = metric:match "^(.*)/([^/]*)$"
  if not prefix then return "", metric, nil end
  local stem = prefix:match "^(.-)%d+$"
  if stem and stem ~= "" then return stem, last, prefix end
  return prefix, last, nil
end

-- What people look at first stands first; the machine's figures last.
local ranks = {loss = 1, objective = 1, mse = 2, accuracy = 2, lr = 8, images_per_second = 9, dead_slots = 7, grad_norm = 6}

--- Curves of a run. metrics: {{name, n}}. Returns sections by prefix, and what has a single value only:
-- the first element is open, the others fold.
function figures.curves(db, uid, metrics)
  local order, groups, single = {}, {}, {}
  for _, m in ipairs(metrics) do
    local group, last, member = group_of(m.name)
    if m.n < 2 then
      single[#single + 1] = {m.name, m.last}
    else
      local g = groups[group]
      if not g then
        g = {name = group, order = {}, plots = {}, n = 0}
        groups[group], order[#order + 1] = g, g
      end
      if not g.plots[last] then
        g.plots[last] = {}
        g.order[#g.order + 1] = last
      end
      g.n = math.max(g.n, m.n)
      table.insert(g.plots[last], {metric = m.name, name = member})
    end
  end
  table.sort(order, function(a, b) -- the longest training first
    if a.n ~= b.n then return a.n > b.n end
    return a.name < b.name
  end)
  local parts = {}
  for i, g in ipairs(order) do
    local cards = {}
    table.sort(g.order, function(a, b)
      local x, y = ranks[a] or 5, ranks[b] or 5
      if x ~= y then return x < y end
      return a < b
    end)
    for _, last in ipairs(g.order) do
      local series = {}
      for k, s in ipairs(g.plots[last]) do
        local x, y = figures.curve(db, uid, s.metric)
        series[k] = {name = s.name, x = x, y = y}
      end
      cards[#cards + 1] = lines(g.name == "" and last or g.name .. "/" .. last, series)
    end
    parts[i] = e.details{open = i == 1, e.summary{g.name == "" and "metrics" or g.name, e.span{class = "muted",
      (" · %d curve%s"):format(#cards, #cards == 1 and "" or "s")}}, grid(cards)}
  end
  return parts, single
end

--- Bars of results: {{metric, factor, groups, series = {{name, y, sd}}}}.
function figures.bars(list)
  local cards = {}
  for _, b in ipairs(list) do
    local share = true -- of one: the axis shows all of it
    for _, s in ipairs(b.series) do
      for _, v in ipairs(s.y) do share = share and not (v < 0 or v > 1) end
    end
    cards[#cards + 1] = figures.card(plot.bars{
      title = b.title, groups = b.groups, series = b.series, numbers = true, ylim = share and {0, 1.05} or nil,
      width = size.width, height = size.height,
    })
  end
  return grid(cards)
end

--- Memory of a run over time.
function figures.memory(samples)
  if #samples < 3 then return nil end
  local x, y = {}, {}
  for i, s in ipairs(samples) do x[i], y[i] = s.seconds, s.rss_bytes / 2 ^ 20 end
  return grid{figures.card(plot.lines{
    title = "memory", xlabel = "seconds", ylabel = "MiB", zero = true, width = size.width, height = size.height, {x = x, y = y},
  })}
end

local types = {png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", svg = "image/svg+xml", gif = "image/gif", webp = "image/webp"}

--- Is this file a picture that a browser shows?
function figures.is_picture(path) return types[(path:match "%.(%w+)$" or ""):lower()] ~= nil end

-- Is it what its name says? A picture is taken into a page that goes to others, a private text of that name is not.
local begins = {
  png = "^\137PNG\r\n\26\n", jpg = "^\255\216\255", jpeg = "^\255\216\255", gif = "^GIF8[79]a", webp = "^RIFF....WEBP",
  svg = "^%s*<[?!s]",
}
local function is_kind(bytes, kind) return bytes:find(begins[kind]) ~= nil and (kind ~= "svg" or bytes:find "<svg[%s>]" ~= nil) end

-- Width and height of a PNG: they keep the page from jumping.
local function png_size(bytes)
  if bytes:sub(1, 8) ~= "\137PNG\r\n\26\n" or #bytes < 24 then return nil end
  local function number(i)
    local a, b, c, d = bytes:byte(i, i + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
  end
  return number(17), number(21)
end

--- A picture of a run with its caption; what is lost, too large or lies elsewhere is said.
function figures.picture(db, uid, path, caption)
  local name = path:match "[^/]*$"
  local function missing(why) return e.figure{class = "picture", e.figcaption{caption, ": ", name, " ", why}} end
  local file, why = artifacts.find(db, uid, path)
  if not file then return missing(why) end
  local st, bytes = files.stat(file), files.read(file, most_bytes)
  if not bytes and st and st.bytes > most_bytes then
    return missing(("is too large to be embedded (%d MiB)"):format(st.bytes / 2 ^ 20))
  end
  if not bytes then return missing "cannot be read" end
  local ending = name:match("%.(%w+)$"):lower()
  if not is_kind(bytes, ending) then return missing(("is no %s file"):format(ending:upper())) end
  local kind = types[ending]
  local width, height = png_size(bytes)
  local wide = width and width > 640
  if width and width > 2200 then width, height = nil, nil end
  return e.figure{class = wide and "picture wide" or "picture",
    e.img{alt = caption, width = width, height = height, src = ("data:%s;base64,%s"):format(kind, html.base64(bytes))},
    e.figcaption{caption}}
end

return figures
