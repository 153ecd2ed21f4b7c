--- rows: the workloads of the table, their sizes, and the bars they are held to.
-- bar: times faster than PyTorch {default, tuned} in processor time of one thread. bar2: two threads over one.
-- peak: fraction of the multiply-add peak. dec: PyTorch's own faster form of the decoder exists (sub-pixel). No bars: another way to
-- run the row above, for comparison.
local slots, paper = require "work_slots", require "work_paper"
local micro = require "work_micro"

local rows = {
  {id = "a", title = "broadcast autoencoder, train", batch = 32, bar = {2.2, 1.8}, peak = 0.7, dec = true, work = slots.a},
  {id = "b", title = "Transformer VAE, train", batch = 16, bar = {2.8, 1.7}, peak = 0.7, work = slots.b},
  {id = "ca", title = "broadcast decoder, search step", batch = 16, bar = {2.6, 1.7}, peak = 0.7, dec = true, work = slots.ca},
  {id = "cb", title = "pixel decoder, search step", batch = 16, bar = {3.3, 1.65}, peak = 0.7, work = slots.cb},
  {id = "da", title = "broadcast decoder, replay step", batch = 32, bar = {2.2, 1.7}, peak = 0.7, dec = true, work = slots.da},
  {id = "db", title = "pixel decoder, replay step", batch = 16, bar = {3.0, 1.7}, peak = 0.7, work = slots.db},
  {id = "fa", title = "broadcast, 2nd-derivative penalty", batch = 4, bar = {2, 1.6}, work = slots.fa},
  {id = "fa_fd", title = "  by differences", batch = 4, bar = {2, 1.6}, work = slots.fa_fd},
  {id = "fb", title = "pixel, 2nd-derivative penalty", batch = 2, bar = {2, 1.6}, work = slots.fb},
  {id = "fb_fd", title = "  by differences", batch = 2, bar = {2, 1.6}, work = slots.fb_fd},
  {id = "g_train", title = "the paper's decoder, train", batch = 4, bar = {3.5, 2.6}, peak = 0.7, work = paper.g_train},
  {id = "g_search", title = "the paper's decoder, search step", batch = 4, bar = {3, 2.6}, peak = 0.7, work = paper.g_search},
  {id = "h", title = "ViT-S/16 at 128 px, train", batch = 8, size = 128, bar = {1.3, 1.3}, work = paper.h},
  {id = "h_fast", title = "  everything kept", batch = 8, size = 128, bar = {}, work = paper.h_fast},
  {id = "h_small", title = "  its blocks recomputed", batch = 8, size = 128, bar = {}, work = paper.h_small},
  {id = "i_train", title = "the study's size, train", batch = 32, bar = {3, 3}, bar2 = 1.5, peak = 0.5, work = paper.i_train},
  {id = "i_search", title = "the study's size, search step", batch = 32, bar = {3.5, 3}, bar2 = 1.5, peak = 0.5, work = paper.i_search},
  {id = "i_replay", title = "the study's size, replay step", batch = 32, bar = {3, 3}, bar2 = 1.5, peak = 0.5, work = paper.i_replay},
}

local by_id = {}
for _, row in ipairs(rows) do
  row.size, row.bar2, row.family = row.size or 64, row.bar2 or row.bar[1] and 1.7, row.id:sub(1, 1)
  by_id[row.id] = row
end
for _, row in ipairs(micro) do by_id[row.id] = row end

local list = {all = rows, micro = micro}

--- The row called id.
function list.find(id) return by_id[id] or error("bench: no row '" .. tostring(id) .. "'", 0) end

--- Rows of the table that a list of ids, families ("c") or "all" names, in the table's order.
function list.choose(names)
  local want = {}
  for _, name in ipairs(names) do
    local found = name == "all" or name == "e" or name == "j"
    for _, row in ipairs(rows) do
      if row.id == name or row.family == name or row.id:match "^[^_]+" == name or name == "all" then
        want[row.id], found = true, true
      end
    end
    if not found then
      local known = {}
      for _, row in ipairs(rows) do known[#known + 1] = row.id end
      error(("bench: no row '%s'; known are all, %s, families like c, and e (single operations), j (small things)"):format(
        name, table.concat(known, ", ")), 0)
    end
  end
  local chosen = {}
  for _, row in ipairs(rows) do if want[row.id] then chosen[#chosen + 1] = row end end
  return chosen
end

return list
