--- manual: the manual page and the completions, from the declarations of the commands.
local commands = require "percept.cli.commands"
local options = require "percept.cli.options"
local percept = require "percept"

local manual = {}

--- Variables of the environment that the program reads.
manual.environment = {
  {"PERCEPT_DB", "the database, where --db is not given; else percept.db"},
  {"PERCEPT_TIER", "which kernels to use: ref, base, avx2, avx512; else the best the processor has"},
  {"PERCEPT_CACHE", "where decoded images are kept; else below $XDG_CACHE_HOME"},
  {"PERCEPT_JOURNAL", "wal or delete: SQLite's journal; else WAL, and a rollback journal on network file systems"},
  {"PERCEPT_PATH", "a folder of Lua modules that go before those in the program"},
  {"PERCEPT_TRACE", "1: tracebacks with every frame"},
  {"OMP_NUM_THREADS", "threads of kernels and BLAS; else the number of processors"},
  {"NO_COLOR", "set and not empty: no colours on a terminal, either"},
}

--- Exit codes of every command.
manual.exits = {
  {"0", "it did what was asked"},
  {"1", "an error; the message says what and what to do. sweep: some cells are not done. repro: figures differ"},
  {"2", "the words of the command do not fit: nothing was done"},
  {"130", "interrupted (Ctrl-C): checkpoint written, run marked killed"},
  {"143", "terminated (SIGTERM): likewise"},
}

