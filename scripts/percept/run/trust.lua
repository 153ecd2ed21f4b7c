--- trust: what is recorded is code. A run's script is run only where it was made, unless the user says so.
local files = require "percept.files"
local process = require "percept.process"

local trust = {}

local function show(text) return (tostring(text):gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end)) end

--- Why a run is not one of ours: it was recorded on another machine, by another user, or its database is another user's. nil when it is.
function trust.stranger(db, row)
  local st, host, user = files.stat(db), process.hostname(), process.user()
  if st and not st.mine then return ("%s belongs to another user"):format(db) end
  if row.host ~= host then return ("it was recorded on %s, this is %s"):format(show(row.host), host) end
  if (row.user or "") ~= user then return ("it was recorded by %s, you are %s"):format(show(row.user or "an unknown user"), user) end
end

--- Raises an error that says what would be run, unless the run is ours or the user trusts it. row: {uid, host, user, script, command}.
-- how: what the user writes to say so.
function trust.check(what, db, row, trusted, how)
  local why = not trusted and trust.stranger(db, row)
  if not why then return end
  error(("%s: %s of %s would run the script %s%s, but %s. Read it first: percept show %s --source --db %s; if you trust it: %s"):format(
    what, show(row.uid), db, show(row.script or "recorded there"), row.command and (" (" .. show(row.command) .. ")") or "", why,
    show(row.uid), db, how), 0)
end

return trust
