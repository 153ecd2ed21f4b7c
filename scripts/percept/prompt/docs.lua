--- docs: a page for every Lua module, from the declared argument tables and the comments of the sources.
-- docs.page("percept.inverter") is text in the manner of a man page; docs.write(folder) makes Markdown of all.
local percept = require "percept"
local examples = require "percept.examples"

local docs = {}

-- What the modules written in C are for.
local about = {
  tensor = "Tensors: f32 by default, f64, i64, i32, u8; strided views share storage; NumPy's broadcasting; places count from 1. "
    .. "Every function is a method, too: T.exp(x) is x:exp(). Operators + - * / ^ and unary minus work with numbers and tensors. "
    .. "x[i], x[{i, j}], x[{{from, to}, {}}] read and write views. Images are (N,H,W,C).",
  nn = "Layers and losses. A layer is a module: call it, m:parameters(), m:state(), m:freeze(), m.child, m.weight. nn.module{...} "
    .. "makes one of a Lua function and its children.",
  optim = "Optimisers over a module, a tensor, a list of them, or groups; schedules; L-BFGS for functions.",
  encoders = "Encoders: images (B,H,W,C) to slots (B,K,m); with vae = true mean and log standard deviation.",
  decoders = "Decoders: slots (B,K,m) to images (B,H,W,C) and, where the decoder has one, the slot attention (B,pixels,K). "
    .. "A Lua function from slots to images serves wherever a decoder is wanted.",
  replay = "Generative perception by replay: recombine slots of known images, decode them, train the encoder on the result.",
  metrics = "Accuracy, adjusted Rand index, R2, Hungarian matching, slot health.",
  images = "PNG files, grids, resizing.",
  formats = "npy, npz, safetensors, checkpoints.",
  datasets = "Folders of scenes with labels, splits with held-out combinations, sprites, batches.",
  recorder = "Runs and queries: the SQLite file behind percept.run.",
  sys = "The little of the system that scripts need and Lua lacks.",
  edit = "The prompt's line editing.",
  process = "Processes: starting, waiting, ending; for percept sweep.",
  records = "Reading and writing what the command line needs of the database: sweeps and their cells, tags, notes.",
}

-- ---- functions and comments of a Lua source ----

