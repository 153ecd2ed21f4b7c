--- percept merge FILE...: the runs of other databases into this one.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"

local command = {
  help = "brings the runs of other databases into one",
  usage = {"FILE ..."},
  about = "Runs are told apart by their uid: one that is there already is replaced if the other file's is fresher, else "
    .. "left alone. Merging twice changes nothing.",
  options = options.join({
    {flag = "--experiment", value = "NAME", text = "runs of one experiment alone"},
    {flag = "--thin", value = "N", kind = "int(2..)", text = "at most N rows of each curve, evenly spaced"},
  }, options.db),
  examples = {{"percept merge --db all.db node1.db node2.db", "what two machines recorded"}},
  positional = {"file"},
}

function command.run(opts)
  if #opts == 0 then return options.mistake("merge", "which files?") end
  for _, from in ipairs(opts) do
    local added, replaced, same = recorder.merge(options.path(opts), from, {thin = opts.thin or 0, experiment = opts.experiment})
    print(("%s: %d added, %d replaced, %d as they were"):format(from, added, replaced, same))
  end
  return 0
end

return command
