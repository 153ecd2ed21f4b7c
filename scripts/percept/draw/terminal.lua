--- terminal: what the terminal can do, and pictures in it.
-- Pictures are half blocks in 24-bit or 256 colours; kitty's protocol or sixel where the terminal says that it
-- knows them; a PNG file and its path where there is no terminal. PERCEPT_IMAGES=blocks|kitty|sixel|file decides
-- for the terminal. NO_COLOR asks for files.
local T = require "percept.tensor"
local images = require "percept.images"
local sys = require "percept.sys"
local percept = require "percept"

local terminal = {}

--- Columns and lines; 80 and 24 where there is no terminal.
function terminal.size()
  local columns, lines = sys.terminal_size(1)
  return columns or tonumber(os.getenv "COLUMNS" or "") or 80, lines or 24
end

--- May output be coloured? Only on a terminal, and not with NO_COLOR.
function terminal.coloured()
  local no = os.getenv "NO_COLOR"
  return sys.isatty(1) and (no == nil or no == "") and os.getenv "TERM" ~= "dumb"
end

--- Does the terminal take 24-bit colours?
function terminal.true_colour()
  local says, term = os.getenv "COLORTERM" or "", os.getenv "TERM" or ""
  return says == "truecolor" or says == "24bit" or term:find("direct", 1, true) ~= nil or term:find("kitty", 1, true) ~= nil
end

local sixel_known
local function takes_sixel() -- "device attributes": 4 among them is sixel
  if sixel_known == nil then
    local answer = sys.terminal_ask("\27[c", "c") or ""
    sixel_known = (";" .. (answer:match "%?([%d;]+)c" or "") .. ";"):find(";4;", 1, true) ~= nil
  end
  return sixel_known
end

--- How pictures are shown here: "kitty", "sixel", "blocks" or "file".
function terminal.picture_kind()
  local asked = os.getenv "PERCEPT_IMAGES"
  if asked and asked ~= "" then
    for _, kind in ipairs{"kitty", "sixel", "blocks", "file"} do
      if asked == kind then return kind end
    end
    error(("PERCEPT_IMAGES=%s: known are blocks, file, kitty, sixel"):format(asked), 0)
  end
  if not terminal.coloured() then return "file" end
  local program = os.getenv "TERM_PROGRAM" or ""
  if not os.getenv "TMUX" and (os.getenv "KITTY_WINDOW_ID" or program == "WezTerm" or program == "ghostty") then return "kitty" end
  if takes_sixel() then return "sixel" end
  return "blocks"
end

-- ---- encodings of a picture u8 (H,W,3) ----

local function colour_256(r, g, b)
  if math.max(r, g, b) - math.min(r, g, b) < 10 then -- the 24 grays
    local gray = math.floor((r + g + b) / 3)
    if gray < 4 then return 16 end
    return gray > 246 and 231 or 232 + math.min(23, math.floor((gray - 3) / 10))
  end
  local function level(v) return v < 48 and 0 or v < 115 and 1 or math.floor((v - 35) / 40) end
  return 16 + 36 * level(r) + 6 * level(g) + level(b)
end

