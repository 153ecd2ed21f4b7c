/* test_shadow.c: whatever the user assigns at the prompt, the session lives, and 6*7 is answered. */
#include "pty.h"

static const char *const names[] = {
    "print",        "select",       "tostring",  "tonumber", "pcall",   "xpcall", "io",      "os",     "loadstring",
    "load",         "loadfile",     "type",      "string",   "table",   "math",   "require", "error",  "assert",
    "setmetatable", "getmetatable", "rawget",    "rawset",   "pairs",   "ipairs", "next",    "unpack", "debug",
    "package",      "jit",          "coroutine", "_G",       "percept", "T",      "help",    "bit",    "arg",
};

static const char *const entries[] = {
    "for k in pairs(string) do string[k] = nil end",
    "for k in pairs(table) do table[k] = nil end",
    "for k in pairs(debug) do debug[k] = nil end",
    "for k in pairs(io) do io[k] = nil end",
    "for k in pairs(os) do os[k] = nil end",
    "for k in pairs(math) do math[k] = nil end",
    "for k in pairs(percept) do percept[k] = nil end",
    "for k in pairs(percept.sys) do percept.sys[k] = nil end",
    "for k in pairs(percept.edit) do percept.edit[k] = nil end",
    "for k in pairs(package.loaded) do package.loaded[k] = nil end",
    "for k in pairs(package) do package[k] = nil end",
    "package.loaded['percept.train'] = 'x'; error'y'",
    "string.format = nil",
    "getmetatable('').__index = nil",
    "getmetatable('').__index = function(s, i) return string.sub(s, i, i) end",
    "debug.setmetatable('', nil)",
    "debug.setmetatable('', {__index = error, __metatable = 1})",
    "debug.setmetatable(nil, {__index = error})",
    "debug.setmetatable(1, {__index = error})",
    "setmetatable(_G, {__index = function() error 'no' end})",
    "setmetatable(_G, {__newindex = function() error 'no' end, __index = function() error {} end})",
    "setmetatable(_G, {__metatable = false})",
    "setmetatable(_G, nil)",
    "setmetatable({}, {__tostring = function() error 'no' end})",
    "setmetatable({}, {__tostring = function() return 1 end})",
    "setmetatable({}, {__tostring = function() return nil end})",
    "setmetatable({}, {__metatable = 'x'})",
    "setmetatable({}, {__index = error, __newindex = error, __call = error})",
    "error(setmetatable({}, {__tostring = function() error 'no' end}))",
    "error(setmetatable({}, {__tostring = function() return {} end}))",
    "error()",
    "error(nil)",
    "error{}",
    "error(error)",
    "coroutine.yield(1)",
    "coroutine.wrap(function() coroutine.yield() error{} end)()",
    "local function f() return f() + 1 end f()",
    "local t = {} t[1] = t; t",
    "setfenv(0, {})",
    "setfenv(1, {})",
    "collectgarbage 'stop'",
    "print = function() error 'no' end",
    "tostring = function() return nil end",
    "debug.sethook(function() error 'no' end, 'l')",
    "io.output('/dev/null')",
    "io.input('/dev/null')",
    "jit.on(); for i = 1, 1000 do local t = {i} end",
    "newproxy(true)",
    "_ = nil; _1 = 3",
    "for k in pairs(_G) do if k ~= '_G' then rawset(_G, k, nil) end end",
};

static int passed, failed;

static void try(const char *entry, const char *home) {
  pty p;
  pty_start(&p, 1, home);
  int ok = pty_sees(&p, 0, "Ctrl-D leaves", 20) >= 0;
  size_t from = p.n;
  pty_enter(&p, entry);
  pty_enter(&p, "6*7");
  ok = ok && pty_sees(&p, from, "\n42\r", 10) >= 0;
  from = p.n;
  pty_enter(&p, "'a' .. 'b'"); /* and it goes on */
  ok = ok && pty_sees(&p, from, "\"ab\"", 10) >= 0;
  from = p.n;
  pty_type(&p, "T.on\t\003");
  pty_enter(&p, "6*7");
  ok = ok && pty_sees(&p, from, "\n42\r", 10) >= 0;
  if (ok) {
    passed++;
  } else {
    failed++;
    printf("FAIL %s: %s\n%s\n", entry, pty_alive(&p) ? "6*7 is not answered" : "the program ended",
           p.text ? p.text : "");
  }
  pty_end(&p);
}

int main(void) {
  char home[] = "/tmp/percept-shadow-XXXXXX", entry[100];
  pty_home(home);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(entry, sizeof entry, "%s = \"x\"", names[i]);
    try(entry, home);
    snprintf(entry, sizeof entry, "%s = nil", names[i]);
    try(entry, home);
  }
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) try(entries[i], home);
  pty_remove(home);
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
