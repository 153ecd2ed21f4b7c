--- What a study reports of slots and decoders, as rows of the run.
local T = require "percept.tensor"
local nn = require "percept.nn"
local interaction = require "percept.interaction"
local scenes = require "percept.study.scenes"

local measure = {}

-- Adds a row to the table of the study and to the run.
local function row(out, run, method, split, metric, factor, value, n)
  out[#out + 1] = {method = method, split = split, metric = metric, factor = factor, value = value}
  run:result{method = method, split = split, metric = metric, factor = factor, value = value, n = n}
end
measure.row = row

local function mean(t) return t:to("f32"):mean():item() end

--- Rows of accuracy of predicted classes (factor -> (N)): each factor, the mean of the animals, the mean of all; and, for
-- the far set of a split with two cells an image, the same where every cell was held out, as split "<name>_both".
function measure.accuracy(out, run, data, method, set, predicted)
  local name, index = set[1], set[2]
  local truth = scenes.labels(data.dataset, data.factors, index)
  local function score(split, pick)
    local sum, animals, n = 0, 0, pick and pick:size(1) or index:size(1)
    for _, f in ipairs(data.factors) do
      local right = predicted[f]:eq(truth[f])
      local value = mean(pick and right:to("f32"):index_select(1, pick) or right)
      row(out, run, method, split, "accuracy", f, value, n)
      sum = sum + value
      for _, a in ipairs(data.scored) do if a == f then animals = animals + value end end
    end
    row(out, run, method, split, "accuracy", data.scored_name, animals / #data.scored, n)
    row(out, run, method, split, "accuracy", "all", sum / #data.factors, n)
  end
  score(name)
  if name == data.far and data.both then score(name .. "_both", data.both) end
end

--- Rows of a decoder on slots z of a set: squared_error (mean over pixels and channels), interaction (of its
-- attention) and fg_ari (attention against the masks, foreground pixels; images without an animal left out).
function measure.decoder(out, run, data, method, set, decoder, z)
  local dataset, index = data.dataset, set[2]
  local has_masks = pcall(dataset.masks, dataset, index:narrow(1, 1, 1))
  local error_sum, inter_sum, ari_sum, ari_n, n = 0, 0, 0, 0, index:size(1)
  local attended = false
  T.no_grad(function()
    for from = 1, n, 128 do
      local count = math.min(128, n - from + 1)
      local part = index:narrow(1, from, count)
      local image, attention = decoder(z:narrow(1, from, count))
      error_sum = error_sum + nn.mse(image, dataset:images(part)):item() * count
      if attention then
        attended = true
        inter_sum = inter_sum + interaction.attention(attention):item() * count
        if has_masks then
          local _, ari = interaction.fg_ari(attention, dataset:masks(part))
          for _, v in ipairs(ari:to_table()) do
            if v == v then ari_sum, ari_n = ari_sum + v, ari_n + 1 end
          end
        end
      end
    end
  end)
  row(out, run, method, set[1], "squared_error", nil, error_sum / n, n)
  if attended then row(out, run, method, set[1], "interaction", nil, inter_sum / n, n) end
  if ari_n > 0 then row(out, run, method, set[1], "fg_ari", nil, ari_sum / ari_n, ari_n) end
end

--- Rows of a decoder's derivatives at the first `most` of slots z of a set (spread over it): mixed_hessian, the share of the
-- second derivatives' squares that lies between slots (0: additive); jis, how much a foreground pixel belongs to one slot by
-- the slot Jacobian (1: to one); j_ari, that Jacobian against the masks. Latents are weighed by their spread in the bank (N,K,m).
function measure.derivatives(out, run, data, method, set, decoder, z, bank, most)
  local n = math.min(most, z:size(1))
  local step = math.floor(z:size(1) / n)
  local some, index = z:narrow(1, 1, n, step):contiguous(), set[2]:narrow(1, 1, n, step):contiguous()
  local scale = bank:std(1)
  local h = interaction.hessian(decoder, some, {scale = scale})
  row(out, run, method, set[1], "mixed_hessian", nil, T.is_tensor(h.share) and h.share:mean():item() or h.share, n)
  local s = interaction.jacobian(decoder, some, {scale = scale})
  local has_masks, masks = pcall(data.dataset.masks, data.dataset, index)
  local jis = interaction.jis(s, has_masks and masks or nil)
  row(out, run, method, set[1], "jis", nil, T.is_tensor(jis) and jis:mean():item() or jis, n)
  if has_masks then row(out, run, method, set[1], "j_ari", nil, (interaction.fg_ari(s, masks)), n) end
end

return measure
