--- flops: operations of a step, counted from shapes, never measured.
-- A multiply-add counts 2. A layer's backward costs its forward twice: once for the gradient of its input, once
-- for that of its weight; `first` layers need no gradient of their input. Attention of many queries over few keys
-- is counted in its cheaper order (folded). Element-wise work (norms, activations, softmax, optimiser) is not
-- counted: it is a few per cent, and a step that hides it should show a higher fraction of the peak.
-- Convolutions count all taps, those over the border, too (4 to 14 % of a transposed convolution's).
local flops = {}

--- (rows, from) -> (rows, to)
function flops.linear(rows, from, to) return 2 * rows * from * to end

--- Linear layers in a row through the widths.
function flops.mlp(rows, widths)
  local sum = 0
  for i = 2, #widths do sum = sum + flops.linear(rows, widths[i - 1], widths[i]) end
  return sum
end

--- Convolution: pixels of its output; transposed convolution: pixels of its input.
function flops.conv(pixels, kernel, from, to) return 2 * pixels * kernel * kernel * from * to end

--- Attention, projections included: n queries of `width` over m keys from `context`, inner width, heads.
-- plain:  q, o projections 4 n width inner, scores and context 4 n m inner
-- folded: W_q and W_o multiplied into the m keys and values of each head once, 4 m inner width;
--         then a query pays 4 heads m width
-- few:    W_k and W_v multiplied into the n queries and contexts of each head, so that tokens are read as they are
function flops.attention(n, m, width, context, inner, heads)
  local keys = 2 * flops.linear(m, context, inner)
  local plain = keys + 4 * n * width * inner + 4 * n * m * inner
  local folded = keys + 4 * m * inner * width + 4 * n * heads * m * width
  local few = 4 * n * width * inner + 4 * n * inner * context + 4 * n * heads * m * context
  return math.min(plain, folded, few)
end

--- Training: forward and both gradients; `first` are the forward operations whose input wants no gradient.
function flops.train(forward, first) return 3 * forward - (first or 0) end

--- Search: forward and the gradient of the inputs. `fixed` are forward operations that do not depend on the slots.
function flops.search(forward, fixed) return 2 * forward - (fixed or 0) end

return flops
