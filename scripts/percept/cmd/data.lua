--- percept data: data sets: which there are, whether they are whole, what they look like.
local options = require "percept.cli.options"
local declared = require "percept.base.declared"
local files = require "percept.files"
local percept = require "percept"
local datasets = require "percept.datasets"
local recorder = require "percept.recorder"
local sys = require "percept.sys"
local T = require "percept.tensor"

local command = {
  help = "lists data sets, checks them, draws contact sheets",
  usage = {"[list]", "check DATA", "sheet DATA -o FILE.png", "split DATA -o FILE.png", "emoji OUT"},
  about = "list, or alone: the data sets that runs of the database used, folders below --under that hold a table, and those that are "
    .. "made as they are asked for; where they are, how many images, the licence. DATA is a folder of scenes, FILE.npz, FILE.npy or "
    .. "the name of a kind (sprites, emoji). check "
    .. "reads every image and mask and tells counts, factors and digest; with a database, whether runs used just this data. "
    .. "sheet draws images spread over the set. split prints which combinations a split holds out, and draws its matrix. "
    .. "emoji composes scenes of animal cut-outs on photographs (--count, --size, --seed, --occlusion) into a folder.",
  options = options.join({
    {flag = "--under", value = "FOLDER", kind = "file", text = "where to look for data sets; experiments/data"},
    {flag = "--size", value = "N", kind = "int(1..16384)", text = "height and width to read at or draw; check: as stored, else 64"},
    {flag = "--count", short = "-n", value = "N", kind = "int64(1..)", text = "images on the sheet, 24; images that emoji makes, 1000"},
    {flag = "--by", value = "FACTOR", text = "sheet: a row for each value of this factor"},
    {flag = "--output", short = "-o", value = "FILE.png", kind = "file", text = "where the sheet or the split's picture goes"},
    {flag = "--preset", value = "NAME", kind = "str(background|texture|object)", text = "split: background, texture or object; background"},
    {flag = "--cells", value = "A:B", text = "split: the two factors that are combined, in place of --preset"},
    {flag = "--rule", value = "NAME", kind = "str(band|random)", text = "split: band or random; band"},
    {flag = "--fraction", value = "X", kind = declared.like(percept.datasets.split, "fraction"),
      text = "split: share of the cells that is held out; 0.25"},
    {flag = "--offset", value = "N", kind = "int", text = "split: which band; 0"},
    {flag = "--pseudo", value = "X", kind = declared.like(percept.datasets.split, "pseudo"),
      text = "split: share of the ID cells made pseudo-OOD; 0"},
    {flag = "--seed", value = "N", kind = "int64(0..)", text = "split, emoji: 0"},
    {flag = "--occlusion", value = "X", kind = "num(0..1)", text = "emoji: 0 (apart) to 1 (brought together); 0"},
    {flag = "--textures", value = "A,B", text = "emoji: of Default, Blue, Red, Grass, Stone; Default"},
    {flag = "--assets", value = "FOLDER", kind = "file", text = "emoji: the folder of emoji/ and panoramas/; experiments/data/assets"},
  }, options.formats, options.db),
  examples = {
    {"percept data list"},
    {"percept data check experiments/data/spar_cycles"},
    {"percept data sheet experiments/data/spar_cycles --by world_name -o sheet.png"},
    {"percept data split experiments/data/spar_cycles --preset object --fraction 0.3 -o split.png"},
    {"percept data split sprites --size 16 --cells shape1:color2"},
    {"percept data emoji my_scenes --count 200 --size 32 --textures Default,Blue"},
  },
}

-- ---- list ----

local tables = {"labels.csv", "labels_pug_animal.csv", "PUG_SPARE.csv"}

-- The table of a folder of scenes, or nil.
local function table_of(folder)
  for _, name in ipairs(tables) do
    if select(2, sys.exists(folder .. "/" .. name)) == "file" then return folder .. "/" .. name end
  end
end

