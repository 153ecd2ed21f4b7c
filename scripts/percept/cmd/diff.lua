--- percept diff UID UID: how two runs differ.
local options = require "percept.cli.options"
local files = require "percept.files"
local process = require "percept.process"
local recorder = require "percept.recorder"

local command = {
  help = "tells how two runs differ",
  usage = {"UID UID"},
  about = "Parameters, commit, versions, sources, data, figures: what is equal is left out. A run is named by its uid, "
    .. "the beginning of it, or its name.",
  options = options.join({
    {flag = "--source", text = "the lines in which their scripts and modules differ"},
  }, options.formats, options.db),
  examples = {{"percept diff 20260131-1 20260131-2"}, {"percept diff mine theirs --source"}},
  positional = {"uid"},
}

local function text_of(db, digest)
  local rows = recorder.query(db, "select unzstd(body) as text from source where digest = :digest", {digest = digest})
  return rows[1] and rows[1].text or ""
end

-- The program diff compares two files of a folder of their own; without it both digests are told. What it prints comes through
-- here: neither a source nor a path may steer the terminal.
local function lines_of(row, a, b, folder)
  local left, right = folder .. "/a", folder .. "/b"
  files.write(left, a.text)
  files.write(right, b.text)
  local label = options.safe(row.path)
  local text, code = process.capture{"diff", "-u", "--label", label .. " " .. a.uid, "--label", label .. " " .. b.uid, left, right}
  if text and code <= 1 then return text end
  return ("%s: %s here, %s there (there is no program diff)\n"):format(label, row.a or "none", row.b or "none")
end

local function source_diff(db, a, b)
  local rows = recorder.query(db, [[
    select p.path, p.a, p.b from (
      select s.path, max(case r.uid when :a then s.digest end) as a, max(case r.uid when :b then s.digest end) as b
      from run_source s join run r on r.id = s.run_id where r.uid in (:a, :b) and s.kind <> 'diff' group by s.kind, s.path) p
    where p.a is not p.b order by p.path]], {a = a, b = b})
  local folder = files.temporary_folder()
  local ok, why = pcall(function()
    for _, row in ipairs(rows) do
      local left = {uid = options.safe(a), text = row.a and text_of(db, row.a) or ""}
      local right = {uid = options.safe(b), text = row.b and text_of(db, row.b) or ""}
      options.print_text(lines_of(row, left, right, folder))
    end
  end)
  files.remove_folder(folder)
  if not ok then error(why, 0) end
  if #rows == 0 then print "their sources are the same" end
end

function command.run(opts)
  if #opts ~= 2 then return options.mistake("diff", "two runs are compared; %d given", #opts) end
  local a, b = options.uid(opts, opts[1]), options.uid(opts, opts[2])
  if a == b then return options.mistake("diff", "'%s' and '%s' are one run, %s", opts[1], opts[2], a) end
  if opts.source then
    source_diff(options.path(opts), a, b)
    return 0
  end
  if options.format(opts) == "table" then print(("a: %s\nb: %s"):format(a, b)) end
  options.query(opts, "@diff", {a = a, b = b})
  return 0
end

return command
