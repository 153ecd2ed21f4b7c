--- percept compare: configurations and methods beside each other, mean ± sd (n) over seeds.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"
local summary = require "percept.cli.summary"

local command = {
  help = "compares configurations or methods over seeds",
  usage = {"[FIGURE ...]", "--paired A,B [FIGURE]"},
  about = "A FIGURE is a metric (its last value) or a result as method/split/metric[/factor]; without one, the results. Rows "
    .. "are the values of the parameters --by names, or of all that differ. With --csv and --json mean, sd and n are columns.\n"
    .. "--paired takes two methods, or with --key two values of a parameter, and compares them seed by seed; FIGURE is then "
    .. "a metric of the results (accuracy), with --key any figure.",
  options = options.join({
    {flag = "--by", value = "LIST", text = "parameters, separated by commas"},
    {flag = "--experiment", value = "NAME", text = "runs of one experiment"},
    {flag = "--sweep", value = "NAME", text = "runs of one sweep"},
    {flag = "--paired", value = "A,B", text = "two alternatives, seed by seed"},
    {flag = "--key", value = "PARAM", text = "with --paired: the alternatives are values of this parameter"},
    {flag = "--split", value = "NAME", text = "with --paired: the split; ood"},
  }, options.formats, options.db),
  examples = {
    {"percept compare --by model.hidden encoder/ood/accuracy"},
    {"percept compare --by vae.attempts slots/id/good", "the share of runs whose factors each have a slot of their own"},
    {"percept compare --sweep quickstart-1a2b3c4d --latex"},
    {"percept compare --paired search,encoder accuracy", "is search better, seed by seed?"},
  },
}

local function list(text)
  local out = {}
  for word in (text or ""):gmatch "[^,]+" do out[#out + 1] = word end
  return out
end

local function check_keys(db, keys)
  local known = {}
  for i, row in ipairs(recorder.query(db, "select distinct key from param order by key")) do known[i] = row.key end
  local set = {}
  for _, key in ipairs(known) do set[key] = true end
  for _, key in ipairs(keys) do
    if not set[key] then
      local near = require("percept").nearest(key, known)
      error(("compare: no run has a parameter '%s'%s"):format(key, near and "; did you mean " .. near .. "?" or ""), 0)
    end
  end
end

function command.run(opts)
  local db = options.path(opts)
  if opts.paired then
    local pair = list(opts.paired)
    if #pair ~= 2 then return options.mistake("compare", "--paired needs two, as in search,encoder; not '%s'", opts.paired) end
    if opts.key then check_keys(db, {opts.key}) end
    if opts.key and not opts[1] then return options.mistake("compare", "--paired with --key needs a figure") end
    options.query(opts, "@paired", {
      a = pair[1], b = pair[2], metric = opts[1] or "accuracy", split = not opts.key and opts.split or nil, key = opts.key,
      experiment = opts.experiment,
    })
    return 0
  end
  local by = opts.by and list(opts.by) or nil
  if by then check_keys(db, by) end
  local figures = {}
  for i, word in ipairs(opts) do figures[i] = word end
  if not summary.print(opts, {experiment = opts.experiment, sweep = opts.sweep, by = by, figures = figures}) then
    error("compare: no run that is done has such figures; percept runs lists runs, percept show UID its figures", 0)
  end
  return 0
end

return command
