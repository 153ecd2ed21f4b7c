--- percept doctor: what this machine and this database are like, and what is slow or wrong, and why.
local options = require "percept.cli.options"
local files = require "percept.files"
local percept = require "percept"
local process = require "percept.process"
local recorder = require "percept.recorder"
local sys = require "percept.sys"
local T = require "percept.tensor"

local command = {
  help = "examines program, processor, libraries and database; says what is slow and why",
  usage = "",
  about = "Measures for a few seconds: multiply-adds a second as the processor can do them, a product of matrices, memory, "
    .. "a transaction on the database's disk. Exit code 1 when something is wrong with the database or its folder.",
  options = options.join({
    {flag = "--quick", text = "no measurements"},
    {flag = "--deep", text = "checks every page of the database, however large it is"},
  }, options.formats, options.db),
  examples = {{"percept doctor"}, {"percept doctor --markdown", "for a bug report"}},
}

local function read(path, pattern)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read "*a" or ""
  file:close()
  if not pattern then return (text:gsub("%s+$", "")) end
  return text:match(pattern)
end

-- ---- the report: facts by section, findings with what to do ----

local function new_report()
  local r = {rows = {}, findings = {}, bad = false}
  function r.fact(section, key, value) r.rows[#r.rows + 1] = {section, key, value} end
  function r.note(text, ...) r.findings[#r.findings + 1] = {"note", text:format(...)} end
  function r.slow(text, ...) r.findings[#r.findings + 1] = {"slow", text:format(...)} end
  function r.wrong(text, ...)
    r.findings[#r.findings + 1] = {"wrong", text:format(...)}
    r.bad = true
  end
  return r
end

-- ---- processor and program ----

local function processors()
  local n = 0
  for _ in (read "/proc/cpuinfo" or ""):gmatch "processor%s*:" do n = n + 1 end
  return math.max(n, 1)
end

local function examine_program(r, v)
  r.fact("program", "percept", percept.version .. ", " .. process.program())
  r.fact("program", "compiler", "gcc " .. v.compiler)
  for _, key in ipairs{"luajit", "sqlite", "libpng", "zstd", "libc"} do r.fact("program", key, v[key]) end
  if read("/proc/self/maps", "libasan") then
    r.slow "this is a build with sanitizers: several times slower than a plain one (make build)"
  end
  local path = os.getenv "PERCEPT_PATH"
  if path then r.note("PERCEPT_PATH=%s: Lua modules there go before those in the program", path) end
  if not jit.status() then r.slow "LuaJIT compiles nothing (jit.off): scripts run in its interpreter" end
  local git = process.capture{"git", "--version"}
  r.fact("program", "git", git and "found" or "not found")
  if not git then r.note "there is no git: runs are recorded without commit and diff" end
  local locale = os.getenv "LC_ALL" or os.getenv "LC_CTYPE" or os.getenv "LANG" or ""
  if sys.isatty(1) and not locale:upper():find "UTF%-?8" then
    r.note "the terminal's locale is not UTF-8: lines of tables and curves may look odd (LANG=C.UTF-8)"
  end
end

local function examine_processor(r, v)
  local n, threads = processors(), T.get_num_threads()
  local model = read("/proc/cpuinfo", "model name%s*:%s*([^\n]+)") or "unknown"
  local flags = " " .. (read("/proc/cpuinfo", "flags%s*:%s*([^\n]+)") or "") .. " "
  local best = flags:find " avx512f " and "avx512" or flags:find " avx2 " and flags:find " fma " and "avx2" or "base"
  local load = tonumber(read("/proc/loadavg", "^(%S+)") or 0)
  r.fact("processor", "model", model)
  r.fact("processor", "processors", n)
  r.fact("processor", "load", load)
  r.fact("processor", "kernels", sys.tier())
  r.fact("processor", "threads", threads)
  r.fact("processor", "blas", v.openblas)
  r.fact("processor", "blas core", v.blas_core)
  if os.getenv "PERCEPT_TIER" and sys.tier() ~= best then
    r.slow("PERCEPT_TIER=%s: kernels use less than the processor has (%s); unset it", os.getenv "PERCEPT_TIER", best)
  elseif sys.tier() == "base" then
    r.slow "the processor has no AVX2 with FMA: kernels use SSE2, about a quarter of the speed"
  end
  if threads > n then r.slow("%d threads on %d processors wait for each other; OMP_NUM_THREADS=%d", threads, n, n) end
  if threads < n and (tonumber(os.getenv "OMP_NUM_THREADS" or "") or 0) == threads then
    r.note("OMP_NUM_THREADS=%d: %d of %d processors are used", threads, threads, n)
  end
  if load > n / 2 + 0.2 then
    r.slow("others keep the machine busy (load %.1f on %d processors): times will be longer and scatter", load, n)
  end
  if not v.openblas:find "OPENMP" then
    r.slow "this OpenBLAS has threads of its own besides OpenMP's: both compete; install libopenblas0-openmp"
  end
  if v.blas_core:lower():find "generic" or (v.blas_core == "Prescott" and best ~= "base") then
    r.slow("OpenBLAS does not know this processor and runs its %s kernels; OPENBLAS_CORETYPE=Haswell or SkylakeX helps", v.blas_core)
  end
  if os.getenv "OPENBLAS_CORETYPE" then r.note("OPENBLAS_CORETYPE=%s forces OpenBLAS's kernels", os.getenv "OPENBLAS_CORETYPE") end
  if (os.getenv "OMP_WAIT_POLICY" or ""):lower() == "active" then
    r.slow "OMP_WAIT_POLICY=active: waiting threads spin; beside another program every step waits for time slices"
  end
  local quota, period = (read "/sys/fs/cgroup/cpu.max" or ""):match "^(%d+) (%d+)"
  if quota and quota / period < threads then
    r.slow("the container may use %.1f processors, threads are %d: OMP_NUM_THREADS=%d", quota / period, threads,
      math.max(1, math.floor(quota / period)))
  end
  local governor = read "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
  if governor == "powersave" and not read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "intel_pstate") then
    r.slow "the processor's governor is powersave: sudo cpupower frequency-set -g performance"
  end
end

local function examine_memory(r)
  local function gib(name) return (tonumber(read("/proc/meminfo", name .. ":%s*(%d+)") or 0)) / 2 ^ 20 end
  local available, total, swapped = gib "MemAvailable", gib "MemTotal", gib "SwapTotal" - gib "SwapFree"
  r.fact("memory", "total", ("%.1f GiB"):format(total))
  r.fact("memory", "available", ("%.1f GiB"):format(available))
  if available < 1 then r.slow("only %.1f GiB of memory are available: larger studies will swap or be killed", available) end
  if swapped > 0.5 and available < total / 4 then r.slow("%.1f GiB are swapped out", swapped) end
end

-- ---- speed ----

-- processor seconds a call, the best of several, so that a busy machine does not count
local function best_of(n, f)
  local best = math.huge
  f()
  for _ = 1, n do
    local began = sys.cpu_time()
    f()
    best = math.min(best, sys.cpu_time() - began)
  end
  return best
end

local function examine_speed(r)
  local threads = T.get_num_threads()
  T.set_num_threads(1)
  local peak = sys.fma_peak(0.2)
  r.fact("speed", "multiply-adds", ("%.1f GFLOP/s on one thread"):format(peak))
  local function share(name, flop, seconds, least, remedy)
    local rate = flop / seconds * 1e-9
    r.fact("speed", name, ("%.1f GFLOP/s, %.0f %% of that"):format(rate, 100 * rate / peak))
    if rate < least * peak then r.slow("%s reaches %.0f %% of what the processor can do: %s", name, 100 * rate / peak, remedy) end
  end
  local a, b = T.randn(512, 512), T.randn(512, 512)
  share("product of matrices", 2 * 512 ^ 3, best_of(5, function() a:matmul(b) end), 0.35,
    "are others busy (load above), or is another tier or BLAS core forced?")
  local x, w = T.randn(8, 32, 32, 32), T.randn(32, 5, 5, 32)
  local ok = pcall(function()
    share("convolution", 2 * 8 * 32 * 32 * 32 * 25 * 32, best_of(5, function() T.conv2d(x, w, {padding = 2}) end), 0.15,
      "are others busy (load above), or is another tier forced?")
  end)
  if not ok then r.fact("speed", "convolution", "not measured") end
  local big = T.zeros(8, 1024, 1024) -- 32 MiB: beyond the caches
  local seconds = best_of(3, function() return big:clone() end)
  r.fact("speed", "memory", ("%.1f GB/s copied by one thread"):format(2 * big:numel() * 4 / seconds * 1e-9))
  T.set_num_threads(threads)
  if threads > 1 then
    local one, many = math.huge, math.huge
    for _ = 1, 5 do
      T.set_num_threads(1)
      local t0 = sys.time()
      a:matmul(b)
      T.set_num_threads(threads)
      local t1 = sys.time()
      a:matmul(b)
      one, many = math.min(one, t1 - t0), math.min(many, sys.time() - t1)
    end
    r.fact("speed", "threads", ("%.2f times faster on %d"):format(one / many, threads))
    if one / many < 1.2 then r.slow("a second thread helps little (%.2f times): are the other processors busy?", one / many) end
  end
end

-- ---- database ----

local function mount_of(path)
  local best, kind = "", "unknown"
  for line in (read "/proc/mounts" or ""):gmatch "[^\n]+" do
    local at, fs = line:match "^%S+ (%S+) (%S+)"
    if at and (path == at or path:sub(1, #at + (at == "/" and 0 or 1)) == (at == "/" and "/" or at .. "/")) and #at >= #best then
      best, kind = at, fs
    end
  end
  return best, kind
end

local function absolute(path) return path:sub(1, 1) == "/" and path or process.cwd() .. "/" .. path end

local network = {
  nfs = true, nfs4 = true, lustre = true, cifs = true, smb3 = true, ["9p"] = true, gpfs = true, ceph = true, beegfs = true,
}

-- A database of its own beside the real one: what a transaction and a logged row cost there.
local function examine_disk(r, folder)
  local path = ("%s/.percept-doctor-%d.db"):format(folder, process.pid())
  local ok, why = pcall(function()
    local run = recorder.start{db = path, experiment = "doctor"}
    local began = sys.time()
    for k = 1, 20 do
      run:log(k, {loss = k})
      run:flush()
    end
    local commit = (sys.time() - began) / 20
    local cpu, n = sys.cpu_time(), 2000
    for k = 21, 20 + n do run:log(k, {a = k, b = k, c = k, d = k, e = k, f = k, g = k, h = k, i = k, j = k}) end
    run:flush()
    cpu = (sys.cpu_time() - cpu) / n
    run:finish()
    r.fact("database", "transaction", ("%.2f ms"):format(commit * 1e3))
    r.fact("database", "logging", ("%.0f µs a step of 10 metrics"):format(cpu * 1e6))
    if commit > 0.02 then r.slow("a transaction takes %.0f ms on this disk: keep the database on a local one", commit * 1e3) end
    if cpu > 1e-4 then r.slow("logging 10 metrics costs %.0f µs a step; 100 are expected at most", cpu * 1e6) end
  end)
  for _, tail in ipairs{"", "-wal", "-shm"} do os.remove(path .. tail) end
  if not ok then r.wrong("nothing can be recorded in %s: %s", folder, tostring(why)) end
end

local function examine_file(r, db, deep)
  local bytes = (files.stat(db) or {bytes = 0}).bytes
  local wal_bytes = (files.stat(db .. "-wal") or {bytes = 0}).bytes
  local q = function(sql) return recorder.query(db, sql)[1] end
  r.fact("database", "size", ("%.1f MiB, log %.1f MiB"):format(bytes / 2 ^ 20, wal_bytes / 2 ^ 20))
  r.fact("database", "journal", q "select * from pragma_journal_mode".journal_mode)
  r.fact("database", "schema", ("version %d"):format(q "select * from pragma_user_version".user_version))
  if q "select * from pragma_application_id".application_id ~= 0x70726370 then
    r.wrong("%s is an SQLite database, but not one of percept's", db)
    return
  end
  r.fact("database", "runs", q "select count(*) as n from run".n)
  if wal_bytes > 128 * 2 ^ 20 then
    r.slow("the log %s-wal has %.0f MiB: a reader keeps it from being emptied; close viewers", db, wal_bytes / 2 ^ 20)
  end
  if deep or bytes < 64 * 2 ^ 20 then
    local check = q "select * from pragma_quick_check(1)".quick_check
    r.fact("database", "pages", check)
    if check ~= "ok" then r.wrong("%s is damaged: %s; keep a copy, then: sqlite3 %s .recover | sqlite3 new.db", db, check, db) end
  end
  local stale = recorder.stale(db)
  if #stale > 0 then r.note("%d runs say running, but are not: percept runs --reap", #stale) end
end

local function examine_database(r, db, opts)
  local path = absolute(db)
  local folder = path:match "^(.*)/[^/]*$"
  folder = folder == "" and "/" or folder
  local mount, kind = mount_of(folder)
  r.fact("database", "file", db)
  r.fact("database", "file system", ("%s at %s"):format(kind, mount))
  if network[kind] then
    r.slow("the database is on a network file system (%s): let one process write a file, join files with percept merge", kind)
  end
  local free = files.free(folder)
  if free then
    r.fact("database", "free", ("%.1f GiB"):format(free / 2 ^ 30))
    if free < 2 ^ 30 then r.wrong("only %.0f MiB are free in %s", free / 2 ^ 20, folder) end
  end
  if sys.exists(db) then
    local ok, why = pcall(examine_file, r, db, opts.deep)
    if not ok then r.wrong("%s", tostring(why)) end
  else
    r.fact("database", "state", "not there yet; the first run makes it")
  end
  if not opts.quick then
    if sys.exists(folder) then examine_disk(r, folder) else r.wrong("there is no folder %s", folder) end
  end
end

local function print_report(r, opts)
  if options.format(opts) ~= "table" then
    for _, f in ipairs(r.findings) do r.rows[#r.rows + 1] = {"finding", f[1], f[2]} end
    options.table(opts, {"section", "key", "value"}, r.rows)
    return
  end
  local bold, plain, red, yellow = "", "", "", ""
  if options.colour(opts) then bold, plain, red, yellow = "\27[1m", "\27[0m", "\27[31m", "\27[33m" end
  local section
  for _, row in ipairs(r.rows) do
    if row[1] ~= section then print((section and "\n" or "") .. bold .. row[1] .. plain) end
    section = row[1]
    print(("  %-20s %s"):format(row[2], tostring(row[3])))
  end
  print()
  for _, f in ipairs(r.findings) do
    local colour = f[1] == "wrong" and red or f[1] == "slow" and yellow or ""
    print(("%s%s%s: %s"):format(colour, f[1], colour ~= "" and plain or "", f[2]))
  end
  if #r.findings == 0 then print "nothing is slow or wrong" end
end

function command.run(opts)
  if opts[1] then return options.mistake("doctor", "'%s' is one word too many", opts[1]) end
  local r, v = new_report(), recorder.versions()
  examine_program(r, v)
  examine_processor(r, v)
  examine_memory(r)
  if not opts.quick then examine_speed(r) end
  examine_database(r, options.path(opts), opts)
  print_report(r, opts)
  return r.bad and 1 or 0
end

return command
