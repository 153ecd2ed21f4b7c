--- page.run: the report of one run.
local figures = require "percept.page.figures"
local html = require "percept.page.html"
local recorder = require "percept.recorder"
local show = require "percept.page.show"
local e = html.e

local function query(db, sql, uid) return recorder.query(db, sql, {uid = uid}) end

local function id_of(list, value)
  for i, v in ipairs(list) do
    if v == value then return i end
  end
  list[#list + 1] = value
  return #list
end

-- Results {method, split, metric, factor, mean, sd, n} by metric; orders are those of the rows.
local function by_metric(rows)
  local metrics, by = {}, {}
  for _, r in ipairs(rows) do
    local m = by[r.metric] or {name = r.metric, methods = {}, splits = {}, factors = {}, cell = {}}
    if not by[r.metric] then metrics[#metrics + 1] = m end
    by[r.metric] = m
    id_of(m.methods, r.method)
    id_of(m.splits, r.split)
    id_of(m.factors, r.factor)
    m.cell[r.method .. "\0" .. r.split .. "\0" .. r.factor] = r
  end
  return metrics
end

local function cell(m, method, split, factor) return m.cell[method .. "\0" .. split .. "\0" .. factor] end

-- One line a split and method, one column a factor.
local function results_table(m)
  local head, body = {e.th{scope = "col", "split"}, e.th{scope = "col", "method"}}, {}
  for _, factor in ipairs(m.factors) do head[#head + 1] = e.th{scope = "col", class = "n", factor == "" and "all" or factor} end
  for s, split in ipairs(m.splits) do
    local first = true
    for _, method in ipairs(m.methods) do
      local cells, any = {}, false
      for i, factor in ipairs(m.factors) do
        local r = cell(m, method, split, factor)
        any = any or r
        cells[i] = e.td{class = "n", not r and "–" or r.n == 1 and show.figure(r.mean) or show.mean(r.mean, r.sd, r.n)}
      end
      if any then
        body[#body + 1] = e.tr{class = first and s > 1 and "group" or nil, e.th{scope = "row", split}, e.td{method}, cells}
        first = false
      end
    end
  end
  return e.div{class = "scroll", tabindex = "0", e.table{e.thead{e.tr{head}}, e.tbody{body}}}
end

local function bars_of(m, factor)
  local series = {}
  for k, method in ipairs(m.methods) do
    local y, sd, any = {}, {}, false
    for s, split in ipairs(m.splits) do
      local r = cell(m, method, split, factor)
      y[s], sd[s] = r and r.mean or 0 / 0, r and r.sd or 0 / 0
      any = any or (r and r.sd) ~= nil
    end
    series[k] = {name = method, y = y, sd = any and sd or nil}
  end
  return {title = m.name .. (factor == "" and "" or ", " .. factor), groups = m.splits, series = series}
end

--- One table a metric, and bars a factor.
local function results(rows)
  if #rows == 0 then return nil end
  local parts = {}
  for _, m in ipairs(by_metric(rows)) do
    local bars = {}
    for i = 1, #m.methods <= 12 and math.min(#m.factors, 6) or 0 do bars[i] = bars_of(m, m.factors[i]) end
    parts[#parts + 1] = html.join(e.h3{m.name}, results_table(m), figures.bars(bars))
  end
  return html.join(unpack(parts))
end

-- Slot health: what each slot holds and tells; a line of words.
local function slots(db, uid)
  local rows = {}
  for i, s in ipairs(recorder.query(db, "@slots", {run = uid})) do
    rows[i] = {("%d"):format(s.slot), s.usage, s.present, s.entropy, s.tells or "", s.verdict or ""}
  end
  if #rows == 0 then return nil end
  local lines = {}
  for i, r in ipairs(query(db, [[select json_extract(x.extra_json, '$.line') as line from result x join run r on r.id = x.run_id
    where r.uid = :uid and x.method = 'slots' and x.metric = 'good' order by x.id]], uid)) do
    lines[i] = r.line and e.p{r.line} or ""
  end
  return html.join(html.join(unpack(lines)), show.table({{"slot"}, {"usage", number = true}, {"present", number = true},
    {"entropy", number = true}, {"tells"}, {"verdict"}}, rows))
end

local function header(r)
  local title = r.name and r.name .. " · " .. r.experiment or r.experiment
  local lead = {r.uid}
  if r.parent then lead[#lead + 1] = "child of " .. r.parent end
  if r.repeats then lead[#lead + 1] = "repeats " .. r.repeats end
  if r.sweep then lead[#lead + 1] = "cell of " .. r.sweep end
  if r.tags then lead[#lead + 1] = "tags: " .. r.tags end
  return html.join(
    e.h1{title, e.span{class = "badge " .. r.status, r.status}},
    e.p{class = "lead", table.concat(lead, " · ")},
    r.note and e.p{r.note} or nil,
    show.facts{
      {"started", r.started}, {"took", show.seconds(r.seconds)}, {"seed", r.seed and ("%d"):format(r.seed)},
      {"step", r.step and show.number(r.step)}, {"peak memory", r.peak_rss_bytes and show.bytes(r.peak_rss_bytes)},
      {"threads", r.threads and ("%d"):format(r.threads)},
      {"commit", r.commit_id and r.commit_id:sub(1, 10) .. (r.dirty == 1 and " + changes" or "")}, {"host", r.host},
    })
end

local function error_part(db, r)
  local events = query(db, [[select datetime(e.t_ms / 1000, 'unixepoch', 'localtime') as at, e.level, e.text
    from event e join run r on r.id = e.run_id where r.uid = :uid order by e.t_ms, e.id limit 500]], r.uid)
  local rows = {}
  for i, v in ipairs(events) do rows[i] = {v.at, v.level, v.text} end
  return html.join(
    r.error and show.section("error", r.status == "killed" and "Why it was killed" or "Error", e.pre{class = "error", r.error}),
    #rows > 0 and show.section("events", "Events", show.table({{"time"}, {"level"}, {"what"}}, rows)) or nil)
end

local function children(db, uid)
  local rows = {}
  for i, c in ipairs(query(db, [[
    select c.uid, c.experiment, c.name, c.status, round((coalesce(c.ended_ms, c.heartbeat_ms) - c.started_ms) / 1000.0, 1) as seconds,
           (select group_concat(figure || ' ' || printf('%.4g', value), ', ')
            from (select f.figure, f.value from figure f where f.run_id = c.id order by f.figure limit 6)) as figures
    from run c join run p on p.id = c.parent_id where p.uid = :uid order by c.started_ms, c.id limit 300]], uid)) do
    rows[i] = {e.code{c.uid}, (c.name or c.experiment), c.status, show.seconds(c.seconds), c.figures or ""}
  end
  if #rows == 0 then return nil end
  return show.table({{"run"}, {"what"}, {"status"}, {"took", number = true}, {"figures"}}, rows)
end

local function parameters(db, uid)
  local list = {}
  for i, p in ipairs(query(db, [[select p.key, coalesce(p.txt, p.num) as value from param p join run r on r.id = p.run_id
    where r.uid = :uid order by p.key]], uid)) do
    list[i] = {p.key, p.value}
  end
  return #list > 0 and show.pairs(list, true) or nil
end

local function provenance(db, r)
  local list = {
    {"command", r.command and e.code{r.command}}, {"script", r.script}, {"folder", r.cwd},
    {"commit", r.commit_id and html.join(e.code{r.commit_id}, r.dirty == 1 and " + changes, below" or r.dirty == 0 and " (clean)" or "")},
    {"configuration", e.code{r.config_digest}}, {"host", r.host}, {"user", r.user}, {"processor", r.cpu},
    {"resumed", r.resumed > 0 and ("%d times"):format(r.resumed) or nil},
  }
  for _, d in ipairs(query(db, [[select d.role, s.name, s.n, s.digest from run_dataset d join dataset s using (digest)
    join run r on r.id = d.run_id where r.uid = :uid]], r.uid)) do
    list[#list + 1] = {d.role == "data" and "dataset" or "dataset, " .. d.role,
      html.join(d.name, d.n and (", %s images, "):format(show.number(d.n)) or ", ", e.code{d.digest})}
  end
  for _, v in ipairs(query(db, [[select e.key, e.value from env e join run r on r.id = e.run_id
    where r.uid = :uid order by e.key]], r.uid)) do
    list[#list + 1] = {v.key, v.value}
  end
  local sources = {}
  for i, s in ipairs(query(db, [[select s.kind, s.path, s.digest, b.bytes from run_source s join source b using (digest)
    join run r on r.id = s.run_id where r.uid = :uid order by s.kind = 'module', s.kind, s.path]], r.uid)) do
    sources[i] = {s.path, s.kind, show.bytes(s.bytes), e.code{s.digest}}
  end
  local diff = query(db, [[select unzstd(b.body) as text from run_source s join source b using (digest) join run r on r.id = s.run_id
    where r.uid = :uid and s.kind = 'diff']], r.uid)[1]
  local text = diff and diff.text
  if text and #text > 200000 then text = text:sub(1, 200000) .. "\n... (percept show has all of it)" end
  return html.join(show.pairs(list),
    #sources > 0 and e.details{e.summary{"Sources"}, show.table({{"path"}, {"kind"}, {"size", number = true}, {"digest"}}, sources)} or nil,
    text and e.details{e.summary{"Changes since the commit"}, e.pre{class = "long", text}} or nil)
end

local function files(db, r)
  local pictures, rows = {}, {}
  for _, a in ipairs(query(db, [[select a.kind, a.step, a.path, a.bytes, a.digest, a.complete from artifact a join run r on r.id = a.run_id
    where r.uid = :uid order by a.kind <> 'picture', a.id]], r.uid)) do
    if figures.is_picture(a.path) then
      local name = a.path:match "[^/]*$"
      local caption = name:gsub("%.%w+$", ""):gsub("[_-]+", " ") .. (a.step and (", step %d"):format(a.step) or "")
      pictures[#pictures + 1] = figures.picture(db, r.uid, a.path, caption)
    end
    rows[#rows + 1] = {a.path, a.kind, a.step and show.number(a.step) or "", show.bytes(a.bytes),
      a.digest and e.code{a.digest:sub(1, 12)} or ""}
  end
  return #pictures > 0 and e.div{class = "pictures", pictures} or nil,
    #rows > 0 and show.table({{"file"}, {"kind"}, {"step", number = true}, {"size", number = true}, {"digest"}}, rows) or nil
end

local page = {results = results}

--- The report of the run `uid`: title and body.
function page.page(db, uid)
  local r = query(db, [[
    select r.*, p.uid as parent,
           (select o.uid from run o where o.id = r.repeats_id) as repeats,
           datetime(r.started_ms / 1000, 'unixepoch', 'localtime') as started,
           (coalesce(r.ended_ms, r.heartbeat_ms) - r.started_ms) / 1000.0 as seconds,
           (select max(l.step) from metric_last l where l.run_id = r.id) as step,
           (select group_concat(t.tag, ', ') from tag t where t.run_id = r.id) as tags
    from run r left join run p on p.id = r.parent_id where r.uid = :uid]], uid)[1]
  local parts, single = figures.curves(db, uid, query(db, [[select n.name, l.n, l.last from metric_last l
    join metric_name n on n.id = l.name_id join run r on r.id = l.run_id where r.uid = :uid order by n.name]], uid))
  local pictures, rest = files(db, r)
  local samples = query(db, [[select (s.t_ms - r.started_ms) / 1000.0 as seconds, s.rss_bytes from system_sample s
    join run r on r.id = s.run_id where r.uid = :uid order by s.t_ms]], uid)
  local figures_of = query(db, [[select x.method, x.split, x.metric, x.factor, avg(x.value) as mean, stddev(x.value) as sd, count(*) as n
    from result x join run r on r.id = x.run_id where r.uid = :uid and x.method <> 'slots' and not x.method glob 'slot [0-9]*'
    group by x.method, x.split, x.metric, x.factor order by min(x.id)]], uid)
  return ("%s, %s"):format(r.name or r.experiment, uid), html.join(
    header(r),
    error_part(db, r),
    show.section("results", "Results", results(figures_of)),
    show.section("slots", "Slots", slots(db, uid)),
    show.section("pictures", "Pictures", pictures),
    show.section("curves", "Curves", #parts > 0 and html.join(unpack(parts)) or nil,
      #single > 0 and e.details{open = #parts == 0, e.summary{"Single figures"}, show.pairs(single, true)} or nil),
    show.section("children", "Child runs", children(db, uid)),
    show.section("configuration", "Configuration", parameters(db, uid)),
    show.section("provenance", "Provenance", provenance(db, r), figures.memory(samples)),
    show.section("files", "Files", rest))
end

return page
