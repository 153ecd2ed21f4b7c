--- percept sql "select ...": queries over the results, read-only unless told otherwise.
local recorder = require "percept.recorder"
local sys = require "percept.sys"

local command = {help = "query the database: percept sql [--db FILE] [--csv|--json|--markdown|--latex] [--write] SQL|@name [key=value ...]"}

local formats = {["--csv"] = "csv", ["--json"] = "json", ["--markdown"] = "markdown", ["--latex"] = "latex", ["--table"] = "table"}

local function list()
  for _, q in ipairs(recorder.queries()) do print(("@%-16s %s"):format(q.name, q.title)) end
  return 0
end

function command.main(args)
  local db, format, write, text, params = os.getenv "PERCEPT_DB" or "percept.db", "table", false, nil, {}
  local i = 1
  while i <= #args do
    local a = args[i]
    if a == "--db" then
      i = i + 1
      db = args[i] or error("--db needs a file", 0)
    elseif formats[a] then
      format = formats[a]
    elseif a == "--write" then
      write = true
    elseif a == "--list" then
      return list()
    elseif a:sub(1, 2) == "--" and not text then
      io.stderr:write(("percept sql: unknown option %s\nusage: %s\n"):format(a, command.help))
      return 2
    elseif not text then
      text = a
    else
      local key, value = a:match "^([%w_]+)=(.*)$"
      if not key then
        io.stderr:write(("percept sql: '%s' is no parameter; write key=value\n"):format(a))
        return 2
      end
      params[key] = value
    end
    i = i + 1
  end
  if not text then
    io.stderr:write("usage: ", command.help, "\nshipped queries:\n")
    list()
    return 2
  end
  local bold = format == "table" and sys.isatty(1) and not os.getenv "NO_COLOR"
  recorder.print(db, text, {format = format, write = write, params = params, bold = bold})
  return 0
end

return command
