--- report: the one table, made of the rows that the recorder holds.
local percept = require "percept"
local rows = require "rows"

local report = {}

--- All figures of a run: figures[method][metric] = value.
function report.figures(db, uid)
  local figures = {}
  local found = percept.recorder.query(db,
    "select e.method, e.metric, e.value from result e join run r on r.id = e.run_id where r.uid = :uid", {uid = uid})
  for _, f in ipairs(found) do
    figures[f.method] = figures[f.method] or {}
    figures[f.method][f.metric] = f.value
  end
  return figures
end

local function number(format, x) return x and format:format(x) or "-" end

-- value, bar -> "2.31 (2.2)", and whether it falls short
local function against(value, bar)
  if not value then return "-", false end
  if not bar then return ("%.2f"):format(value), false end
  return ("%.2f (%.2g)"):format(value, bar), value < bar
end

local head = {"", "row", "ours ms", "torch ms", "tuned ms", "ratio (bar)", "tuned (bar)", "of peak (bar)", "2 thr (bar)", "others",
  "MiB ours/theirs", ""}
local format = "%-34s %-9s %9s %9s %9s %12s %12s %13s %12s %7s %15s %s"

--- Prints the table of the chosen rows; marks what misses its bar. Returns the marks as a list of texts.
function report.print(figures, chosen)
  local missed = {}
  print(format:format(unpack(head)))
  for _, row in ipairs(chosen) do
    local ours = figures[row.id .. "/ours/1"] or {}
    local default, tuned = figures[row.id .. "/torch/default"] or {}, figures[row.id .. "/torch/tuned"] or {}
    local two = figures[row.id .. "/ours/2"] or {}
    local short = {}
    local function cell(what, value, bar)
      local text, misses = against(value, bar)
      if misses then short[#short + 1] = what end
      return text
    end
    local ratio, ratio_tuned = cell("default", default.ratio, row.bar[1]), cell("tuned", tuned.ratio, row.bar[2])
    local peak = cell("peak", ours.fraction_of_peak, row.peak)
    local speedup = cell("2 threads", two.speedup, row.bar2)
    local theirs = default.peak_rss_mib
    local half = row.bar[1] and theirs and ours.peak_rss_mib > theirs / 2
    if half then short[#short + 1] = "memory" end
    print(format:format(row.title, row.id, number("%.2f", ours.cpu_ms), number("%.2f", default.cpu_ms), number("%.2f", tuned.cpu_ms),
      ratio, ratio_tuned, peak, speedup, number("%.0f%%", two.others and two.others * 100),
      ours.peak_rss_mib and ("%.0f/%s"):format(ours.peak_rss_mib, number("%.0f", theirs)) or "-",
      #short > 0 and "misses " .. table.concat(short, ", ") or ""))
    for _, what in ipairs(short) do missed[#missed + 1] = row.id .. " " .. what end
  end
  return missed
end

--- Prints single operations: ours, and theirs where measured.
function report.operations(figures)
  print(("\n%-38s %10s %10s %10s %10s %7s %7s"):format("one operation, 1 thread", "ours ms", "", "torch ms", "tuned ms", "ratio", "tuned"))
  for _, row in ipairs(rows.micro) do
    local ours = figures[row.id .. "/ours/1"]
    local default, tuned = figures[row.id .. "/torch/default"] or {}, figures[row.id .. "/torch/tuned"] or {}
    if ours then
      local rate = ours.gflops and ("%.1f GF/s"):format(ours.gflops) or ours.gb_s and ("%.1f GB/s"):format(ours.gb_s)
      print(("%-38s %10.3f %10s %10s %10s %7s %7s"):format(row.title, ours.cpu_ms, rate or "", number("%.3f", default.cpu_ms),
        number("%.3f", tuned.cpu_ms), number("%.2f", default.ratio), number("%.2f", tuned.ratio)))
    end
  end
end

return report
