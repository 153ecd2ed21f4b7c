--- percept archive UID...: runs that no table shall count any more.
local options = require "percept.cli.options"
local records = require "percept.records"

local command = {
  help = "takes runs out of every list and table, or puts them back",
  usage = {"UID ..."},
  options = options.join({
    {flag = "--undo", text = "puts them back"},
    {flag = "--delete", text = "deletes them with everything that hangs on them; their files stay"},
  }, options.db),
  examples = {{"percept archive 20260131-1"}, {"percept archive --undo 20260131-1"}},
  positional = {"uid"},
}

function command.run(opts)
  if #opts == 0 then return options.mistake("archive", "which runs?") end
  if opts.undo and opts.delete then return options.mistake("archive", "--undo or --delete, not both") end
  local db, uids = options.path(opts), {}
  for i, word in ipairs(opts) do uids[i] = options.uid(opts, word) end -- all are known, or nothing is done
  for _, uid in ipairs(uids) do
    if opts.delete then records.delete(db, uid) else records.archive(db, uid, not opts.undo) end
    print(("%s %s"):format(opts.delete and "deleted" or opts.undo and "back" or "archived", uid))
  end
  return 0
end

return command
