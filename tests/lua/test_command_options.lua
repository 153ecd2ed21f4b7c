-- Every option of every command with a value: 0, negative numbers, NaN, infinities, fractions, 2^53, no text and a word: obeyed as its
-- declaration says, or refused with its name, before the command begins.
local check = dofile "tests/lua/check.lua"
local commands = require "percept.cli.commands"
local options = require "percept.cli.options"

local words = {"0", "-1", "-3", "0.5", "nan", "inf", "-inf", "1e9", "1e300", "9007199254740993", "0x10", "", "word"}
local completed = {file = true, script = true, uid = true}

-- What a declaration allows, said once more: lowest and highest, whether whole.
local function fits(kind, word)
  local base, range = kind:match "^(%a+%d*)%(?(.-)%)?$"
  local n = tonumber(word)
  if not n or n ~= n or math.abs(n) == math.huge or word:find "x" then return false end
  if base:match "^int" and (n ~= math.floor(n) or math.abs(n) >= 2 ^ (base == "int" and 31 or 53)) then return false end
  local low, high = range:match "^(.-)<?%.%.<?(.-)$"
  if tonumber(low) and (n < tonumber(low) or n == tonumber(low) and range:find("<..", 1, true)) then return false end
  return not (tonumber(high) and (n > tonumber(high) or n == tonumber(high) and range:find("..<", 1, true)))
end

check.test("options with a value", function()
  local tried, refused = 0, 0
  for _, name in ipairs(commands.names()) do
    local command = commands.get(name)
    for _, list in ipairs{command.options or {}, command.hidden or {}} do
      for _, o in ipairs(list) do
        local kind = o.kind or "str"
        for _, word in ipairs(o.value and words or {}) do
          local opts, why = options.parse(command, {o.flag .. "=" .. word})
          local fine
          if kind == "str" or completed[kind] then
            fine = word ~= ""
          elseif kind:match "^str%(" then
            fine = ("|" .. kind:match "%((.*)%)" .. "|"):find("|" .. word .. "|", 1, true) ~= nil
          else
            fine = fits(kind, word)
          end
          tried, refused = tried + 1, refused + (opts and 0 or 1)
          check.ok((opts ~= nil) == fine and (opts or why:find(o.flag, 1, true)),
            ("%s %s=%s (%s): %s"):format(name, o.flag, word, kind, why or "taken"))
        end
        if o.default ~= nil then
          check.eq(options.parse(command, {})[options.key(o)], o.default)
          check.ok(options.help(name, command):find("; " .. tostring(o.default), 1, true), "help shows the default")
        end
      end
    end
  end
  print(("%d values tried, %d refused by name"):format(tried, refused))
  check.ok(tried > 500 and refused > 200, tried .. ", " .. refused)
end)

check.test("a refusal names the option, what is allowed, the value and what is near", function()
  local curve, report, sweep = commands.get "curve", commands.get "report", commands.get "sweep"
  local _, why = options.parse(curve, {"--points", "1"})
  check.eq(why, "--points needs an integer from 2 to 1000000, not '1'")
  _, why = options.parse(sweep, {"-j0"})
  check.eq(why, "--jobs needs an integer >= 1, not '0'")
  _, why = options.parse(report, {"--goal", "mix"})
  check.ok(why:find("--goal needs one of min|max, not 'mix'; did you mean", 1, true), why)
end)

check.done()
