--- options: the command line of a command, from its declaration.
-- One table says what a command takes; parsing, `percept help`, the man page and the completions read it.
--
--   return {
--     help = "one line",
--     usage = "SCRIPT [ARGS]",                  -- what stands besides options; a list for several forms
--     about = "further paragraphs",             -- optional
--     options = {
--       {flag = "--set", value = "KEY=VALUE", many = true, text = "overrides a default"},
--       {flag = "--jobs", short = "-j", value = "N", kind = "int(1..)", default = 1, text = "..."},
--                                               -- kinds: those of signatures (int(1..), num(0..1), str(a|b), str(any) ...: base/declared),
--                                               -- file, script, uid (completed). Without one: a text that is not empty.
--       {flag = "--reap", text = "..."},        -- no value: a switch
--     },
--     examples = {{"percept run x.lua --seed 2", "what it is good for"}},
--     positional = {"uid"},                     -- kinds of the words, for completion
--     hidden = {...},                           -- options that the program gives itself
--     pass = true,                              -- unknown options behind the first word belong to the script
--     run = function(opts) ... return exit code end,
--   }
-- opts: opts.set = {...} (many), opts.jobs = 4, opts.reap = true, words at opts[1], opts[2], ...
local commands = require "percept.cli.commands"
local declared = require "percept.base.declared"
local percept = require "percept"
local recorder = require "percept.recorder"
local records = require "percept.records"
local sys = require "percept.sys"

local options = {}

local largest = 2 ^ 53 - 1 -- up to here every whole number is a double of its own

--- Options that many commands share.
options.db = {flag = "--db", value = "FILE", kind = "file", text = "the database; else $PERCEPT_DB, else percept.db"}
options.formats = {
  {flag = "--csv", text = "as CSV (RFC 4180), numbers in full precision"},
  {flag = "--json", text = "as JSON, one object a row"},
  {flag = "--markdown", text = "as a Markdown table"},
  {flag = "--latex", text = "as a LaTeX tabular (booktabs)"},
}

