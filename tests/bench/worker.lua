--- worker: a child process that obeys commands: a line in, a line back.
local worker = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
worker.quote = quote

--- The program this is.
function worker.program()
  local pipe = io.popen "readlink /proc/$PPID/exe"
  local path = pipe:read "*l"
  pipe:close()
  return path
end

local methods = {}
methods.__index = methods

--- Starts words {program, argument, ...} with environment {NAME = value}. Its errors go to a file that ask() quotes.
function worker.start(words, env)
  local base = os.tmpname()
  local fifo = base .. ".in"
  local parts = {"exec env"}
  local names = {}
  for name in pairs(env or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = name .. "=" .. quote(tostring(env[name])) end
  for _, word in ipairs(words) do parts[#parts + 1] = quote(word) end
  if os.execute("mkfifo " .. quote(fifo)) ~= 0 then error("bench: no pipe at " .. fifo, 0) end
  local out = io.popen(("%s <%s 2>%s"):format(table.concat(parts, " "), quote(fifo), quote(base)), "r")
  local into = io.open(fifo, "w") -- waits for the child to open its end
  os.remove(fifo)
  return setmetatable({into = into, out = out, errors = base, name = table.concat(words, " ")}, methods)
end

local function tail(path)
  local file = io.open(path, "r")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text:sub(-1500)
end

--- Sends a line; returns the line that comes back. An error quotes what the child said when it died.
function methods:ask(command)
  self.into:write(command, "\n")
  self.into:flush()
  local line = self.out:read "*l"
  if line then return line end
  local said = tail(self.errors)
  self.dead = true
  self:stop()
  error(("bench: '%s' ended while asked to '%s':\n%s"):format(self.name, command, said), 0)
end

--- Numbers of the line that comes back.
function methods:numbers(command)
  local list = {}
  for word in self:ask(command):gmatch "%S+" do list[#list + 1] = tonumber(word) end
  return list
end

--- Ends the child. It is told so: closing its input would not do, since children started later hold that end, too.
function methods:stop()
  if not self.into then return end
  if not self.dead then self.into:write "quit\n" end
  self.into:close()
  self.out:close()
  os.remove(self.errors)
  self.into = nil
end

return worker