--- Half blocks: two pixels a character, one above the other. true_colour: 24 bit, else 256 colours.
function terminal.blocks(picture, true_colour)
  local rows, lines = picture:to_table(), {}
  local function code(ground, p)
    if true_colour then return ("%d;2;%d;%d;%d"):format(ground, p[1], p[2], p[3]) end
    return ("%d;5;%d"):format(ground, colour_256(p[1], p[2], p[3]))
  end
  for y = 1, #rows, 2 do
    local parts, last = {}, nil
    for x = 1, #rows[1] do
      local upper, lower = rows[y][x], rows[y + 1] and rows[y + 1][x]
      local now = code(38, upper) .. (lower and ";" .. code(48, lower) or "")
      parts[#parts + 1] = now ~= last and "\27[" .. now .. "m▀" or "▀"
      last = now
    end
    lines[#lines + 1] = table.concat(parts) .. "\27[0m"
  end
  return table.concat(lines, "\n")
end

local function run_length(masks)
  local out, i = {}, 1
  while i <= #masks do
    local n = 1
    while masks[i + n] == masks[i] do n = n + 1 end
    local c = string.char(63 + masks[i])
    out[#out + 1] = n > 3 and ("!%d%s"):format(n, c) or c:rep(n)
    i = i + n
  end
  return table.concat(out)
end

--- Sixel, in a palette of 6 x 6 x 6 colours.
function terminal.sixel(picture)
  local rows = picture:to_table()
  local height, width = #rows, #rows[1]
  local out = {("\27Pq\"1;1;%d;%d"):format(width, height)}
  for c = 0, 215 do
    out[#out + 1] = ("#%d;2;%d;%d;%d"):format(c, math.floor(c / 36) * 20, math.floor(c / 6) % 6 * 20, c % 6 * 20)
  end
  local function index(p)
    return 36 * math.floor(p[1] / 51 + 0.5) + 6 * math.floor(p[2] / 51 + 0.5) + math.floor(p[3] / 51 + 0.5)
  end
  for top = 1, height, 6 do
    local used = {} -- colour -> mask of six pixels for every column
    for y = top, math.min(top + 5, height) do
      for x = 1, width do
        local c = index(rows[y][x])
        local masks = used[c]
        if not masks then
          masks = {}
          for i = 1, width do masks[i] = 0 end
          used[c] = masks
        end
        masks[x] = masks[x] + 2 ^ (y - top)
      end
    end
    for c, masks in pairs(used) do out[#out + 1] = ("#%d%s$"):format(c, run_length(masks)) end
    out[#out + 1] = "-"
  end
  out[#out + 1] = "\27\\"
  return table.concat(out)
end

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Base64 of a string.
function terminal.base64(s)
  local out = {}
  for i = 1, #s, 3 do
    local a, b, c = s:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for k = 3, 0, -1 do
      local v = math.floor(n / 64 ^ k) % 64
      out[#out + 1] = (k == 1 and not b or k == 0 and not c) and "=" or letters:sub(v + 1, v + 1)
    end
  end
  return table.concat(out)
end

--- kitty's protocol: the PNG's bytes in pieces.
function terminal.kitty(png)
  local text, out = terminal.base64(png), {}
  for i = 1, #text, 4096 do
    local more = i + 4096 <= #text and 1 or 0
    out[#out + 1] = ("\27_G%sm=%d;%s\27\\"):format(i == 1 and "f=100,a=T," or "", more, text:sub(i, i + 4095))
  end
  return table.concat(out)
end

-- ---- show ----

local function is_batch_list(x) return type(x) == "table" and T.is_tensor(x[1]) end

local function expected(x)
  local got = T.is_tensor(x) and "a tensor of shape (" .. table.concat(x:size(), ",") .. ")" or type(x)
  error(("show: an image (H,W) or (H,W,C), images (N,H,W,C), a list of them, or the path of a PNG is expected, got %s; "
    .. "C is 1 or 3"):format(got), 0)
end

-- Values a picture can hold: u8, or floats in [0,1].
local function presentable(t, stretch)
  if t:dtype() == "u8" then return t end
  t = t:detach():to "f32"
  if stretch then
    local low, high = t:min():item(), t:max():item()
    t = (t - low) / math.max(high - low, 1e-12)
  end
  return t:clamp(0, 1)
end

-- Any of what show() takes as one batch (N,H,W,C) or a list of batches, one a column.
local function batches_of(x, stretch)
  if is_batch_list(x) then
    local list = {}
    for i, t in ipairs(x) do
      if not T.is_tensor(t) or t:dim() < 2 or t:dim() > 4 then expected(t) end
      list[i] = batches_of(t, stretch)
    end
    return list
  end
  if not T.is_tensor(x) or x:dim() < 2 or x:dim() > 4 or x:numel() == 0 then expected(x) end
  if x:dim() == 2 then x = x:reshape(1, x:size(1), x:size(2), 1) end
  if x:dim() == 3 then x = x:reshape(1, x:size(1), x:size(2), x:size(3)) end
  local channels = x:size(4)
  if channels ~= 1 and channels ~= 3 then expected(x) end
  return presentable(x, stretch)
end

local function single(batches) return T.is_tensor(batches) and batches:size(1) == 1 end

-- A single image as u8 (H,W,3).
local function rgb(batch)
  local image = batch:select(1, 1)
  if image:size(3) == 1 then image = image:expand(image:size(1), image:size(2), 3) end
  if image:dtype() ~= "u8" then image = (image * 255 + 0.5):to "u8" end
  return image:contiguous()
end

local function grid(batches, options)
  if single(batches) and not options.column_labels then return rgb(batches) end
  return images.grid(batches, options)
end

local function fit(picture, columns, lines)
  local height, width = picture:size(1), picture:size(2)
  local shrink = math.min(columns / width, 2 * lines / height) -- two pixels a line
  if shrink < 1 then
    return images.resize(picture, math.max(1, math.floor(height * shrink)), math.max(1, math.floor(width * shrink)))
  end
  local scale = math.min(math.floor(shrink), math.max(1, math.floor(64 / width)))
  if scale < 2 then return picture end
  return picture:reshape(height, 1, width, 1, 3):expand(height, scale, width, scale, 3):reshape(height * scale, width * scale, 3)
end

local function write_png(picture, path)
  if not path then
    local name = os.tmpname() -- makes an empty file of that name
    os.remove(name)
    path = name .. ".png"
  end
  images.write(path, picture)
  return path
end

local function read_all(path)
  return assert(require("percept.files").read(path))
end

-- Enlarged by whole pixels to about `side`, labels and all.
local function large(batches, options, side)
  local first = T.is_tensor(batches) and batches or batches[1]
  local scale = math.max(1, math.floor(side / math.max(first:size(2), first:size(3))))
  return images.grid(batches, {columns = options.columns, scale = scale, padding = options.labels and 2 or 1,
    column_labels = options.labels})
end

-- Image, then what each slot paints: attention (N,pixels,K) times image, gray where the slot does not look.
local function with_slots(x, attention)
  local n, height, width = x:size(1), x:size(2), x:size(3)
  if attention:dim() ~= 3 or attention:size(1) ~= n then return nil end
  local pixels = attention:size(2)
  local rows = math.floor(math.sqrt(pixels * height / width) + 0.5)
  local columns = pixels / math.max(1, rows)
  if rows * columns ~= pixels or height % rows ~= 0 or width % columns ~= 0 then return nil end
  local list = {x}
  for k = 1, attention:size(3) do
    local mask = attention:detach():to("f32"):select(3, k):reshape(n, rows, 1, columns, 1, 1)
    mask = mask:expand(n, rows, height / rows, columns, width / columns, 1):reshape(n, height, width, 1)
    list[k + 1] = x * mask + (1 - mask) * 0.5
  end
  return list
end

local function show(x, attention, columns, labels, stretch, file)
  if type(x) == "string" then x = images.read(x) end
  if attention and T.is_tensor(x) and x:dim() == 4 then
    local list = with_slots(presentable(x, stretch), attention)
    if list then
      x = list
      if not labels then
        labels = {"image"}
        for k = 2, #list do labels[k] = "slot " .. k - 1 end
      end
    end
  end
  local batches = batches_of(x, stretch)
  local kind = file and "file" or terminal.picture_kind()
  local options = {columns = columns, labels = labels}
  if kind == "file" then
    local picture = large(batches, options, 128)
    print(("%s (%d x %d)"):format(write_png(picture, file), picture:size(2), picture:size(1)))
  elseif kind == "blocks" then
    local width, lines = terminal.size()
    local first = T.is_tensor(batches) and batches or batches[1]
    local across = columns and columns > 0 and columns or math.max(1, math.floor(width / (first:size(3) + 1)))
    across = math.min(across, first:size(1))
    local picture = grid(batches, T.is_tensor(batches) and {columns = across, padding = 1, dark = true} or {padding = 1, dark = true})
    picture = fit(picture, width, lines - 2)
    print(terminal.blocks(picture, terminal.true_colour()))
    if labels then -- each under its column
      local cell = math.floor(picture:size(2) / #labels)
      local parts = {}
      for i, label in ipairs(labels) do parts[i] = ("%-" .. math.max(#label + 1, cell) .. "s"):format(label) end
      print((table.concat(parts):gsub("%s+$", "")))
    end
  elseif kind == "sixel" then
    print(terminal.sixel(large(batches, options, 256)))
  else
    local path = write_png(large(batches, options, 256))
    print(terminal.kitty(read_all(path)))
    os.remove(path)
  end
end

--- show(x, {columns =, labels =, stretch =, file =}): pictures in the terminal.
terminal.show = percept.declare("show", "x:any, attention:tensor?, columns:int(1..)?, labels:table?, stretch:bool=false, file:str?", show,
  "images in the terminal: (H,W), (H,W,C), (N,H,W,C), a list of batches (one a column) or a PNG's path; with a decoder's "
    .. "attention also what each slot paints; stretch: lowest value black, highest white; file: as a PNG instead")

return terminal