--- A declaration's options and others, as one list.
function options.join(...)
  local out = {}
  for _, list in ipairs{...} do
    if list.flag then list = {list} end
    for _, o in ipairs(list) do out[#out + 1] = o end
  end
  return out
end

--- The key under which an option's value is found: --random-n is random_n.
function options.key(option)
  return (option.flag:gsub("^%-+", ""):gsub("%-", "_"))
end

--- Lines of usage: "percept run [OPTIONS] SCRIPT [ARGS]".
function options.usage(name, command)
  local forms = type(command.usage) == "table" and command.usage or {command.usage or ""}
  local lines = {}
  for _, form in ipairs(forms) do
    local taken = command.options and #command.options > 0 and " [OPTIONS]" or ""
    lines[#lines + 1] = ("percept %s%s%s"):format(name, taken, form ~= "" and " " .. form or "")
  end
  return lines
end

--- "-j, --jobs N" as it is written in help.
function options.spelled(option)
  local flag = option.short and option.short .. ", " .. option.flag or option.flag
  if not option.value then return flag end
  return flag .. " " .. (option.optional and "[" .. option.value .. "]" or option.value)
end

local function fold(text, width, indent, out)
  for paragraph in (text .. "\n"):gmatch "([^\n]*)\n" do
    local line = ""
    for word in paragraph:gmatch "%S+" do
      if line ~= "" and #line + 1 + #word > width then
        out[#out + 1] = indent .. line
        line = word
      else
        line = line == "" and word or line .. " " .. word
      end
    end
    out[#out + 1] = line == "" and "" or indent .. line
  end
end

--- The help text of a command.
function options.help(name, command)
  local out = {("percept %s: %s"):format(name, command.help or ""), ""}
  for i, line in ipairs(options.usage(name, command)) do out[#out + 1] = (i == 1 and "usage: " or "       ") .. line end
  if command.about then
    out[#out + 1] = ""
    fold(command.about, 98, "", out)
  end
  if command.options and #command.options > 0 then
    local width = 0
    for _, o in ipairs(command.options) do width = math.max(width, #options.spelled(o)) end
    width = math.min(width, 26)
    out[#out + 1] = ""
    out[#out + 1] = "options:"
    for _, o in ipairs(command.options) do
      local lines, spelled = {}, options.spelled(o)
      fold(options.text(o), 92 - width, "", lines)
      out[#out + 1] = #spelled <= width and ("  %-" .. width .. "s  %s"):format(spelled, lines[1]) or "  " .. spelled
      for i = #spelled <= width and 2 or 1, #lines do out[#out + 1] = (" "):rep(width + 4) .. lines[i] end
    end
  end
  if command.examples then
    out[#out + 1] = ""
    out[#out + 1] = "examples:"
    for _, e in ipairs(command.examples) do
      out[#out + 1] = "  " .. e[1]
      if e[2] then out[#out + 1] = "      " .. e[2] end
    end
  end
  return table.concat(out, "\n")
end

--- A mistake in the words of a command: says it and how the command is used; returns 2, the exit code.
function options.mistake(name, text, ...)
  local command = commands.get(name)
  if select("#", ...) > 0 then text = text:format(...) end
  io.stderr:write(("percept %s: %s\n"):format(name, text))
  for i, line in ipairs(options.usage(name, command)) do
    io.stderr:write(i == 1 and "usage: " or "       ", line, "\n")
  end
  io.stderr:write(("try: percept help %s\n"):format(name))
  return 2
end

local completed = {file = true, script = true, uid = true} -- kinds that say how a word is completed: texts

-- The word as a value of the option's kind; nil and what is wrong.
local function convert(option, word)
  local kind, value = option.kind or "str", word
  if completed[kind] then kind = "str" end
  if kind:match "^int" or kind:match "^num" then
    value = tonumber(word)
    local whole = kind:match "^int"
    if not value or word:find "[xX]" or whole and value ~= math.floor(value) then
      return nil, ("%s needs a %snumber, not '%s'"):format(option.flag, whole and "whole " or "", word)
    end
    if whole and math.abs(value) >= 2 ^ 53 and value == value and math.abs(value) ~= math.huge then
      return nil, ("%s: %s is beyond 2^53, up to where numbers are exact"):format(option.flag, word)
    end
  end
  local ok, why = pcall(declared.value, "", option.flag, kind, value)
  if ok then return value end
  local wanted, near = why:match "expected (.-), got ", why:match "; did you mean .*$"
  return nil, ("%s needs %s, not '%s'%s"):format(option.flag, wanted or "another value", word, near or "")
end

local function find(command, flag)
  for _, list in ipairs{command.options or {}, command.hidden or {}} do
    for _, o in ipairs(list) do
      if o.flag == flag or o.short == flag then return o end
    end
  end
end

local function unknown(command, flag)
  local flags = {"--help"}
  for _, o in ipairs(command.options or {}) do flags[#flags + 1] = o.flag end
  local near = percept.nearest(flag, flags)
  return ("unknown option %s%s"):format(flag, near and "; did you mean " .. near .. "?" or "")
end

-- Of two values that are given one would be dropped: nil and what is wrong.
local function store(opts, option, value)
  local key = options.key(option)
  if option.many then
    opts[key] = opts[key] or {}
    table.insert(opts[key], value)
  elseif opts[key] ~= nil and opts[key] ~= value then
    return nil, ("%s is given twice: %s and %s"):format(option.flag, tostring(opts[key]), tostring(value))
  else
    opts[key] = value
  end
  return true
end

-- Is the next word the option's value? One that may be left out is not an option, nor, unless it may be anything, a script.
local function follows(option, word)
  if not word or not option.optional then return word ~= nil end
  return not word:match "^%-" and (option.optional == "any" or not word:match "%.lua$")
end

--- Words to options; nil and what is wrong when they do not fit. With command.pass unknown options behind the first
-- word are words, too: they are the script's.
function options.parse(command, args)
  local opts, i, only_words = {}, 1, false
  while i <= #args do
    local word = args[i]
    local flag, given = word:match "^(%-%-[^=]+)=(.*)$"
    if not flag and word:match "^%-%a%d+$" then flag, given = word:match "^(%-%a)(%d+)$" end -- -j4
    flag = flag or word
    local option = not only_words and word:sub(1, 1) == "-" and word ~= "-" and find(command, flag)
    if only_words or word == "-" or word:sub(1, 1) ~= "-" then
      opts[#opts + 1] = word
    elseif word == "--" then
      only_words = true
    elseif option then
      local value = true
      if option.value then
        value = given
        if value == nil and follows(option, args[i + 1]) then
          i = i + 1
          value = args[i]
        end
        if value == nil and option.optional then value = true end
        if value == nil then return nil, ("%s needs a value: %s"):format(option.flag, options.spelled(option)) end
        if value ~= true then
          local why
          value, why = convert(option, value)
          if value == nil then return nil, why end
        end
      elseif given then
        return nil, ("%s takes no value"):format(option.flag)
      end
      local ok, twice = store(opts, option, value)
      if not ok then return nil, twice end
    elseif command.pass and #opts > 0 then
      opts[#opts + 1] = word
    elseif word:match "^%-%d" then -- a negative number
      opts[#opts + 1] = word
    else
      return nil, unknown(command, flag)
    end
    i = i + 1
  end
  for _, o in ipairs(command.options or {}) do
    if o.default ~= nil and opts[options.key(o)] == nil then opts[options.key(o)] = o.default end
  end
  return opts
end

--- What help says of an option: its text and its default.
function options.text(option)
  return (option.text or "") .. (option.default ~= nil and "; " .. tostring(option.default) or "")
end

--- Runs a command with these words; returns the exit code.
function options.run(name, command, args)
  for _, word in ipairs(args) do
    if word == "--" or (command.pass and not word:match "^%-") then break end
    if word == "--help" or word == "-h" then
      print(options.help(name, command))
      return 0
    end
  end
  local opts, why = options.parse(command, args)
  if not opts then return options.mistake(name, "%s", why) end
  opts.words = args
  return command.run(opts)
end

options.most = 100000 -- values that a range, a list of seeds or a grid may have

--- The whole numbers from..to by step, given as text: a list; nil and what is wrong. An empty range is an empty list.
function options.range(from, to, step)
  local a, b, by = tonumber(from), tonumber(to), tonumber(step or 1)
  for _, n in ipairs{a, b, by} do
    if math.abs(n) > largest then return nil, ("whole numbers up to 2^53 - 1 are known, %.17g is larger"):format(n) end
  end
  if by < 1 then return nil, "the step must be larger than 0" end
  local count = math.floor((b - a) / by) + 1
  if count > options.most then return nil, ("%.17g values; at most %d are allowed"):format(count, options.most) end
  local list = {}
  for i = 1, count do list[i] = a + (i - 1) * by end
  return list
end

--- Seeds of a text: "1..5", "1,4,7", or both mixed; nil and what is wrong with it.
function options.seeds(text)
  local seeds, seen = {}, {}
  local function add(n)
    if not seen[n] then seeds[#seeds + 1] = n end
    seen[n] = true
  end
  for part in (text .. ","):gmatch "([^,]*)," do
    local from, to = part:match "^%s*(%d+)%.%.(%d+)%s*$"
    if not from then from = part:match "^%s*(%-?%d+)%s*$" end
    if not from then return nil, ("--seeds needs A..B or a list, as in 1..3 or 1,5,9; not '%s'"):format(text) end
    local range, why = options.range(from, to or from)
    if not range then return nil, ("--seeds %s: %s"):format(text, why) end
    for _, n in ipairs(range) do add(n) end
  end
  if #seeds == 0 then return nil, ("--seeds %s: the first is larger than the last"):format(text) end
  return seeds
end

--- {"key=value", ...} as {key = value}; nil and what is wrong. Of a key given twice the last counts, as in every shell script that
-- puts a user's words behind its own.
function options.settings(list)
  local set = {}
  for _, text in ipairs(list or {}) do
    local key, value = text:match "^([^=]+)=(.*)$"
    if not key then return nil, ("--set needs key=value, not '%s'"):format(text) end
    set[key] = value
  end
  return set
end

--- The words behind the first, {"key=value", ...}, as parameters of a query: numbers as numbers; nil and what is wrong.
function options.parameters(words)
  local params, given = {}, {}
  for i = 2, #words do
    local key, value = words[i]:match "^([%a_][%w_]*)=(.*)$"
    if not key then return nil, ("'%s' is no parameter; write key=value"):format(words[i]) end
    if given[key] and given[key] ~= value then return nil, ("%s is given twice: %s and %s"):format(key, given[key], value) end
    given[key], params[key] = value, recorder.parameter(value)
  end
  return params
end

--- Words as a shell would have them back.
function options.shell(words)
  local out = {}
  for i, w in ipairs(words) do out[i] = w:match "^[%w_@%%+=:,./-]+$" and w or "'" .. w:gsub("'", "'\\''") .. "'" end
  return table.concat(out, " ")
end

--- An error's words without the place in the workbench it was raised at.
function options.reason(why) return (tostring(why):gsub("^[^%s:]+:%d+: ", "")) end

--- A recorded text as it may go to a terminal: what would steer it is spelled out, \x1b or \u202e; lines stay.
function options.safe(text) return records.shown(text, true) end

--- Prints a recorded text: as it is into a file or a pipe, safe on a terminal.
function options.print_text(text) io.write(sys.isatty(1) and options.safe(text) or text) end

--- The database a command is about.
function options.path(opts) return opts.db or os.getenv "PERCEPT_DB" or "percept.db" end

--- Full uid of the run a word means.
function options.uid(opts, word) return recorder.find(options.path(opts), word) end

--- The format the words ask for.
function options.format(opts)
  for _, name in ipairs{"csv", "json", "markdown", "latex"} do
    if opts[name] then return name end
  end
  return "table"
end

--- May this output be coloured? A terminal alone is, and not where NO_COLOR is set.
function options.colour(opts)
  local no = os.getenv "NO_COLOR"
  return options.format(opts or {}) == "table" and sys.isatty(1) and (no == nil or no == "") and os.getenv "TERM" ~= "dumb"
end

--- Prints a query as the words ask.
function options.query(opts, sql, params)
  recorder.print(options.path(opts), sql, {format = options.format(opts), params = params, bold = options.colour(opts)})
end

--- Prints lists of values as the words ask.
function options.table(opts, names, rows)
  records.table(names, rows, {format = options.format(opts), bold = options.colour(opts)})
end

return options
