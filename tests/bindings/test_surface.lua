-- The whole surface: every function is declared, explained and refuses nonsense without harm.
local check = dofile "tests/lua/check.lua"
local percept = require "percept"
local T = require "percept.tensor"
local help = require "percept.help"

local wanted = {
  functions = [[
    zeros ones full empty arange linspace eye rand randn randint randperm tensor from_table zeros_like ones_like
    rand_like randn_like full_like empty_like manual_seed generator get_rng_state set_rng_state
    get_default_dtype set_default_dtype set_num_threads get_num_threads printoptions is_tensor
    exp log sqrt rsqrt abs clamp relu gelu silu elu leaky_relu sigmoid tanh softplus sin cos erf where maximum minimum
    sum mean var std max min argmax argmin norm logsumexp prod any all cumsum softmax log_softmax
    matmul bmm addmm einsum sort topk cat stack split chunk repeat
    svd qr solve lstsq cholesky eigh inverse
    conv2d conv_transpose2d avg_pool2d max_pool2d upsample grid_sample affine_grid layer_norm group_norm
    gather scatter_add index_select
    grad no_grad enable_grad is_grad_enabled set_grad_enabled jacobian jvp vjp hessian custom gradcheck anomaly]],
  methods = [[
    t permute transpose narrow select view reshape expand unfold squeeze unsqueeze flatten contiguous clone
    size shape stride dim ndim numel dtype is_contiguous ptr item to_table to float double long int byte type_as
    add_ sub_ mul_ div_ fill_ zero_ copy_ clamp_ uniform_ normal_
    eq ne lt le gt ge sum mean max min argmax argmin std var softmax matmul sort topk gather scatter_add
    requires_grad_ requires_grad is_leaf backward detach zero_grad chunk split unbind same_storage]],
}

for where, names in pairs(wanted) do
  local from = where == "methods" and T.methods or T
  for name in names:gmatch "%S+" do
    check.test(where .. " " .. name, function()
      check.eq(type(from[name]), "function", name)
    end)
  end
end

check.test("every function and method is declared with a help line", function()
  local missing = {}
  for _, from in ipairs { T, T.methods } do
    for name, fn in pairs(from) do
      if type(fn) == "function" then
        local usage, text = percept.usage(fn)
        if not usage or text == "" then missing[#missing + 1] = name end
      end
    end
  end
  check.eq(missing, {})
end)

check.test("help knows every function", function()
  for name, fn in pairs(T) do
    if type(fn) == "function" then check.ok(#help.text(fn) > #name, name) end
  end
  check.ok(help.text("softmax"):find("softmax(x", 1, true))
  check.ok(help.text(T.zeros(2)):find("requires_grad_", 1, true))
  check.ok(help.text():find("percept.tensor", 1, true))
end)

-- Every function gets wrong kinds, numbers and shapes of arguments: an error is a string, nothing breaks.
check.test("nonsense is refused politely", function()
  local x, y, n = T.rand(2, 3), T.rand(4), T.zeros(0, 2)
  local i = T.tensor({ 1, 99 }, { dtype = "i64" })
  local lists = {
    {}, { x }, { x, y }, { "a" }, { x, "a" }, { x, 9 }, { x, -9 }, { x, { 1, 2, 3 } }, { n }, { n, 1 }, { i }, { i, i },
    { x, i }, { x, 1, i }, { x, 2, i, y }, { { x, y } }, { { x, 1 } }, { x, { bogus = 1 } }, { nil, x }, { x, x, x },
    { y, y, y, y }, { T.zeros() }, { T.zeros(), T.zeros() }, { x, 1e300 }, { x, 0 / 0 }, { x, 0.5 }, { true },
    { type }, { x, x:byte() }, { x, x:long(), 3 }, { T.zeros(1, 2, 2, 1), T.zeros(1, 3, 3, 1) },
  }
  local skip = { set_num_threads = true, anomaly = true, set_grad_enabled = true, set_default_dtype = true,
    printoptions = true, manual_seed = true, set_rng_state = true }
  for _, from in ipairs { T, T.methods } do
    for name, fn in pairs(from) do
      if type(fn) == "function" and not skip[name] then
        for k, list in ipairs(lists) do
          local ok, why = pcall(fn, unpack(list, 1, 5))
          if not ok then check.ok(type(why) == "string" and #why > 5, name .. " " .. k) end
        end
      end
    end
  end
  check.near((T.ones(2) + 1):to_table(), { 2, 2 })
  check.eq(T.is_grad_enabled(), true)
end)

check.done()
