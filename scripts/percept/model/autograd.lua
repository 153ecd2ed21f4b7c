--- autograd: derivatives of functions, made of percept.tensor's grad.
-- Installed into percept.tensor: jacobian, vjp, jvp, hessian.
local percept = require "percept"

return function(T)
  local function fail(...) error(string.format(...), 3) end

  -- Inputs of a derivative: fresh leaves, or, for create_graph, the tracked tensors themselves.
  local function leaves(x, create_graph)
    local list, single = x, T.is_tensor(x)
    if single then list = { x } end
    local out = {}
    for i, t in ipairs(list) do
      if not T.is_tensor(t) then fail("expected a tensor or a list of tensors, got %s at entry %d", type(t), i) end
      out[i] = create_graph and t:requires_grad() and t or t:detach():requires_grad_()
    end
    return out, single
  end

  local function value(name, fn, xs)
    local y = fn(unpack(xs))
    if not T.is_tensor(y) then fail("%s: the function returned %s instead of a tensor", name, type(y)) end
    return y
  end

  -- the same, for what is differentiated twice
  local function twice(name, fn, xs) return T.higher_order(value, name, fn, xs) end

  local function give(list, single)
    if single then return list[1] end
    return list
  end

  local function joined(a, b)
    local size = {}
    for _, s in ipairs(a) do size[#size + 1] = s end
    for _, s in ipairs(b) do size[#size + 1] = s end
    return size
  end

  -- J[i] of shape y:size() .. xs[i]:size()
  local function jacobian_of(y, xs, create_graph)
    local n = y:numel()
    local rows = {}
    for i = 1, #xs do rows[i] = {} end
    local flat = T.zeros(n, { dtype = y:dtype() })
    for k = 1, n do
      flat:zero_()
      flat[k] = 1
      local g = T.grad(y, xs, { grad_outputs = flat:reshape(y:size()):clone(), create_graph = create_graph,
        retain_graph = true, allow_unused = true })
      for i, x in ipairs(xs) do rows[i][k] = g[i] or T.zeros_like(x) end
    end
    local out = {}
    for i, x in ipairs(xs) do
      local size = joined(y:size(), x:size())
      out[i] = n > 0 and T.stack(rows[i]):reshape(size) or T.zeros(size, { dtype = x:dtype() })
    end
    return out
  end

  local function jacobian(fn, x, create_graph)
    local xs, single = leaves(x, create_graph)
    return T.enable_grad(function()
      local y = value("jacobian", fn, xs)
      if not y:requires_grad() then
        local out = {}
        for i, t in ipairs(xs) do out[i] = T.zeros(joined(y:size(), t:size()), { dtype = t:dtype() }) end
        return give(out, single)
      end
      return give(jacobian_of(y, xs, create_graph), single)
    end)
  end

  local function hessian(fn, x, create_graph)
    local xs = leaves({ x }, create_graph)
    return T.enable_grad(function()
      local y = twice("hessian", fn, xs)
      if y:numel() ~= 1 then fail("hessian: the function returned %d values instead of one", y:numel()) end
      local g = T.grad(y, xs[1], { create_graph = true, allow_unused = true })
      if not g or not g:requires_grad() then return T.zeros(joined(x:size(), x:size()), { dtype = x:dtype() }) end
      return jacobian_of(g, xs, create_graph)[1]
    end)
  end

  local function vjp(fn, x, v, create_graph)
    local xs, single = leaves(x, create_graph)
    return T.enable_grad(function()
      local y = value("vjp", fn, xs)
      local g = T.grad(y, xs, { grad_outputs = v, create_graph = create_graph, allow_unused = true })
      for i, t in ipairs(xs) do g[i] = g[i] or T.zeros_like(t) end
      return create_graph and y or y:detach(), give(g, single)
    end)
  end

  -- J v, by differentiating u -> Jᵀu, which is linear in u, in the direction v.
  local function jvp(fn, x, v, create_graph)
    local xs, single = leaves(x, create_graph)
    local vs = single and { v } or v
    return T.enable_grad(function()
      local y = twice("jvp", fn, xs)
      local u = T.zeros_like(y, { requires_grad = true })
      local g = y:requires_grad() and T.grad(y, xs, { grad_outputs = u, create_graph = true, allow_unused = true }) or {}
      local gs, ws = {}, {}
      for i = 1, #xs do
        if g[i] and g[i]:requires_grad() then
          gs[#gs + 1], ws[#ws + 1] = g[i], vs[i]
        end
      end
      local out = #gs > 0 and T.grad(gs, u, { grad_outputs = ws, create_graph = create_graph, allow_unused = true })
      return create_graph and y or y:detach(), out or T.zeros_like(y)
    end)
  end

  local function install(name, signature, fn, help)
    T[name] = percept.declare(name, signature, fn, help)
  end
  install("jacobian", "fn:function, x:any, create_graph:bool=false", jacobian,
    "d fn(x) / d x, of shape y:size() .. x:size(); a list for a list of inputs")
  install("hessian", "fn:function, x:tensor, create_graph:bool=false", hessian,
    "second derivatives of a one-element fn(x), of shape x:size() .. x:size()")
  install("vjp", "fn:function, x:any, v:tensor?, create_graph:bool=false", vjp, "fn(x) and v·J")
  install("jvp", "fn:function, x:any, v:any, create_graph:bool=false", jvp, "fn(x) and J·v")
end
