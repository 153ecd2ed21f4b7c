--- interaction: how much slots interact in a decoder, and how far an encoder keeps what that asks of it.
--
--   percept.interaction.attention(a)               the training penalty, from slot attention (B,Q,K)
--   percept.interaction.jacobian(decoder, z)       which slot each pixel depends on: S (B,P,K)
--   percept.interaction.jis(S), .fg_ari(S, masks)  one slot a pixel? the objects' pixels?
--   percept.interaction.hessian(decoder, z)        blocks of second derivatives; 0 off the diagonal: additive (n = 1)
--   percept.interaction.contrast(decoder, z)       compositional contrast; 0: no pixel sees two slots (n = 0)
--   percept.interaction.tangent(encoder, decoder, z)   the condition on encoders of additive decoders
--
-- A decoder is a module or a Lua function from slots z (B,K,m) to images (B,H,W,C), or to anything (B,...,C) or (B,D);
-- its pixels are the places P = H*W (of (B,D): D). By default derivatives are central differences along slot directions:
-- decodes without gradients, for any decoder. `batch`: decodes at once.
local percept = require "percept"
local T = require "percept.tensor"
local metrics = require "percept.metrics"
local engine = require "percept.interaction.c"

local interaction = {attention = engine.attention}

local function fail(...) error(string.format(...), 0) end

local function declare(name, signature, fn, help)
  interaction[name] = percept.declare("interaction." .. name, signature, fn, help)
end

-- ---- functions of slots, many at a time ----

-- The first result of a module or function, checked: (n,...) for n slot sets.
local function caller(name, f, what)
  if type(f) ~= "function" and type(f) ~= "userdata" and type(f) ~= "table" then
    fail("%s: the %s is %s; a module or a function is expected", name, what, type(f))
  end
  return function(z)
    local y = f(z)
    if not T.is_tensor(y) or y:dim() < 2 or y:size(1) ~= z:size(1) then
      fail("%s: the %s gave %s for %d inputs; a tensor (%d,...) is expected", name, what,
        T.is_tensor(y) and "a tensor (" .. table.concat(y:shape(), ",") .. ")" or type(y), z:size(1), z:size(1))
    end
    return y
  end
end

local function check_slots(name, z)
  if z:dim() ~= 3 or z:size(1) < 1 then
    fail("%s: slots must be (B,K,m) of at least one image, got (%s)", name, table.concat(z:shape(), ","))
  end
end

