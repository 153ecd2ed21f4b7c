--- summary: the tables and figures of the studies, from the database alone.
--
-- percept run experiments/pug/summary.lua --db percept.db --set out=FOLDER
-- Reads finished runs of background, texture, object, controls, data_efficiency, interaction and pretraining; writes
-- summary.md (tables) and SVG figures to `out`. Runs on a pseudo-OOD split (made to choose settings) are left out.
-- A run of one seed and configuration that was repeated counts once, the newest. --set tag=NAME: of runs with that tag alone.
local percept = require "percept"
local recorder = require "percept.recorder"
local plot = require "percept.plot"
local sys = require "percept.sys"
local experiment = require "percept.experiment"

local methods = {"ridge", "supervised", "encoder", "search", "replay", "replay + search"}
local shown = {encoder = "VAE encoder", search = "+ search", replay = "+ replay", ["replay + search"] = "+ replay + search"}

-- Every result of every finished run and of its parts, with what tells configurations apart.
local sql = [[
with p as (select run_id, max(case key when 'data' then txt end) as data, max(case key when 'fraction' then num end) as fraction,
             max(case key when 'size' then num end) as size, max(case key when 'limit' then num end) as images,
             max(case key when 'vae.alpha' then num end) as alpha, max(case key when 'rule' then txt end) as rule,
             max(case key when 'pseudo' then num end) as pseudo,
             max(case key when 'split_seed' then num end) as split, max(case key when 'offset' then num end) as offset
           from param group by run_id),
r as (select r.id, r.seed, r.name, r.config_digest as digest, coalesce(q.experiment, r.experiment) as experiment,
        case when q.id is null then '' else r.name end as part, coalesce(q.config_digest, '') as outer_digest,
        q.id as outer_id
      from run r left join run q on q.id = r.parent_id
      where r.status = 'done' and r.archived = 0 and (q.id is null or (q.status = 'done' and q.archived = 0
        and r.experiment like '%/part')))
select r.experiment, r.part, r.seed, d.name as dataset, p.fraction, p.size, p.images, p.alpha, p.rule, p.split as split_seed, p.offset,
  x.method, x.split, x.metric, x.factor, x.value, x.n
from r join p on p.run_id = r.id left join run_dataset rd on rd.run_id = r.id and rd.role = 'data'
left join dataset d on d.digest = rd.digest
join result x on x.run_id = r.id
where coalesce(p.pseudo, 0) = 0
  and (:tag = '' or exists (select 1 from tag where tag.tag = :tag and tag.run_id in (r.id, r.outer_id)))
  and r.id in (select max(id) from r group by experiment, part, digest, outer_digest, seed)
order by r.id]]

-- mean, sd (nil for one), n of a list
local function moments(list)
  local sum, squares = 0, 0
  for _, v in ipairs(list) do sum = sum + v end
  local mean = sum / #list
  for _, v in ipairs(list) do squares = squares + (v - mean) ^ 2 end
  return mean, #list > 1 and math.sqrt(squares / (#list - 1)) or nil, #list
end

local function cell(list, digits)
  if not list then return "" end
  local mean, sd = moments(list)
  local f = "%." .. (digits or 3) .. "f"
  return sd and (f .. " ± " .. f):format(mean, sd) or f:format(mean)
end

local Rows = {}
Rows.__index = Rows