local function folders(under)
  local out = {}
  local function look(folder, depth)
    local names, kinds = files.list(folder)
    if table_of(folder) then out[#out + 1] = folder end
    for i, name in ipairs(names or {}) do
      if kinds[i] == "folder" and depth > 1 then look(folder .. "/" .. name, depth - 1) end
    end
  end
  look(under, 3)
  return out
end

local function images_of(folder)
  local text = files.read(table_of(folder)) or ""
  local _, lines = text:gsub("[^\n]+", "")
  return math.max(lines - 1, 0)
end

-- What a licence that forbids training generative models has to say: always, on stderr.
local function warn(folder, name, notice, restricted)
  if restricted then io.stderr:write(("%s (%s)\n%s\n"):format(folder, name, notice)) end
end

-- The name of a folder's licence; "" where there is no folder.
local function licence_of(folder)
  if not folder or not table_of(folder) then return "" end
  local ok, name, notice, restricted = pcall(percept.datasets.licence, folder)
  if not ok then return "" end
  warn(folder, name, notice, restricted)
  return name
end

local function list_all(opts)
  local rows, seen, db = {}, {}, options.path(opts)
  if sys.exists(db) then
    for _, d in ipairs(recorder.query(db, [[select d.name, d.path, d.n, d.digest, count(distinct x.run_id) as runs
        from dataset d left join run_dataset x using (digest) group by d.digest order by d.name, d.digest]])) do
      local folder = d.path and d.path:gsub("(.)/+$", "%1")
      rows[#rows + 1] = {d.name, d.path or "", d.n, licence_of(not seen[folder or 1] and folder or nil), d.runs, d.digest}
      if folder then seen[folder] = true end
    end
  end
  for _, folder in ipairs(folders(opts.under or "experiments/data")) do
    if not seen[folder] then rows[#rows + 1] = {folder:match "[^/]+$", folder, images_of(folder), licence_of(folder)} end
  end
  for _, kind in ipairs(datasets.kinds()) do -- those without files, of as many images as asked for
    local how = ("percept.datasets.open(\"%s\", {...})"):format(kind.name)
    if not kind.path then rows[#rows + 1] = {kind.name, how, nil, kind.licence or ""} end
  end
  options.table(opts, {"name", "path", "images", "licence", "runs", "digest"}, rows)
  return 0
end

-- ---- check ----

-- Opens what a word of the command line names; size: height and width, nil: as stored. A restricted licence is told.
local function open(spec, size)
  local row = datasets.kind_of(spec)
  local set = datasets.open(spec, {size = row.name ~= "arrays" and (size or 64) or size})
  warn(spec, set:licence())
  return set
end

-- The data set read anew: from the files themselves, not from what was decoded of them once.
local function open_to_check(spec, size, cache)
  if datasets.kind_of(spec).name ~= "scenes" then return datasets.open(spec, {size = size}) end
  if not table_of(spec) then
    error(("%s holds no labels.csv; a data set is a folder with labels.csv and images (experiments/data/README.md)"):format(spec), 0)
  end
  return percept.datasets.scenes(spec, {height = size, width = size, on_error = "skip", cache_dir = cache})
end

local function check(opts, folder)
  local cache = files.temporary_folder()
  local ok, scenes = pcall(open_to_check, folder, opts.size, cache)
  local rows = {}
  local function fact(key, value) rows[#rows + 1] = {key, value} end
  local bad = false
  if ok then
    fact("images", scenes:count())
    fact("size", ("%d x %d"):format(scenes:height(), scenes:width()))
    local names, numeric = scenes:factors()
    for _, f in ipairs(names) do
      fact(f, ("%d values: %s"):format(#scenes:values(f), table.concat(scenes:values(f), ", "):sub(1, 80)))
    end
    for _, f in ipairs(numeric or {}) do fact(f, "numbers") end
    local digest, note = scenes:digest(), scenes:note()
    fact("digest", digest)
    local licence, terms, restricted = scenes:licence()
    fact("licence", licence)
    warn(folder, licence, terms, restricted)
    if note ~= "" then
      fact("note", note)
      bad = note:find "skip" ~= nil
    end
    local lowest, highest = math.huge, -math.huge
    for from = 1, scenes:count(), 256 do
      local x = scenes:images(T.arange(from, math.min(from + 255, scenes:count()) + 1, {dtype = "i64"}))
      lowest, highest = math.min(lowest, x:min():item()), math.max(highest, x:max():item())
    end
    fact("values", ("%.3g to %.3g"):format(lowest, highest))
    if highest <= lowest then
      fact("wrong", "every pixel is the same")
      bad = true
    end
  end
  files.remove_folder(cache)
  if not ok then error("data: " .. tostring(scenes):gsub("^data: ", ""), 0) end
  local db = options.path(opts)
  if sys.exists(db) then
    for _, d in ipairs(recorder.query(db, [[select d.digest, count(*) as runs, max(r.uid) as newest from dataset d
        join run_dataset x using (digest) join run r on r.id = x.run_id where d.path = :path or d.path = :slash group by d.digest]],
        {path = folder, slash = folder .. "/"})) do
      fact("used by", ("%d runs, newest %s, with digest %s"):format(d.runs, d.newest, d.digest))
    end
  end
  options.table(opts, {"what", "is"}, rows)
  return bad and 1 or 0
end

-- ---- sheet ----

-- indices, from 1, of n images spread over those where test(i) holds
local function spread(count, n, test)
  local all, out = {}, {}
  for i = 1, count do
    if not test or test(i) then all[#all + 1] = i end
  end
  for k = 1, math.min(n, #all) do out[k] = all[math.floor((k - 0.5) * #all / math.min(n, #all)) + 1] end
  return out
end

local function index_of(list) return T.tensor(list, {dtype = "i64"}) end

local function sheet(opts, folder)
  if not opts.output then return options.mistake("data", "sheet: where to? -o FILE.png") end
  local n = opts.count or 24
  local scenes = open(folder, opts.size)
  local picture
  if opts.by then
    local known = scenes:factors()
    local found = false
    for _, f in ipairs(known) do found = found or f == opts.by end
    if not found then
      local near = percept.nearest(opts.by, known)
      error(("data: there is no factor '%s'%s; there are %s"):format(opts.by, near and (", did you mean %s?"):format(near) or "",
        table.concat(known, ", ")), 0)
    end
    local values, of = scenes:values(opts.by), scenes:factor(opts.by):to_table()
    local per = math.max(1, math.min(8, math.ceil(n / #values)))
    local columns, labels = {}, {}
    local picks = {}
    for v = 1, #values do picks[v] = spread(scenes:count(), per, function(i) return of[i] == v end) end
    for k = 1, per do
      local list = {}
      for v = 1, #values do list[v] = picks[v][k] or picks[v][#picks[v]] or 1 end
      columns[k], labels[k] = scenes:images(index_of(list)), tostring(k)
    end
    picture = percept.images.grid(columns, {column_labels = labels, row_labels = values})
  else
    picture = percept.images.grid(scenes:images(index_of(spread(scenes:count(), n))))
  end
  percept.images.write(opts.output, picture)
  print(("%s: %d x %d pixels"):format(opts.output, picture:size(2), picture:size(1)))
  return 0
end

-- ---- split ----

local function split(opts, folder)
  local a, b
  local cells = datasets.kind_of(folder).cells
  if not opts.cells and not opts.preset and cells then opts.cells = cells[1] end
  if opts.cells then
    a, b = opts.cells:match "^([^:]+):([^:]+)$"
    if not a or opts.preset then return options.mistake("data", "split: --cells FACTOR:FACTOR, without --preset") end
  end
  local scenes = open(folder, opts.size)
  local made = percept.datasets.split(scenes, {
    preset = opts.preset, pairs = a and {{a, b}} or nil, rule = opts.rule, fraction = opts.fraction, offset = opts.offset,
    pseudo = opts.pseudo, seed = opts.seed,
  })
  print((made.cells:gsub("%s+$", "")))
  if opts.output then
    percept.pictures.split(made):save(opts.output)
    print(opts.output)
  end
  return 0
end

-- ---- emoji ----

-- Writes scenes as a folder that datasets.scenes reads back: images/, masks/, labels.csv.
local function write_folder(scenes, out)
  if sys.exists(out .. "/labels.csv") then error(("data: %s holds a data set; name another folder"):format(out), 0) end
  for _, sub in ipairs{"/images", "/masks"} do sys.mkdir(out .. sub) end
  local factors, numbers = scenes:factors()
  local header, column = {"filename"}, {}
  for _, f in ipairs(factors) do
    local values, index = scenes:values(f), scenes:factor(f):to_table()
    header[#header + 1], column[#column + 1] = f, function(i) return values[index[i]] end
  end
  header[#header + 1], column[#column + 1] = "maskname", function(i) return "masks/" .. scenes:filename(i):match "[^/]+$" end
  for _, f in ipairs(numbers) do
    local value = scenes:numeric(f):to_table()
    header[#header + 1], column[#column + 1] = f, function(i) return ("%.10g"):format(value[i]) end
  end
  local rows, n = {table.concat(header, ",")}, scenes:count()
  local bar = require("percept.progress").start{title = "writing", total = n}
  for from = 1, n, 256 do
    local index = T.arange(from, math.min(from + 255, n) + 1, {dtype = "i64"})
    local images, masks = scenes:images(index, "u8"), scenes:masks(index)
    for k = 1, index:numel() do
      local i, name = from + k - 1, scenes:filename(from + k - 1)
      local row = {name}
      for c = 1, #column do row[c + 1] = column[c](i) end
      rows[#rows + 1] = table.concat(row, ",")
      percept.images.write(out .. "/" .. name, images:select(1, k))
      percept.images.write(out .. "/masks/" .. name:match "[^/]+$", masks:select(1, k))
    end
    bar:show(from + index:numel() - 1)
  end
  bar:finish()
  files.write(out .. "/labels.csv", table.concat(rows, "\n") .. "\n") -- last: a folder with it is whole
end

local function emoji(opts, out)
  local textures
  if opts.textures then
    textures = {}
    for name in opts.textures:gmatch "[^,%s]+" do textures[#textures + 1] = name end
  end
  local scenes = percept.datasets.emoji{
    assets = opts.assets, count = opts.count, size = opts.size, seed = opts.seed, occlusion = opts.occlusion, textures = textures,
  }
  write_folder(scenes, out)
  print(("%s: %d images of %d x %d"):format(out, scenes:count(), scenes:height(), scenes:width()))
  return 0
end

local verbs = {check = check, sheet = sheet, split = split, emoji = emoji}

function command.run(opts)
  local verb, folder = opts[1], opts[2] and opts[2]:gsub("(.)/+$", "%1")
  if not verb or (verb == "list" and not folder) then return list_all(opts) end
  if verb == "list" then return options.mistake("data", "list takes no word; --under FOLDER says where to look") end
  if not verbs[verb] then return options.mistake("data", "'%s' is none of check, sheet, split, emoji, list", verb) end
  if not folder then return options.mistake("data", "%s: which data set?", verb) end
  return verbs[verb](opts, folder)
end

return command