-- f of every tensor of the list (all of one shape), `batch` items at once: list of results.
local function apply(f, list, batch)
  local n, out, from = list[1]:size(1), {}, 1
  local at_once = math.max(1, math.floor(batch / n))
  while from <= #list do
    local some = {}
    for i = from, math.min(from + at_once - 1, #list) do some[#some + 1] = list[i] end
    local y = f(#some > 1 and T.cat(some, {dim = 1}) or some[1])
    for i = 1, #some do out[#out + 1] = y:narrow(1, (i - 1) * n + 1, n) end
    from = from + #some
  end
  return out
end

-- Chunks of z of at most `batch` images, so that one direction of one chunk is at most one call; results joined.
local function by_images(z, batch, fn)
  if z:size(1) <= batch then return fn(z) end
  local parts
  for from = 1, z:size(1), batch do
    local some = {fn(z:narrow(1, from, math.min(batch, z:size(1) - from + 1)))}
    parts = parts or {}
    for i, t in ipairs(some) do
      parts[i] = parts[i] or {}
      parts[i][#parts[i] + 1] = t
    end
  end
  for i, list in ipairs(parts) do parts[i] = T.cat(list, {dim = 1}) end
  return unpack(parts)
end

-- Direction with `values` (m) or (B,m) in slot k of a z-shaped zero tensor.
local function in_slot(z, k, values)
  local v = T.zeros(z:shape(), {dtype = z:dtype()})
  v:select(2, k):copy_(values:dim() == 1 and values:unsqueeze(1):expand(z:size(1), z:size(3)) or values)
  return v
end

local function scale_of(name, scale, z)
  if not scale then return T.ones(z:size(2), z:size(3), {dtype = z:dtype()}) end
  local k, m = z:size(2), z:size(3)
  local fits = scale:dim() == 2 and scale:size(1) == k and scale:size(2) == m or scale:dim() == 1 and scale:size(1) == m
  if not fits then fail("%s: scale must be (%d,%d) or (%d), got (%s)", name, k, m, m, table.concat(scale:shape(), ",")) end
  return scale:to(z:dtype()) * T.ones(k, m, {dtype = z:dtype()})
end

local function step_of(eps, z, coarse, fine)
  if eps > 0 then return eps end
  return z:dtype() == "f64" and fine or coarse
end

-- ---- slot Jacobians ----

-- images (B,...,C) or (B,D) as (B,P,C)
local function pixels_of(y)
  if y:dim() == 2 then return y:unsqueeze(3) end
  return y:reshape(y:size(1), y:numel() / (y:size(1) * y:size(y:dim())), y:size(y:dim()))
end

-- Calls each(k, d) with d (B,P,C), the derivative in every direction of slot k.
local function directions(f, z, o, each)
  local scale = scale_of(o.name, o.scale, z)
  local h = step_of(o.eps, z, 1e-2, 1e-4)
  for k = 1, z:size(2) do
    if o.method == "exact" then
      for a = 1, z:size(3) do
        local v = in_slot(z, k, T.eye(z:size(3), {dtype = z:dtype()}):select(1, a) * scale:select(1, k))
        local _, d = T.jvp(f, z, v, {create_graph = o.create_graph})
        each(k, pixels_of(d))
      end
    else
      local list = {}
      for a = 1, z:size(3) do
        local v = in_slot(z, k, T.eye(z:size(3), {dtype = z:dtype()}):select(1, a) * scale:select(1, k)) * h
        list[#list + 1] = z + v
        list[#list + 1] = z - v
      end
      local y = apply(f, list, o.batch)
      for a = 1, z:size(3) do each(k, pixels_of(y[2 * a - 1] - y[2 * a]) / (2 * h)) end
    end
  end
end

-- reduce(d) of every direction, summed over the directions of a slot: (B,P,K)
local function slot_sums(f, z, o, reduce)
  local sums = {}
  directions(f, z, o, function(k, d)
    local part = reduce(d)
    sums[k] = sums[k] and sums[k] + part or part
  end)
  return T.stack(sums, {dim = 3})
end

local function maybe_grad(create_graph, fn)
  if create_graph then return fn() end
  return T.no_grad(fn)
end

local jacobian_options = "eps:num=0, method:str(differences|exact)=differences, scale:tensor?, batch:int=64"

declare("jacobian", "decoder:any, z:tensor, normalise:bool=true, " .. jacobian_options,
  function(decoder, z, normalise, eps, method, scale, batch)
    check_slots("interaction.jacobian", z)
    local f = caller("interaction.jacobian", decoder, "decoder")
    local o = {name = "interaction.jacobian", eps = eps, method = method, scale = scale, batch = batch}
    return T.no_grad(function()
      return by_images(z, batch, function(part)
        local s = slot_sums(f, part, o, function(d) return d:abs():sum(3) end)
        if not normalise then return s end
        return s / (s:sum(3, true) + 1e-30)
      end)
    end)
  end,
  "slot Jacobian S (B,P,K): sum over channels and slot numbers of |d x_p / d z_k|, each pixel's divided by their sum over "
  .. "slots (a pixel that depends on nothing keeps 0) (arXiv 2411.07784). eps: step of the central differences (0.01; f64 "
  .. "1e-4); exact: 2 K m passes of gradients; scale (K,m) or (m): derivatives with respect to z / scale")

-- The mean of the numbers that are not NaN, and the tensor.
local function mean_of(values)
  local sum, n = 0, 0
  for _, v in ipairs(values:to_table()) do
    if v == v then sum, n = sum + v, n + 1 end
  end
  return n > 0 and sum / n or 0 / 0, values
end

-- ---- slots as masks ----

-- The grid (h,w) of q places in the proportions of height x width.
local function grid_of(name, q, height, width)
  local h = math.floor(math.sqrt(q * height / width) + 0.5)
  if h < 1 or q % h ~= 0 or math.abs(q / h / h - width / height) > 1e-6 then
    fail("%s: %d places are no grid in the proportions of %d x %d", name, q, height, width)
  end
  return h, q / h
end

-- Along dimension dim to `size`, linear between the centres of places, the last one kept outside of them.
local function resize_along(x, dim, size)
  local from = x:size(dim)
  if from == size then return x end
  local low, high, weight = {}, {}, {}
  for i = 1, size do
    local at = math.min(math.max((i - 0.5) * from / size + 0.5, 1), from)
    low[i] = math.floor(at)
    high[i], weight[i] = math.min(low[i] + 1, from), at - low[i]
  end
  local shape = {1, 1, 1, 1}
  shape[dim] = size
  local w = T.tensor(weight, {dtype = x:dtype()}):reshape(shape)
  local function pick(list) return x:index_select(dim, T.tensor(list, {dtype = "i64"})) end
  return pick(low) * (1 - w) + pick(high) * w
end

local function check_weights(name, a)
  if a:dim() ~= 3 then
    fail("%s: slot attention or a slot Jacobian (B,Q,K) is expected, got (%s)", name, table.concat(a:shape(), ","))
  end
end

local function segment(name, a, height, width)
  check_weights(name, a)
  local h, w = grid_of(name, a:size(2), height, width)
  return T.no_grad(function()
    local map = a:detach():reshape(a:size(1), h, w, a:size(3))
    local _, slot = resize_along(resize_along(map, 2, height), 3, width):max(4)
    return slot
  end)
end

declare("segment", "weights:tensor, height:int, width:int", function(a, height, width)
  return segment("interaction.segment", a, height, width)
end, "the slot that looks most at each pixel, i64 (B,height,width): attention or slot Jacobian (B,Q,K), bilinear from its grid of Q "
  .. "places, then argmax")

local function fg_ari(name, a, masks, background)
  if masks:dim() == 4 and masks:size(4) == 1 then masks = masks:squeeze(4) end
  if masks:dim() ~= 3 or masks:size(1) ~= a:size(1) then
    fail("%s: masks must be (%d,H,W) labels, got (%s)", name, a:size(1), table.concat(masks:shape(), ","))
  end
  if masks:dtype() == "f32" or masks:dtype() == "f64" then
    if masks:isfinite():all():item() == 0 then fail("%s: masks are labels; these hold NaN or infinity", name) end
    masks = masks:long()
  end
  local found = metrics.fg_ari(segment(name, a, masks:size(2), masks:size(3)), masks, background)
  local nan = a:isnan():any({2, 3}):reshape(a:size(1)) -- no argmax there, and no mean
  if nan:any():item() == 1 then return 0 / 0, found:masked_fill(nan, 0 / 0) end
  return mean_of(found)
end

declare("fg_ari", "weights:tensor, masks:tensor, background:int=0", function(a, masks, background)
  check_weights("interaction.fg_ari", a)
  return fg_ari("interaction.fg_ari", a, masks, background)
end, "adjusted Rand index of interaction.segment(weights (B,Q,K)) against masks (B,H,W) on the pixels whose mask is not `background`: "
  .. "mean over images that have some, and f64 (B); NaN: none, or weights of NaN. Of a slot Jacobian it is the J-ARI of arXiv 2411.07784")

declare("ari",
  "decoder:any, z:tensor, masks:tensor, from:str(attention|jacobian)=attention, background:int=0, " .. jacobian_options,
  function(decoder, z, masks, from, background, eps, method, scale, batch)
    check_slots("interaction.ari", z)
    local weights
    if from == "jacobian" then
      weights = interaction.jacobian(decoder, z, {eps = eps, method = method, scale = scale, batch = batch})
    else
      weights = T.no_grad(function()
        return by_images(z, batch, function(part)
          local _, a = decoder(part)
          if not a then fail('interaction.ari: this decoder gives no slot attention; use from = "jacobian"') end
          return a
        end)
      end)
    end
    return fg_ari("interaction.ari", weights, masks, background)
  end, "FG-ARI of a decoder's slot attention or slot Jacobian at z (B,K,m) against masks (B,H,W): see fg_ari -> mean, f64 (B)")

declare("j_ari", "decoder:any, z:tensor, masks:tensor, background:int=0, " .. jacobian_options,
  function(decoder, z, masks, background, eps, method, scale, batch)
    return interaction.ari(decoder, z, masks, {from = "jacobian", background = background, eps = eps, method = method, scale = scale,
      batch = batch})
  end, "J-ARI: FG-ARI of argmax over slots of the slot Jacobian -> mean, f64 (B) (arXiv 2411.07784)")

declare("jis", "weights:tensor, masks:tensor?, background:int=0", function(s, masks, background)
  check_weights("interaction.jis", s)
  local k = s:size(3)
  if k < 2 then fail("interaction.jis: one slot alone cannot interact; K must be at least 2") end
  return T.no_grad(function()
    local total = s:sum(3)
    local use = total:gt(0):double()
    if masks then
      if masks:numel() ~= s:size(1) * s:size(2) then
        fail("interaction.jis: masks (%s) are not one label for each of the %d pixels of %d images", table.concat(masks:shape(), ","),
          s:size(2), s:size(1))
      end
      use = use * masks:reshape(s:size(1), s:size(2)):ne(background):double()
    end
    local most = s:max(3) / (total + 1e-30)
    local v = (most:double() - 1 / k) / (1 - 1 / k)
    if s:isnan():any():item() == 1 then return 0 / 0, (v * use):sum(2) / use:sum(2) end
    return mean_of((v * use):sum(2) / use:sum(2))
  end)
end, "JIS of a slot Jacobian or attention (B,P,K): mean over pixels of max_k S, S summing to 1 over slots, rescaled to "
  .. "(v - 1/K)/(1 - 1/K): 1 when every pixel depends on one slot. masks (B,H,W): only where they are not `background`; pixels that "
  .. "depend on no slot are left out -> mean, f64 (B) (arXiv 2411.07784)")

-- ---- compositional contrast ----

-- sum_{i<j} n_i n_j of norms (B,P,K) -> (B,P)
local function pairs_of(n) return (n:sum(3):square() - n:square():sum(3)) * 0.5 end

declare("contrast", "decoder:any, z:tensor, image:bool=false, create_graph:bool=false, " .. jacobian_options,
  function(decoder, z, image, create_graph, eps, method, scale, batch)
    check_slots("interaction.contrast", z)
    local f = caller("interaction.contrast", decoder, "decoder")
    local o = {name = "interaction.contrast", eps = eps, method = method, scale = scale, batch = batch, create_graph = create_graph}
    local function outputs(x) -- image: channels of a pixel together; otherwise every output for itself
      local y = f(x)
      return image and y or y:reshape(y:size(1), y:numel() / y:size(1))
    end
    return maybe_grad(create_graph, function()
      local c = by_images(z, batch, function(part)
        local square = slot_sums(outputs, part, o, function(d) return d:square():sum(3) end)
        local norm = (square + 1e-20):sqrt() * square:gt(0):type_as(square) -- no dependence is 0, and has a gradient
        if not image then return pairs_of(norm):sum(2) end
        local mean = norm:mean(3, true)
        local weight = mean / (mean:max(2, true) + 1e-20)
        return (pairs_of(norm / (mean + 1e-20)) * weight:squeeze(3)):sum(2)
      end)
      return c:mean(), c
    end)
  end,
  "compositional contrast (arXiv 2305.14229): mean over images of sum_p sum_{i<j} |J_pi| |J_pj|, J_pk the gradient of output p in "
  .. "slot k; 0 when no output depends on two slots. image: p is a pixel, its norms divided by their mean over slots, weighted by that "
  .. "mean over the largest of the image -> 0-dim mean, (B). create_graph: a loss")

-- ---- second derivatives ----

-- {blocks (B,K,K), mixed, within, share (B)} of mean squares (B) by pair {[i][j]}
local function summary(squares, k)
  local rows = {}
  for i = 1, k do
    local row = {}
    for j = 1, k do row[j] = squares[math.min(i, j)][math.max(i, j)]:double() end
    rows[i] = T.stack(row, {dim = 2})
  end
  local all = T.stack(rows, {dim = 2})
  local eye = T.eye(k, {dtype = "f64"})
  local within, mixed = (all * eye):sum({2, 3}), (all * (1 - eye)):sum({2, 3})
  return {blocks = all:sqrt(), within = within:sqrt(), mixed = mixed:sqrt(), share = mixed / (within + mixed + 1e-300)}
end

-- Pairs of directions (u, v, weight) for slots i and j: random probes, or every pair of slot numbers.
local function probe_pairs(z, probes, scale, i, j)
  local list, m = {}, z:size(3)
  local function direction(k, values) return in_slot(z, k, values * scale:select(1, k)) end
  if probes > 0 then
    for _ = 1, probes do
      local u, v = T.randn(z:size(1), m, {dtype = z:dtype()}), T.randn(z:size(1), m, {dtype = z:dtype()})
      list[#list + 1] = {direction(i, u), direction(j, v), 1 / probes}
    end
  else
    local eye = T.eye(m, {dtype = z:dtype()})
    for a = 1, m do
      for b = 1, m do list[#list + 1] = {direction(i, eye:select(1, a)), direction(j, eye:select(1, b)), 1} end
    end
  end
  return list
end

local function per_image(y) return y:reshape(y:size(1), y:numel() / y:size(1)) end

-- Mean over outputs of (d^2 f / du dv)^2 by four decodes around z, (B)
local function by_differences(f, z, u, v, h, batch)
  local y = apply(f, {z + (u + v) * h, z + (u - v) * h, z - (u - v) * h, z - (u + v) * h}, batch)
  return per_image((y[1] - y[2] - y[3] + y[4]) / (4 * h * h)):square():mean(2)
end

-- The same by gradients: of every output p (or of `outputs` random ones) d (d f_p/dx . u)/dx . v, squared.
local function by_gradients(f, x, u, v, outputs)
  local leaf = x:detach():requires_grad_()
  return T.enable_grad(function()
    local y = per_image(T.higher_order(f, leaf))
    local d, sum = y:size(2), nil
    local picks = {}
    if outputs > 0 and outputs < d then
      for i = 1, outputs do picks[i] = T.randint(1, d + 1, {1}):item() end
    else
      for i = 1, d do picks[i] = i end
    end
    for _, p in ipairs(picks) do
      local g = T.grad(y:select(2, p):sum(), leaf, {create_graph = true, allow_unused = true})
      local h = g and g:requires_grad() and T.grad((g * u):sum(), leaf, {retain_graph = true, allow_unused = true})
      local part = h and per_image(h * v):sum(2):square() or T.zeros(x:size(1), {dtype = x:dtype()})
      sum = (sum and sum + part or part):detach()
    end
    return sum / #picks
  end)
end

local second_options = "probes:int=4, method:str(differences|exact)=differences, eps:num=0, outputs:int=0, scale:tensor?, batch:int=64"

declare("hessian", "decoder:any, z:tensor, " .. second_options, function(decoder, z, probes, method, eps, outputs, scale, batch)
  check_slots("interaction.hessian", z)
  local f, k = caller("interaction.hessian", decoder, "decoder"), z:size(2)
  local h = step_of(eps, z, 0.1, 1e-3)
  scale = scale_of("interaction.hessian", scale, z)
  local squares = {}
  T.no_grad(function()
    for i = 1, k do
      squares[i] = {}
      for j = i, k do
        squares[i][j] = by_images(z, batch, function(part)
          local sum
          for _, p in ipairs(probe_pairs(part, probes, scale, i, j)) do
            local square = method == "exact" and by_gradients(f, part, p[1], p[2], outputs)
              or by_differences(f, part, p[1], p[2], h, batch)
            sum = sum and sum + square * p[3] or square * p[3]
          end
          return sum
        end)
      end
    end
  end)
  return summary(squares, k)
end, "norms of the blocks D2_ij f, slots i and j, at z (B,K,m): {blocks (B,K,K): root mean square over outputs of the Frobenius norm; "
  .. "within, mixed (B): of the diagonal blocks, of the others; share (B): mixed^2 / (within^2 + mixed^2)}, f64. mixed is 0 for additive "
  .. "decoders (arXiv 2411.07784). E (u' D2_ij f v)^2 over normal u, v is the square of the norm: `probes` pairs of directions, or all "
  .. "pairs of slot numbers (0). differences: four decodes a pair, step eps (0.1; f64 1e-3); exact: gradients of gradients for every "
  .. "output or `outputs` random ones. scale (K,m) or (m): with respect to z / scale")

declare("tangent", "encoder:any, decoder:any, z:tensor, x:tensor?, " .. second_options,
  function(encoder, decoder, z, x, probes, method, eps, outputs, scale, batch)
    check_slots("interaction.tangent", z)
    local f, g, k = caller("interaction.tangent", decoder, "decoder"), caller("interaction.tangent", encoder, "encoder"), z:size(2)
    local h, small = step_of(eps, z, 0.1, 1e-3), step_of(0, z, 1e-2, 1e-4)
    scale = scale_of("interaction.tangent", scale, z)
    if x and x:size(1) ~= z:size(1) then fail("interaction.tangent: %d images for %d slot sets", x:size(1), z:size(1)) end
    local squares = {}
    T.no_grad(function()
      local function pair(part, image, i, j)
        local sum
        for _, p in ipairs(probe_pairs(part, probes, scale, i, j)) do
          local y = apply(f, {part + p[1] * small, part - p[1] * small, part + p[2] * small, part - p[2] * small}, batch)
          local u, v = (y[1] - y[2]) / (2 * small), (y[3] - y[4]) / (2 * small) -- J u, J v: tangents of the images
          local square = method == "exact" and by_gradients(g, image, u, v, outputs) or by_differences(g, image, u, v, h, batch)
          sum = sum and sum + square * p[3] or square * p[3]
        end
        return sum
      end
      for i = 1, k do
        squares[i] = {}
        for j = i, k do
          local parts = {}
          for from = 1, z:size(1), batch do
            local count = math.min(batch, z:size(1) - from + 1)
            local part = z:narrow(1, from, count)
            parts[#parts + 1] = pair(part, x and x:narrow(1, from, count) or f(part), i, j)
          end
          squares[i][j] = T.cat(parts, {dim = 1})
        end
      end
    end)
    return summary(squares, k)
  end, "how far an encoder g keeps the condition on inverses of additive decoders: slot blocks of J' D2 g_l J, J = Df(z) the tangents of "
    .. "the images x (left out: f(z)), mean over latents l: {blocks, within, mixed, share} as of hessian. mixed is 0 at g = the inverse "
    .. "of an additive f (two derivatives of g(f(z)) = z; arXiv 2512.08854, Eq. 3.4)")

return interaction
