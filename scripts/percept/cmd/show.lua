--- percept show UID: everything a run holds.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"

local command = {
  help = "shows a run: provenance, configuration, figures, files, events",
  usage = {"UID", "UID --source [PATH]"},
  about = "With --csv and the like one table: section, key, value.",
  options = options.join({
    {flag = "--source", value = "PATH", optional = "any", text = "prints the text of its script, or of one of its modules, or git.diff"},
  }, options.formats, options.db),
  examples = {{"percept show 20260131-1"}, {"percept show 20260131-1 --source > script.lua", "the script as it ran"}},
  positional = {"uid"},
}

-- section, key, value of one run, by rank
local facts = [[
with r as (select * from run where uid = :uid),
fact(rank, section, key, value) as (
  select 1, 'run', 'uid', +uid from r
  union all select 2, 'run', 'experiment', +experiment from r
  union all select 3, 'run', 'name', +name from r
  union all select 4, 'run', 'seed', +seed from r
  union all select 5, 'run', 'status', +status from r
  union all select 6, 'run', 'started', datetime(started_ms / 1000, 'unixepoch', 'localtime') from r
  union all select 7, 'run', 'ended', datetime(ended_ms / 1000, 'unixepoch', 'localtime') from r
  union all select 8, 'run', 'seconds', round((coalesce(ended_ms, heartbeat_ms) - started_ms) / 1000.0, 1) from r
  union all select 9, 'run', 'resumed', resumed || ' times' from r where resumed > 0
  union all select 10, 'run', 'sweep', +sweep from r
  union all select 11, 'run', 'parent', (select p.uid from run p where p.id = r.parent_id) from r
  union all select 12, 'run', 'repeats', (select p.uid from run p where p.id = r.repeats_id) from r
  union all select 13, 'run', 'children', (select group_concat(c.uid, ' ') from run c where c.parent_id = r.id) from r
  union all select 14, 'run', 'tags', (select group_concat(t.tag, ' ') from tag t where t.run_id = r.id) from r
  union all select 15, 'run', 'note', +note from r
  union all select 16, 'run', 'archived', 'yes' from r where archived
  union all select 20, 'provenance', 'command', +command from r
  union all select 21, 'provenance', 'script', +script from r
  union all select 22, 'provenance', 'folder', +cwd from r
  union all select 23, 'provenance', 'commit', commit_id || case dirty when 1 then ' + changes' else '' end from r
  union all select 24, 'provenance', 'host', host || ', process ' || pid from r
  union all select 25, 'provenance', 'user', nullif(user, '') from r
  union all select 26, 'provenance', 'cpu', +cpu from r
  union all select 27, 'provenance', 'threads', +threads from r
  union all select 28, 'provenance', 'peak memory', round(peak_rss_bytes / 1048576.0) || ' MiB' from r
  union all select 29, 'provenance', 'configuration', +config_digest from r
  union all select 30, 'provenance', e.key, +e.value from r join env e on e.run_id = r.id
  union all select 31, 'data', d.role, s.name || ', ' || ifnull(s.n || ' images, ', '') || d.digest || ifnull(' ' || s.path, '')
            from r join run_dataset d on d.run_id = r.id join dataset s using (digest)
  union all select 32, 'sources', s.path, s.kind || ' ' || s.digest from r join run_source s on s.run_id = r.id
  union all select 40, 'parameters', p.key, coalesce(p.txt, p.num) from r join param p on p.run_id = r.id
  union all select 50, 'metrics', n.name, case when l.last is null then 'NaN' else printf('%.6g', l.last) end
              || printf(' at step %d', l.step)
              || case when l.min is null then '' else printf(' (min %.6g, max %.6g)', l.min, l.max) end || printf(', %d rows', l.n)
            from r join metric_last l on l.run_id = r.id join metric_name n on n.id = l.name_id
  union all select 55, 'slots', '', json_extract(x.extra_json, '$.line')
            from r join result x on x.run_id = r.id where x.method = 'slots' and x.metric = 'good'
  union all select 60, 'results', x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end,
            +x.value from r join result x on x.run_id = r.id
  union all select 70, 'files', a.path, a.kind || ifnull(', step ' || a.step, '') || ', ' || a.bytes || ' bytes'
            from r join artifact a on a.run_id = r.id
  union all select 80, 'events', datetime(e.t_ms / 1000, 'unixepoch', 'localtime') || ' ' || e.level, e.text
            from r join event e on e.run_id = r.id
  union all select 90, 'error', '', +error from r
)
select section, key, value from fact where value is not null order by rank, key]]

local function print_source(db, uid, path)
  local rows = recorder.query(db, [[select s.path, s.kind, unzstd(b.body) as text from run_source s join run r on r.id = s.run_id
    join source b using (digest) where r.uid = :uid and (:path = '' and s.kind = 'script' or s.path = :path
      or substr(s.path, -length(:path) - 1) = '/' || :path)]], {uid = uid, path = path or ""})
  if #rows == 0 then
    error(path and ("show: %s has no source %s; percept show %s lists them"):format(uid, path, uid)
      or ("show: of %s no script is recorded"):format(uid), 0)
  end
  options.print_text(rows[1].text)
end

local function value_text(v)
  if type(v) ~= "number" then return v end
  return v == math.floor(v) and math.abs(v) < 1e15 and ("%d"):format(v) or ("%.6g"):format(v)
end

local safe = options.safe

function command.run(opts)
  if #opts ~= 1 then return options.mistake("show", #opts == 0 and "which run?" or "one run at a time") end
  local db, uid = options.path(opts), options.uid(opts, opts[1])
  if opts.source then
    print_source(db, uid, opts.source ~= true and opts.source or nil)
    return 0
  end
  if options.format(opts) ~= "table" then
    options.query(opts, facts, {uid = uid})
    return 0
  end
  local bold, plain = "", ""
  if options.colour(opts) then bold, plain = "\27[1m", "\27[0m" end
  local rows, width, section = recorder.query(db, facts, {uid = uid}), {}, nil
  for _, r in ipairs(rows) do width[r.section] = math.max(width[r.section] or 0, math.min(#r.key, 48)) end
  for _, r in ipairs(rows) do
    if r.section ~= section then
      print((section and "\n" or "") .. bold .. r.section .. plain)
      section = r.section
    end
    local text = safe(value_text(r.value)):gsub("\n", "\n    ")
    print(r.key == "" and "  " .. text or ("  %-" .. width[section] .. "s  %s"):format(safe(r.key), text))
  end
  return 0
end

return command
