--- percept tag UID TAG...: tags of a run.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"
local records = require "percept.records"

local command = {
  help = "tags a run, or takes tags away",
  usage = {"UID TAG ...", "UID"},
  about = "With the run alone: its tags.",
  options = options.join({{flag = "--remove", text = "takes the tags away"}}, options.db),
  examples = {{"percept tag 20260131-1 best paper"}, {"percept runs --tag paper"}},
  positional = {"uid"},
}

function command.run(opts)
  if #opts == 0 then return options.mistake("tag", "which run?") end
  local db, uid = options.path(opts), options.uid(opts, opts[1])
  for i = 2, #opts do records.tag(db, uid, opts[i], not opts.remove) end
  local rows = recorder.query(db, "select group_concat(t.tag, ' ') as tags from tag t join run r on r.id = t.run_id where r.uid = :uid",
    {uid = uid})
  print(("%s: %s"):format(uid, rows[1].tags or "no tags"))
  return 0
end

return command
