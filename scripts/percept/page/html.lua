--- page.html: elements, escaping, data URIs, the document.
-- Text is escaped unless it is an element: h.td{"a < b"} is <td>a &lt; b</td>, h.td{h.b{"x"}} nests. Keys of the
-- table are attributes: h.td{class = "number", 3}. false and nil children are left out.
local style = require "percept.page.style"

local html = {}

local element = {} -- metatable of what is HTML already
element.__index = element
element.__tostring = function(self) return self.text end

local named = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}

-- Bytes of the character at i, or nil where it is no UTF-8.
local function character(s, i)
  local b = s:byte(i)
  if b < 0x80 then return 1 end
  local n = b >= 0xc2 and b < 0xe0 and 2 or b >= 0xe0 and b < 0xf0 and 3 or b >= 0xf0 and b < 0xf5 and 4 or nil
  if not n or not s:find("^" .. ("[\128-\191]"):rep(n - 1), i + 1) then return nil end
  local second = s:byte(i + 1)
  if (b == 0xe0 and second < 0xa0) or (b == 0xed and second > 0x9f) or (b == 0xf0 and second < 0x90)
    or (b == 0xf4 and second > 0x8f) then
    return nil
  end
  return n
end

--- Text as HTML: nothing in it is markup, every byte is valid UTF-8, control characters are gone.
function html.escape(text)
  text = tostring(text)
  if text:find "[\128-\255]" then
    local parts, i = {}, 1
    while i <= #text do
      local n = character(text, i)
      parts[#parts + 1] = n and text:sub(i, i + n - 1) or "\239\191\189"
      i = i + (n or 1)
    end
    text = table.concat(parts)
  end
  return (text:gsub("[%z\1-\8\11\12\14-\31\127]", "\239\191\189"):gsub("[&<>\"']", named))
end

--- What is HTML already, as an element.
function html.raw(text) return setmetatable({text = text}, element) end

local function render(child)
  if child == nil or child == false then return "" end
  if getmetatable(child) == element then return child.text end
  if type(child) == "table" then
    local parts, last = {}, 0 -- lists may have holes
    for i in pairs(child) do
      if type(i) == "number" and i > last then last = i end
    end
    for i = 1, last do parts[i] = render(child[i]) end
    return table.concat(parts)
  end
  return html.escape(child)
end

--- Several children as one.
function html.join(...) return html.raw(render{...}) end

local void = {img = true, meta = true, br = true, link = true}

--- html.e.NAME{attribute = value, child, ...}
html.e = setmetatable({}, {__index = function(self, name)
  local function make(content)
    if type(content) ~= "table" or getmetatable(content) == element then content = {content} end
    local keys = {}
    for key in pairs(content) do
      if type(key) == "string" then keys[#keys + 1] = key end
    end
    table.sort(keys)
    local parts = {"<", name}
    for _, key in ipairs(keys) do
      local value = content[key]
      if value == true then
        parts[#parts + 1] = " " .. key
      elseif value then
        parts[#parts + 1] = (' %s="%s"'):format(key, html.escape(value))
      end
    end
    parts[#parts + 1] = ">"
    parts[#parts + 1] = render(content)
    if not void[name] then parts[#parts + 1] = "</" .. name .. ">" end
    return html.raw(table.concat(parts))
  end
  self[name] = make
  return make
end})

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Bytes as base64.
function html.base64(bytes)
  local letter, parts = {}, {}
  for i = 0, 63 do letter[i] = digits:sub(i + 1, i + 1) end
  local floor = math.floor
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    parts[#parts + 1] = letter[floor(n / 262144)] .. letter[floor(n / 4096) % 64]
      .. (b and letter[floor(n / 64) % 64] or "=") .. (c and letter[n % 64] or "=")
  end
  return table.concat(parts)
end

--- The whole document. title: text; body: elements.
function html.document(title, body)
  local e = html.e
  return "<!doctype html>\n" .. e.html{lang = "en",
    e.head{
      e.meta{charset = "utf-8"},
      e.meta{name = "viewport", content = "width=device-width, initial-scale=1"},
      e.meta{name = "color-scheme", content = "light dark"},
      -- nothing is loaded, nothing runs, whatever a run's texts hold
      e.meta{["http-equiv"] = "Content-Security-Policy", content = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
      e.link{rel = "icon", href = "data:,"},
      e.title{title},
      e.style{html.raw(style())},
    },
    e.body{e.main(body)},
  }.text .. "\n"
end

return html