local function escape(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (text:gsub("^([.'])", "\\&%1"):gsub("\n([.'])", "\n\\&%1"))
end

local function tagged(out, tag, text)
  out[#out + 1] = ".TP"
  out[#out + 1] = "\\fB" .. escape(tag) .. "\\fR"
  if text ~= "" then out[#out + 1] = escape(text) end
end

local function command_section(out, name, command)
  out[#out + 1] = ".SS percept " .. escape(name)
  out[#out + 1] = escape((command.help or ""):gsub("^%l", string.upper)) .. "."
  for _, line in ipairs(options.usage(name, command)) do
    out[#out + 1] = ".PP"
    out[#out + 1] = "\\fB" .. escape(line) .. "\\fR"
  end
  if command.about then
    for paragraph in (command.about .. "\n"):gmatch "([^\n]+)\n" do
      out[#out + 1] = ".PP"
      out[#out + 1] = escape(paragraph)
    end
  end
  for _, o in ipairs(command.options or {}) do tagged(out, options.spelled(o), options.text(o)) end
  if command.examples then
    out[#out + 1] = ".PP"
    out[#out + 1] = "Examples:"
    for _, e in ipairs(command.examples) do tagged(out, e[1], e[2] or "") end
  end
end

--- percept.1, as roff.
function manual.page()
  local out = {
    ('.TH PERCEPT 1 "" "percept %s" "User commands"'):format(percept.version),
    ".SH NAME", "percept \\- generative perception, measured",
    ".SH SYNOPSIS", ".B percept", ".br",
    ".B percept \\fIFILE.lua\\fR [\\fIARGS\\fR]", ".br",
    ".B percept \\-e \\fICODE\\fR [\\fIARGS\\fR]", ".br",
    ".B percept \\-i \\fIFILE.lua\\fR [\\fIARGS\\fR]", ".br",
    ".B percept \\fICOMMAND\\fR [\\fIARGS\\fR]",
    ".SH DESCRIPTION",
    "Must a machine be able to generate in order to perceive? Percept trains decoders of images, inverts them, and",
    "records what came out. Without words it is a prompt for Lua; a file is run as a script; commands run studies",
    "and ask the database in which every number lands.",
    ".SH COMMANDS",
  }
  for _, name in ipairs(commands.names()) do command_section(out, name, commands.get(name)) end
  out[#out + 1] = ".SH EXIT STATUS"
  for _, e in ipairs(manual.exits) do tagged(out, e[1], e[2]) end
  out[#out + 1] = ".SH ENVIRONMENT"
  for _, e in ipairs(manual.environment) do tagged(out, e[1], e[2]) end
  out[#out + 1] = ".SH FILES"
  tagged(out, "percept.db", "the database; plain SQLite, read by every viewer")
  tagged(out, "percept.runs/UID/", "checkpoints and pictures of a run; percept.runs/sweeps/: what the runs of sweeps printed")
  tagged(out, "~/.config/percept/init.lua", "runs when the prompt starts")
  return table.concat(out, "\n") .. "\n"
end

-- ---- completions ----

local function flags_of(command)
  local flags = {"--help"}
  for _, o in ipairs(command.options or {}) do
    if o.short then flags[#flags + 1] = o.short end
    flags[#flags + 1] = o.flag
  end
  return flags
end

local kinds = { -- how a kind of word is completed in bash
  file = "COMPREPLY=($(compgen -f -- \"$cur\"))",
  script = "COMPREPLY=($(compgen -f -X '!*.lua' -- \"$cur\") $(compgen -d -S / -- \"$cur\"))",
  uid = "COMPREPLY=($(compgen -W \"$(percept runs --uids ${db:+--db \"$db\"} 2>/dev/null)\" -- \"$cur\"))",
  command = "COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))",
  query = "COMPREPLY=($(compgen -W \"$(percept sql --names 2>/dev/null)\" -- \"$cur\"))",
}

local function bash()
  local names = commands.names()
  local out = {
    "# completions of percept for bash: percept help --completion bash",
    "_percept() {",
    "  local cur prev command db i commands",
    "  cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} db=",
    "  commands='" .. table.concat(names, " ") .. "'",
    "  for ((i = 2; i < COMP_CWORD; i++)); do [ \"${COMP_WORDS[i]}\" = --db ] && db=${COMP_WORDS[i+1]}; done",
    "  COMPREPLY=()",
    "  if [ \"$COMP_CWORD\" -eq 1 ]; then",
    "    case $cur in",
    "      -*) COMPREPLY=($(compgen -W '-e -i --version --help' -- \"$cur\")) ;;",
    "      *) COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\") $(compgen -f -X '!*.lua' -- \"$cur\") $(compgen -d -S / -- \"$cur\")) ;;",
    "    esac",
    "    return",
    "  fi",
    "  case $command in",
  }
  for _, name in ipairs(names) do
    local command = commands.get(name)
    out[#out + 1] = ("    %s)"):format(name)
    local cases = {}
    for _, o in ipairs(command.options or {}) do
      if o.value and kinds[o.kind] then
        cases[#cases + 1] = ("%s%s) %s; return ;;"):format(o.short and o.short .. "|" or "", o.flag, kinds[o.kind])
      end
    end
    if #cases > 0 then
      out[#out + 1] = "      case $prev in"
      for _, c in ipairs(cases) do out[#out + 1] = "        " .. c end
      out[#out + 1] = "      esac"
    end
    out[#out + 1] = ("      case $cur in -*) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;; esac"):format(
      table.concat(flags_of(command), " "))
    out[#out + 1] = "      " .. (kinds[(command.positional or {})[1]] or kinds.file) .. " ;;"
  end
  out[#out + 1] = "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;"
  out[#out + 1] = "  esac"
  out[#out + 1] = "}"
  out[#out + 1] = "complete -o filenames -F _percept percept"
  return table.concat(out, "\n") .. "\n"
end

local function quoted(text) return (text:gsub("'", "'\\''"):gsub("[%[%]:]", "\\%0")) end

local function zsh()
  local value = {file = "_files", script = "_files -g \"*.lua\"", uid = "_percept_uids", command = "_percept_commands",
    query = "_percept_queries"}
  local out = {
    "#compdef percept", "# completions of percept for zsh: percept help --completion zsh",
    "_percept_uids() { compadd -- ${(f)\"$(percept runs --uids 2>/dev/null)\"} }",
    "_percept_queries() { compadd -- ${(f)\"$(percept sql --names 2>/dev/null)\"} }",
    "_percept_commands() {", "  local -a commands", "  commands=(",
  }
  for _, name in ipairs(commands.names()) do
    out[#out + 1] = ("    '%s:%s'"):format(name, quoted(commands.get(name).help or ""))
  end
  out[#out + 1] = "  )"
  out[#out + 1] = "  _describe command commands"
  out[#out + 1] = "}"
  out[#out + 1] = "_percept() {"
  out[#out + 1] = "  if (( CURRENT == 2 )); then _percept_commands; _files -g \"*.lua\"; return; fi"
  out[#out + 1] = "  local command=$words[2]"
  out[#out + 1] = "  shift words; (( CURRENT-- ))"
  out[#out + 1] = "  case $command in"
  for _, name in ipairs(commands.names()) do
    local command = commands.get(name)
    local specs = {}
    for _, o in ipairs(command.options or {}) do
      specs[#specs + 1] = ("'%s%s[%s]%s'"):format(o.many and "*" or "", o.flag, quoted(options.text(o)),
        o.value and (":%s:%s"):format(quoted(o.value), value[o.kind] or "") or "")
    end
    specs[#specs + 1] = ("'*: :%s'"):format(value[(command.positional or {})[1]] or "_files")
    out[#out + 1] = ("    %s) _arguments %s ;;"):format(name, table.concat(specs, " "))
  end
  out[#out + 1] = "    *) _files ;;"
  out[#out + 1] = "  esac"
  out[#out + 1] = "}"
  out[#out + 1] = "compdef _percept percept"
  return table.concat(out, "\n") .. "\n"
end

--- Completions for a shell; nil and why for another one than bash and zsh.
function manual.completion(shell)
  if shell == "bash" then return bash() end
  if shell == "zsh" then return zsh() end
  return nil, ("there are completions for bash and zsh, not for '%s'"):format(shell)
end

return manual
