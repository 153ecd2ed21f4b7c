--- percept sql "select ...": queries over the results, read-only unless told otherwise.
local options = require "percept.cli.options"
local recorder = require "percept.recorder"

local command = {
  help = "asks the database in SQL",
  usage = {"SQL [NAME=VALUE ...]", "@QUERY [NAME=VALUE ...]", "--list"},
  about = "Reads alone unless --write is given. :name in the SQL is a parameter, given as name=value. @QUERY is one of "
    .. "the shipped queries; --list tells them, and percept sql @QUERY without what it requires tells its parameters. "
    .. "Besides SQLite's functions there are stddev, median, quantile(x, q), digest and unzstd. SQL may be - to read it "
    .. "from standard input.",
  options = options.join({
    {flag = "--list", text = "the shipped queries"},
    {flag = "--write", text = "statements may change the database"},
  }, options.formats, options.db),
  hidden = {{flag = "--names"}, {flag = "--table"}},
  examples = {
    {"percept sql \"select method, split, value from result where metric = 'accuracy'\""},
    {"percept sql @seeds metric=encoder/ood/accuracy a=model.width", "mean, sd, n over seeds by a parameter"},
    {"percept sql @paper --latex > table.tex", "the paper's table"},
    {"percept sql @slots good=0", "runs whose slots came out badly"},
  },
  positional = {"query"},
}

local function list()
  for _, q in ipairs(recorder.queries()) do print(("@%-16s %s"):format(q.name, q.title)) end
  return 0
end

function command.run(opts)
  if opts.list then return list() end
  if opts.names then
    for _, q in ipairs(recorder.queries()) do print("@" .. q.name) end
    return 0
  end
  local text, params, why = opts[1], options.parameters(opts)
  if not params then return options.mistake("sql", "%s", why) end
  if not text then
    local code = options.mistake("sql", "which query?")
    io.stderr:write "shipped queries:\n"
    for _, q in ipairs(recorder.queries()) do io.stderr:write(("  @%-16s %s\n"):format(q.name, q.title)) end
    return code
  end
  if text == "-" then text = io.read "*a" end
  recorder.print(options.path(opts), text, {
    format = options.format(opts), write = opts.write or false, params = params, bold = options.colour(opts),
    raw = text:sub(1, 1) ~= "@", -- our own queries expect our own tables
  })
  return 0
end

return command
