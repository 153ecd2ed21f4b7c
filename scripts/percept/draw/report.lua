--- Tables for people.
local report = {}

--- Prints accuracies: one line a method and split, one column a factor.
-- rows: {{method, split, factor, value}}, metric accuracy or none; options: factors, labels, methods, splits, chance
-- (factor -> value).
function report.accuracy_table(rows, options)
  local cell = {}
  for _, r in ipairs(rows) do
    if (r.metric or "accuracy") == "accuracy" then cell[r.method .. "/" .. r.split .. "/" .. r.factor] = r.value end
  end
  local names = {}
  for _, f in ipairs(options.factors) do names[#names + 1] = ("%8s"):format((options.labels or {})[f] or f) end
  local head = ("%-16s %-8s %s"):format("method", "split", table.concat(names))
  print("\naccuracy of the readouts")
  print(head)
  print(("-"):rep(#head))
  for _, split in ipairs(options.splits or {"id", "ood"}) do
    for _, method in ipairs(options.methods) do
      local line = {}
      for _, f in ipairs(options.factors) do
        local v = cell[method .. "/" .. split .. "/" .. f]
        line[#line + 1] = v and ("%8.3f"):format(v) or ("%8s"):format("")
      end
      print(("%-16s %-8s %s"):format(method, split, table.concat(line)))
    end
  end
  if options.chance then
    local line = {}
    for _, f in ipairs(options.factors) do line[#line + 1] = ("%8.3f"):format(options.chance[f] or 0) end
    print(("%-16s %-8s %s"):format("chance", "", table.concat(line)))
  end
end

return report