local function comment_above(lines, at)
  local first = at
  while first > 1 and lines[first - 1]:match "^%-%-" do first = first - 1 end
  if first == at or not lines[first]:match "^%-%-%-" then return nil end
  local text = {}
  for i = first, at - 1 do text[#text + 1] = (lines[i]:gsub("^%-%-+%s?", "")) end
  return table.concat(text, "\n")
end

local function split_lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

-- {intro =, functions = {{name, signature, text}}}; the module's own table is what the file returns.
local function read_source(text)
  local lines = split_lines(text)
  local out = {functions = {}}
  local intro = {}
  for _, line in ipairs(lines) do
    if not line:match "^%-%-" then break end
    intro[#intro + 1] = (line:gsub("^%-%-+%s?", ""))
  end
  out.intro = table.concat(intro, "\n")
  local own
  for _, line in ipairs(lines) do own = line:match "^return setmetatable%((%w+)" or line:match "^return ([%w_]+)%s*$" or own end
  for at, line in ipairs(lines) do
    local owner, name, args = line:match "^function ([%w_]+)[.:]([%w_]+)(%b())"
    if not owner then
      owner, name = line:match "^([%w_]+)%.([%w_]+)%s*=%s*percept%.declare"
    end
    local comment = owner and comment_above(lines, at)
    if comment then
      local shown = owner == own and name or owner:lower() .. ":" .. name
      out.functions[#out.functions + 1] = {name = name, method = owner ~= own, signature = shown .. (args or ""), text = comment}
    end
  end
  return out
end

--- The comment above a function of the workbench's Lua sources, by its name there; nil when there is none.
function docs.comment(module, name)
  local text = percept.embedded(module)
  if not text then return nil end
  for _, f in ipairs(read_source(text).functions) do
    if f.name == name then return f.text, f.signature end
  end
end

-- ---- a page as data ----

local function declared(name, fn)
  local usage, text, args = percept.usage(fn)
  if not usage then return nil end
  return {name = name, signature = (usage:gsub("^[%w_]+%.", "")), text = text, args = args}
end

local function sorted_names(t)
  local names = {}
  for k in pairs(t) do
    if type(k) == "string" then names[#names + 1] = k end
  end
  table.sort(names)
  return names
end

local function functions_of(short, value, source)
  local list, seen = {}, {}
  if type(value) == "table" then
    for _, name in ipairs(sorted_names(value)) do
      local f = type(value[name]) == "function" and declared(name, value[name])
      if f then
        f.example = examples.of(short, name)
        list[#list + 1], seen[name] = f, true
      end
    end
  elseif type(value) == "function" then
    list[1] = declared(short, value)
    if list[1] then seen[short] = true end
  end
  for _, f in ipairs(source and source.functions or {}) do
    if not seen[f.name] or f.method then list[#list + 1] = f end
  end
  local prompt = examples.prompt_modules[short]
  for _, f in ipairs(list) do
    f.example = f.example or examples.of(short, f.name) or prompt and prompt[f.name] and examples.of("prompt", f.name)
  end
  return list
end

--- Names of the modules that have a page, sorted.
function docs.modules()
  local names = {}
  for name in pairs(package.preload) do
    if name:match "^percept%.[%w_]+$" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- "percept.inverter" or "inverter" -> {name, title, intro, functions, example}; nil when there is no such module
local function page_of(name)
  local short = name:match "^percept%.([%w_]+)$" or name
  if not package.preload["percept." .. short] then return nil end
  local value = require("percept." .. short)
  local text = percept.embedded("percept." .. short)
  local source = text and read_source(text)
  local intro = about[short] or source and source.intro or "Functions written in C."
  local title, rest = intro:match "^(.-[.?])%f[%s] ?\n*(.*)$" -- the first sentence
  title = (title or intro):gsub("\n", " "):gsub("^[%w_.]+{?[. ]*}?: ", "")
  return {name = "percept." .. short, title = title, intro = rest or "", functions = functions_of(short, value, source),
    example = examples.of(short, "_")}
end

-- ---- as text ----

local function wrap(text, indent, width)
  local out, line = {}, nil
  for word in text:gmatch "%S+" do
    if line and #line + 1 + #word > width then
      out[#out + 1] = line
      line = nil
    end
    line = line and line .. " " .. word or indent .. word
  end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

-- Comments keep their lines: they hold code and lists.
local function block(text, indent)
  return indent .. (text:gsub("\n", "\n" .. indent))
end

local function argument_lines(args, put)
  for _, a in ipairs(args or {}) do
    if a.name ~= "self" then
      local kind = a.choices and "one of " .. a.choices or a.range and a.type .. " " .. a.range or a.type
      put(a.name, kind .. (a.default and ", default " .. a.default or a.optional and ", optional" or ""))
    end
  end
end

--- Name, title and description of a module, for a list of its functions to follow; nil when there is no such module.
function docs.head(name)
  local page = page_of(name)
  if not page then return nil end
  local out = {page.name .. ": " .. page.title}
  if page.intro ~= "" then out[2] = page.intro:find "\n" and block(page.intro, "  ") or wrap(page.intro, "  ", 96) end
  return table.concat(out, "\n")
end

--- The page of a module as text, in the manner of a man page; nil when there is no such module.
function docs.page(name)
  local page = page_of(name)
  if not page then return nil end
  local out = {"NAME", wrap(page.name .. " - " .. page.title, "    ", 96), "", "SYNOPSIS",
    ('    local %s = require "%s"'):format(page.name:match "[%w_]+$", page.name)}
  if page.intro ~= "" then
    out[#out + 1] = "\nDESCRIPTION"
    out[#out + 1] = page.intro:find "\n" and block(page.intro, "    ") or wrap(page.intro, "    ", 96)
  end
  if #page.functions > 0 then out[#out + 1] = "\nFUNCTIONS" end
  for i, f in ipairs(page.functions) do
    if i > 1 then out[#out + 1] = "" end
    out[#out + 1] = "    " .. f.signature
    if f.text ~= "" then out[#out + 1] = f.text:find "\n" and block(f.text, "        ") or wrap(f.text, "        ", 96) end
    argument_lines(f.args, function(argument, note) out[#out + 1] = ("        %-16s %s"):format(argument, note) end)
    if f.example then out[#out + 1] = "        example:\n" .. block(f.example, "            ") end
  end
  if page.example then out[#out + 1] = "\nEXAMPLE\n" .. block(page.example, "    ") end
  out[#out + 1] = "\nSEE ALSO\n    help(f) at the prompt; percept help COMMAND; make docs"
  return table.concat(out, "\n")
end

-- ---- as Markdown ----

local function markdown(page)
  local out = {"# " .. page.name, "", page.title, ""}
  if page.intro ~= "" then
    out[#out + 1] = page.intro:find "\n" and "```text\n" .. page.intro .. "\n```" or page.intro
    out[#out + 1] = ""
  end
  for _, f in ipairs(page.functions) do
    out[#out + 1] = ("## `%s`\n"):format(f.signature)
    if f.text ~= "" then out[#out + 1] = (f.text:gsub("([*_<>|])", "\\%1")) .. "\n" end
    local rows = {}
    argument_lines(f.args, function(argument, note) rows[#rows + 1] = ("| `%s` | %s |"):format(argument, (note:gsub("|", "\\|"))) end)
    if #rows > 0 then out[#out + 1] = "| argument | |\n|---|---|\n" .. table.concat(rows, "\n") .. "\n" end
    if f.example then out[#out + 1] = "```lua\n" .. f.example .. "\n```\n" end
  end
  if page.example then out[#out + 1] = "## Example\n\n```lua\n" .. page.example .. "\n```\n" end
  return table.concat(out, "\n")
end

--- Writes a Markdown file a module and an index into a folder; returns how many.
function docs.write(folder)
  percept.sys.mkdir(folder)
  local function write(name, text)
    percept.files.write(folder .. "/" .. name, text .. "\n")
  end
  local index = {"# Percept " .. percept.version .. ": the Lua modules", "", "| module | |", "|---|---|"}
  local names = docs.modules()
  for _, name in ipairs(names) do
    local page = page_of(name)
    write(name .. ".md", markdown(page))
    index[#index + 1] = ("| [%s](%s.md) | %s |"):format(name, name, (page.title:gsub("|", "\\|")))
  end
  write("README.md", table.concat(index, "\n"))
  return #names
end

return docs
