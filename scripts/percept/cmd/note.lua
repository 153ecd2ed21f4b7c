--- percept note UID TEXT: the note of a run.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"
local records = require "percept.records"

local command = {
  help = "reads or writes the note of a run",
  usage = {"UID [TEXT ...]"},
  options = options.join({{flag = "--clear", text = "takes the note away"}}, options.db),
  examples = {{"percept note 20260131-1 learning rate too high"}},
  positional = {"uid"},
}

function command.run(opts)
  if #opts == 0 then return options.mistake("note", "of which run?") end
  local db, uid = options.path(opts), options.uid(opts, opts[1])
  if opts.clear then
    records.note(db, uid)
  elseif #opts > 1 then
    records.note(db, uid, table.concat(opts, " ", 2))
  else
    local note = recorder.query(db, "select note from run where uid = :uid", {uid = uid})[1].note
    print(note or "(no note)")
  end
  return 0
end

return command
