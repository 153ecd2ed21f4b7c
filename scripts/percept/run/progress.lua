--- A progress bar on stderr: rate, ETA and a few figures.
-- On a terminal it redraws one line at most ten times a second; elsewhere it
-- prints a line every ten seconds, so that logs stay readable.
local sys = require "percept.sys"

local progress = {}
local Bar = {}
Bar.__index = Bar

local function clock(seconds)
  seconds = math.max(0, math.floor(seconds + 0.5))
  if seconds >= 3600 then return ("%d:%02d:%02d"):format(seconds / 3600, seconds / 60 % 60, seconds % 60) end
  return ("%d:%02d"):format(seconds / 60, seconds % 60)
end

--- Starts a bar. options: title, total (steps), first (steps done before: resume).
function progress.start(options)
  return setmetatable({
    title = options.title or "",
    total = options.total,
    first = options.first or 0,
    began = sys.time(),
    shown = 0,
    tty = sys.isatty(2),
  }, Bar)
end

local function figures(values)
  local names, out = {}, {}
  for name in pairs(values or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local v = values[name]
    out[#out + 1] = type(v) == "number" and ("%s %.4g"):format(name, v) or ("%s %s"):format(name, tostring(v))
  end
  return table.concat(out, "  ")
end

--- Shows `done` of total; values: name -> figure.
function Bar:show(done, values, last)
  local now = sys.time()
  if not last and now - self.shown < (self.tty and 0.1 or 10) then return end
  self.shown = now
  local elapsed = now - self.began
  local rate = elapsed > 0 and (done - self.first) / elapsed or 0
  local left = rate > 0 and (self.total - done) / rate or 0
  local width = 24
  local full = math.floor(width * done / math.max(1, self.total))
  local bar = ("#"):rep(full) .. ("."):rep(width - full)
  local text = ("%-10s [%s] %d/%d  %.1f/s  %s %s  %s"):format(
    self.title, bar, done, self.total, rate, last and "took" or "ETA", clock(last and elapsed or left), figures(values))
  if self.tty then
    io.stderr:write("\r\27[K", text, last and "\n" or "")
  else
    io.stderr:write(text, "\n")
  end
  io.stderr:flush()
end

--- Draws the last state and ends the line; done: where it stopped, if before the end.
function Bar:finish(values, done)
  self:show(done or self.total, values, true)
end

return progress