--- The rows for which every given field is equal.
function Rows:where(want)
  local out = setmetatable({}, Rows)
  for _, r in ipairs(self) do
    local ok = true
    for key, value in pairs(want) do ok = ok and r[key] == value end
    if ok then out[#out + 1] = r end
  end
  return out
end

--- Values of a field in the order of their first row.
function Rows:distinct(field)
  local seen, out = {}, {}
  for _, r in ipairs(self) do
    local v = r[field]
    if v ~= nil and not seen[v] then
      seen[v] = true
      out[#out + 1] = v
    end
  end
  return out
end

--- The values, or nil when there is none.
function Rows:values()
  local out = {}
  for i, r in ipairs(self) do out[i] = r.value end
  return #out > 0 and out or nil
end

local function markdown(head, lines)
  local out = {"| " .. table.concat(head, " | ") .. " |", "|" .. ("---|"):rep(#head)}
  for _, line in ipairs(lines) do out[#out + 1] = "| " .. table.concat(line, " | ") .. " |" end
  return table.concat(out, "\n") .. "\n"
end

-- Settings of an experiment: one table each.
local function settings(rows)
  local seen, out = {}, {}
  for _, r in ipairs(rows) do
    local key = ("%s|%s|%s|%s|%s|%s"):format(r.dataset, r.fraction, r.rule, r.size, r.split_seed, r.offset)
    if not seen[key] then
      seen[key] = true
      out[#out + 1] = {
        dataset = r.dataset, fraction = r.fraction, rule = r.rule, size = r.size, split_seed = r.split_seed, offset = r.offset,
      }
    end
  end
  return out
end

local function title(name, s)
  return ("%s, %s, %g %% of the cells held out (%s, split %g.%g), %d px"):format(name, s.dataset, 100 * s.fraction, s.rule,
    s.split_seed, s.offset, s.size)
end

-- Methods by splits and factors: animals and the mean of all factors; errors and FG-ARI beside them.
local function main_table(rows)
  local lines = {}
  for _, m in ipairs(methods) do
    local of = rows:where{method = m}
    if #of > 0 then
      local function a(split, factor) return cell(of:where{split = split, metric = "accuracy", factor = factor}:values()) end
      lines[#lines + 1] = {
        shown[m] or m, a("id", "all"), a("id", "animals"), a("ood", "all"), a("ood", "animals"), a("ood_both", "animals"),
        a("ood", "world_name"),
        cell(of:where{split = "ood", metric = "squared_error"}:values(), 4), cell(of:where{split = "ood", metric = "fg_ari"}:values(), 2),
        cell(of:where{split = "ood", metric = "seconds_per_image"}:values(), 3),
      }
    end
  end
  return markdown({"method", "ID, all factors", "ID, animals", "OOD, all factors", "OOD, animals", "both held out", "OOD, world",
    "OOD squared error", "OOD FG-ARI", "s an image"}, lines)
end

-- Best generative minus the encoders, in points, seed by seed.
local function gains(rows)
  local of = rows:where{split = "ood", metric = "accuracy", factor = "animals"}
  local per = {}
  for _, r in ipairs(of) do
    per[r.seed] = per[r.seed] or {}
    per[r.seed][r.method] = r.value
  end
  local out = {}
  for _, base in ipairs{"encoder", "supervised", "ridge"} do
    local list = {}
    for _, v in pairs(per) do
      local best
      for _, m in ipairs{"search", "replay", "replay + search"} do
        if v[m] and (not best or v[m] > best) then best = v[m] end
      end
      if best and v[base] then list[#list + 1] = 100 * (best - v[base]) end
    end
    if #list > 0 then out[#out + 1] = ("%s points over %s"):format(cell(list, 1), shown[base] or base) end
  end
  return #out > 0 and "Best generative method on the animals, OOD: " .. table.concat(out, "; ") .. ".\n" or ""
end

local function bars(rows, path, heading)
  local groups = {}
  local keys = {{"id", "animals", "ID animals"}, {"ood", "animals", "OOD animals"}, {"ood_both", "animals", "both held out"}}
  local p = {title = heading, ylabel = "accuracy", ylim = {0, 1}, groups = groups, width = 760, height = 380}
  for _, k in ipairs(keys) do
    if rows:where{split = k[1], factor = k[2], metric = "accuracy"}:values() then groups[#groups + 1] = k[3] end
  end
  for _, m in ipairs(methods) do
    local mean, sd = {}, {}
    for _, k in ipairs(keys) do
      local v = rows:where{method = m, split = k[1], factor = k[2], metric = "accuracy"}:values()
      if v then
        local a, b = moments(v)
        mean[#mean + 1], sd[#sd + 1] = a, b or 0
      end
    end
    if #mean == #groups and #mean > 0 then p[#p + 1] = {name = shown[m] or m, y = mean, sd = sd} end
  end
  plot.bars(p):save(path)
end

-- Accuracy on the OOD animals of each method over a number of the parts (images, alpha).
local function curve(rows, field, path, heading, xlabel, xscale)
  local p = {title = heading, xlabel = xlabel, ylabel = "OOD animals, accuracy", xscale = xscale, width = 640, height = 380}
  for _, m in ipairs(methods) do
    local at = {}
    for _, r in ipairs(rows:where{method = m, split = "ood", metric = "accuracy", factor = "animals"}) do
      at[r[field]] = at[r[field]] or {}
      table.insert(at[r[field]], r.value)
    end
    local xs, ys, sds = {}, {}, {}
    for x in pairs(at) do xs[#xs + 1] = x end
    table.sort(xs)
    for i, x in ipairs(xs) do
      local mean, sd = moments(at[x])
      ys[i], sds[i] = mean, sd or 0
    end
    if #xs > 0 then p[#p + 1] = {name = shown[m] or m, x = xs, y = ys, sd = sds, points = true} end
  end
  if #p > 0 then plot.lines(p):save(path) end
end

local function table_by(rows, field, name)
  local at = rows:distinct(field)
  table.sort(at)
  local head, lines = {name}, {}
  for _, m in ipairs(methods) do head[#head + 1] = shown[m] or m end
  for _, x in ipairs(at) do
    local line = {("%g"):format(x)}
    for _, m in ipairs(methods) do
      line[#line + 1] = cell(rows:where{[field] = x, method = m, split = "ood", metric = "accuracy", factor = "animals"}:values())
    end
    lines[#lines + 1] = line
  end
  return head, lines
end

local text, folder = {}, nil
local function say(...) text[#text + 1] = table.concat({...}) end

local function studies(rows)
  for _, name in ipairs{"background", "texture", "object"} do
    local of = rows:where{experiment = name}
    for _, s in ipairs(settings(of)) do
      local mine = of:where(s)
      say("## ", title(name, s), "\n")
      say(("%d seed%s.\n"):format(#mine:distinct "seed", #mine:distinct "seed" == 1 and "" or "s"))
      say(main_table(mine))
      say(gains(mine))
      local file = ("%s_%s_%g_%s_%g.%g_%d.svg"):format(name, s.dataset, 100 * s.fraction, s.rule, s.split_seed, s.offset, s.size)
      bars(mine, folder .. "/" .. file, title(name, s))
      say(("![%s](%s)\n"):format(title(name, s), file))
    end
  end
end

local function controls(rows)
  local of = rows:where{experiment = "controls"}
  for _, s in ipairs(settings(of)) do
    local mine, lines = of:where(s), {}
    say("## ", title("controls", s), "\n")
    for _, part in ipairs(mine:distinct "part") do
      for _, m in ipairs(mine:where{part = part}:distinct "method") do
        local r = mine:where{part = part, method = m}
        local function v(split, metric, factor, digits)
          return cell(r:where{split = split, metric = metric, factor = factor}:values(), digits)
        end
        if r:where{metric = "accuracy"}:values() then
          lines[#lines + 1] = {
            part, shown[m] or m, v("id", "accuracy", "animals"), v("ood", "accuracy", "animals"), v("ood_both", "accuracy", "animals"),
            v("id", "squared_error", "", 4), v("ood", "squared_error", "", 4), v("ood", "mixed_hessian", "", 3), v("ood", "jis", "", 2),
            v("ood", "decoder_evaluations", "", 0), v("ood", "seconds_per_image", "", 3),
          }
        end
      end
    end
    say(markdown({"part", "method", "ID animals", "OOD animals", "both held out", "ID squared error", "OOD squared error",
      "mixed d2", "JIS", "decodes an image",
      "s an image"}, lines))
  end
end

local function efficiency(rows)
  local of = rows:where{experiment = "data_efficiency"}
  for _, s in ipairs(settings(of)) do
    local mine = of:where(s)
    local images = {} -- of a part: how many there really are
    for _, r in ipairs(mine:where{metric = "images"}) do images[r.part] = r.value end
    for _, r in ipairs(mine) do r.trained = images[r.part] end
    say("## ", title("data efficiency: OOD animals against ID images", s), "\n")
    say(markdown(table_by(mine, "trained", "ID images")))
    local file = ("data_efficiency_%s_%g.svg"):format(s.dataset, 100 * s.fraction)
    curve(mine, "trained", folder .. "/" .. file, title("data efficiency", s), "ID images", "log")
    say(("![data efficiency](%s)\n"):format(file))
  end
end

local function interactions(rows)
  local of = rows:where{experiment = "interaction"}
  for _, s in ipairs(settings(of)) do
    local mine, lines = of:where(s), {}
    say("## ", title("interaction against OOD accuracy", s), "\n")
    local at = mine:distinct "alpha"
    table.sort(at)
    local p = {title = title("interaction", s), xlabel = "attention interaction on OOD slots", ylabel = "OOD animals, accuracy",
      width = 640, height = 380}
    for _, m in ipairs{"encoder", "search", "replay"} do p[#p + 1] = {name = shown[m] or m, x = {}, y = {}} end
    for _, alpha in ipairs(at) do
      local r = mine:where{alpha = alpha}
      local function v(method, split, metric, digits, factor)
        return cell(r:where{method = method, split = split, metric = metric, factor = factor or ""}:values(), digits)
      end
      local line = {("%g"):format(alpha)}
      for _, metric in ipairs{"interaction", "mixed_hessian", "jis", "j_ari"} do
        for _, split in ipairs{"id", "ood"} do line[#line + 1] = v("encoder", split, metric, 4) end
      end
      for i, m in ipairs{"encoder", "search", "replay"} do
        line[#line + 1] = v(m, "ood", "accuracy", 3, "animals")
        local x, y = r:where{method = "encoder", split = "ood", metric = "interaction"}:values(),
          r:where{method = m, split = "ood", metric = "accuracy", factor = "animals"}:values()
        if x and y then
          table.insert(p[i].x, (moments(x)))
          table.insert(p[i].y, (moments(y)))
        end
      end
      lines[#lines + 1] = line
    end
    say(markdown({"alpha", "attention ID", "attention OOD", "mixed d2 ID", "mixed d2 OOD", "JIS ID", "JIS OOD", "J-ARI ID", "J-ARI OOD",
      "encoder", "+ search", "+ replay"}, lines))
    local file = ("interaction_%s_%g.svg"):format(s.dataset, 100 * s.fraction)
    plot.scatter(p):save(folder .. "/" .. file)
    say(("![interaction](%s)\n"):format(file))
  end
end

local function pretraining(rows)
  local of = rows:where{experiment = "pretraining"}
  for _, s in ipairs(settings(of)) do
    local mine, lines = of:where(s), {}
    say("## ", title("pretraining", s), "\n")
    for _, part in ipairs(mine:distinct "part") do
      local line = {part}
      for _, m in ipairs(methods) do
        line[#line + 1] = cell(mine:where{part = part, method = m, split = "ood", metric = "accuracy", factor = "animals"}:values())
      end
      lines[#lines + 1] = line
    end
    local head = {"pretraining images"}
    for _, m in ipairs(methods) do head[#head + 1] = shown[m] or m end
    say(markdown(head, lines))
  end
end

return percept.experiment{
  name = "summary",
  defaults = {out = "", tag = ""},
  run = function(cfg, run)
    folder = cfg.out ~= "" and cfg.out or experiment.folder(run)
    sys.mkdir(folder)
    local rows = setmetatable(recorder.query(run:db_path(), sql, {tag = cfg.tag}), Rows)
    if #rows == 0 then
      error("summary: this database holds no finished run of the studies; percept run experiments/pug/background.lua makes one", 0)
    end
    studies(rows)
    controls(rows)
    efficiency(rows)
    interactions(rows)
    pretraining(rows)
    local path = folder .. "/summary.md"
    local file = assert(io.open(path, "w"))
    file:write(table.concat(text, "\n"))
    file:close()
    print(table.concat(text, "\n"))
    print("written: " .. path)
    run:artifact(path, {kind = "table"})
  end,
}
