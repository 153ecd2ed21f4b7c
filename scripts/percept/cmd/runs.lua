--- percept runs: what ran, newest first; --reap closes runs whose process is gone.
local recorder = require "percept.recorder"

local command = {help = "list runs: percept runs [--db FILE] [--reap]"}

function command.main(args)
  local db, reap = os.getenv "PERCEPT_DB" or "percept.db", false
  local i = 1
  while i <= #args do
    if args[i] == "--db" then
      i = i + 1
      db = args[i] or error("--db needs a file", 0)
    elseif args[i] == "--reap" then
      reap = true
    else
      io.stderr:write("usage: ", command.help, "\n")
      return 2
    end
    i = i + 1
  end
  local stale = recorder.stale(db, {reap = reap})
  recorder.print(db, [[
    select uid, experiment, name, seed, status, datetime(started_ms / 1000, 'unixepoch') as started,
           round((coalesce(ended_ms, heartbeat_ms) - started_ms) / 1000.0, 1) as seconds,
           substr(replace(coalesce(error, ''), char(10), ' '), 1, 40) as error
    from run where not archived order by id desc limit 200]])
  for _, s in ipairs(stale) do
    print(("%s: %s (%s, pid %d, silent for %.0f s)"):format(reap and "marked killed" or "stale", s.uid, s.host, s.pid, s.silent))
  end
  if #stale > 0 and not reap then print "percept runs --reap marks them killed; percept run --resume UID goes on with one" end
  return 0
end

return command
