#!/usr/bin/env python3
"""Writes golden.safetensors: inputs, outputs and gradients of PyTorch for tests/golden/test_golden.lua.

Run with PyTorch >= 1.13 and NumPy (Debian: python3-torch):  python3 tests/golden/dump.py
The product does not need this; the file it writes is committed.

A case is a function of named inputs in the engine's layouts (images (N,H,W,C), weights
(O,kh,kw,I/groups) and (I,kh,kw,O/groups), positions from 1); it converts to PyTorch's inside,
so that gradients come back in the engine's layouts as well. Of a case NAME the file holds
  NAME/in.X    input X: f32 numbers that are exact in f64, or i64, or u8
  NAME/out.K   K-th output, f64 (or i64 positions, from 1)
  NAME/cot.K   the weights of the loss  sum_K sum(out.K * cot.K), f32
  NAME/grad.X  gradient of the loss by X, f64
  NAME/hess.X  gradient by X of the sum of the squares of all grad.*, f64 (cases with second=True)
All computed in f64. Seeded: two runs write the same bytes on one version of PyTorch.
"""
import json
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(20240)
store = {}


def put(name, a):
    assert name not in store, name
    store[name] = np.array(a, order="C")


def randn(*size, scale=1.0, shift=0.0):
    return (rng.standard_normal(size) * scale + shift).astype(np.float32)


def uniform(low, high, *size):
    return rng.uniform(low, high, size).astype(np.float32)


def ints(low, high, *size):
    """whole numbers low..high, both included"""
    return rng.integers(low, high + 1, size).astype(np.int64)


def case(name, fn, second=False, nograd=(), **inputs):
    t = {}
    for key, a in inputs.items():
        put(f"{name}/in.{key}", a)
        if a.dtype == np.float32:
            t[key] = torch.tensor(a.astype(np.float64), requires_grad=key not in nograd)
        else:
            t[key] = torch.tensor(a)
    named = getattr(getattr(fn, "__code__", None), "co_flags", 0) & 8  # fn takes **names
    out = fn(**t) if named else fn(*t.values())
    out = out if isinstance(out, (tuple, list)) else (out,)
    loss = 0
    for k, y in enumerate(out, 1):
        if y.dtype != torch.float64:
            put(f"{name}/out.{k}", y.numpy().astype(np.int64))
            continue
        put(f"{name}/out.{k}", y.detach().numpy())
        if y.requires_grad:
            cot = randn(*y.shape)
            put(f"{name}/cot.{k}", cot)
            loss = loss + (y * torch.tensor(cot.astype(np.float64))).sum()
    leaves = [key for key in t if t[key].requires_grad]
    if not leaves or not torch.is_tensor(loss):
        return
    grads = torch.autograd.grad(loss, [t[k] for k in leaves], create_graph=second)
    for key, g in zip(leaves, grads):
        put(f"{name}/grad.{key}", g.detach().numpy())
    if second:
        hess = torch.autograd.grad(sum((g * g).sum() for g in grads), [t[k] for k in leaves], allow_unused=True)
        for key, g in zip(leaves, hess):
            put(f"{name}/hess.{key}", (torch.zeros_like(t[key]) if g is None else g).numpy())


def chw(x):  # (N,H,W,C) -> (N,C,H,W)
    return x.permute(0, 3, 1, 2)


def hwc(x):
    return x.permute(0, 2, 3, 1)


def pointwise():
    x = randn(3, 7, scale=2)
    for name, fn in {
        "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "sigmoid": torch.sigmoid,
        "tanh": torch.tanh, "softplus": F.softplus, "softplus_beta": lambda x: F.softplus(x, 3, 4), "erf": torch.erf,
        "sin": torch.sin, "cos": torch.cos, "exp": torch.exp, "expm1": torch.expm1, "atan": torch.atan,
        "square": torch.square,
    }.items():
        case(name, fn, second=True, x=x)
    for name, fn in {
        "elu": lambda x: F.elu(x, 1.5), "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "relu": F.relu, "abs": torch.abs,
        "clamp": lambda x: x.clamp(-1, 0.5),
    }.items():
        case(name, fn, x=x)
    p = uniform(0.2, 3, 2, 5)
    for name, fn in {"log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt,
                     "reciprocal": torch.reciprocal}.items():
        case(name, fn, second=True, x=p)
    case("pow", lambda x, y: x ** y, second=True, x=p, y=randn(2, 1))
    case("div", lambda x, y: x / y, second=True, x=randn(4, 1, 3), y=uniform(0.5, 2, 2, 1))
    case("maximum", torch.maximum, x=randn(4, 3), y=randn(3))
    case("remainder", lambda x, y: (torch.remainder(x, y), torch.fmod(x, y)), nograd=("x", "y"),
         x=randn(3, 4, scale=5), y=np.array([2, -3, 1.5, -0.75], np.float32))
    case("where", lambda c, x, y: torch.where(c > 0, x, y), c=(randn(3, 4) > 0).astype(np.uint8), x=randn(3, 4), y=randn(4))


def convolutions():
    for name, o, c, size, kernel, opt in (
        ("conv2d", 3, 2, (5, 6), (3, 3), {}),
        ("conv2d_stride", 4, 3, (7, 6), (3, 2), dict(stride=(2, 1), padding=(1, 0))),
        ("conv2d_dilation", 2, 2, (7, 7), (3, 3), dict(dilation=(2, 1), padding=2)),
        ("conv2d_groups", 6, 4, (5, 5), (3, 3), dict(groups=2, padding=1, stride=2)),
        ("conv2d_depthwise", 4, 4, (5, 5), (3, 3), dict(groups=4, padding=1)),
        ("conv2d_1x1", 5, 3, (3, 4), (1, 1), {}),
    ):
        g = opt.get("groups", 1)
        case(name, lambda x, w, b: hwc(F.conv2d(chw(x), chw(w), b, **opt)), second=name == "conv2d_stride",
             x=randn(2, *size, c), w=randn(o, *kernel, c // g), b=randn(o))
    for name, o, c, size, kernel, opt in (
        ("conv_transpose2d", 3, 2, (3, 4), (3, 3), {}),
        ("conv_transpose2d_stride", 3, 4, (3, 3), (4, 4), dict(stride=2, padding=1)),
        ("conv_transpose2d_output_padding", 2, 3, (3, 4), (3, 3), dict(stride=(2, 3), padding=1, output_padding=(1, 2))),
        ("conv_transpose2d_dilation", 2, 2, (3, 3), (3, 2), dict(dilation=2, stride=2, padding=1)),
        ("conv_transpose2d_groups", 6, 4, (3, 3), (3, 3), dict(groups=2, stride=2, padding=1, output_padding=1)),
    ):
        g = opt.get("groups", 1)
        case(name, lambda x, w, b: hwc(F.conv_transpose2d(chw(x), chw(w), b, **opt)),
             second=name == "conv_transpose2d_stride", x=randn(2, *size, c), w=randn(c, *kernel, o // g), b=randn(o))


def images():
    x = randn(2, 6, 5, 3)
    case("avg_pool2d", lambda x: hwc(F.avg_pool2d(chw(x), 2)), x=x)
    case("avg_pool2d_padding", lambda x: hwc(F.avg_pool2d(chw(x), 3, (2, 1), 1)), x=x)
    case("max_pool2d", lambda x: hwc(F.max_pool2d(chw(x), (2, 3), (2, 1))), x=x)
    case("max_pool2d_padding", lambda x: hwc(F.max_pool2d(chw(x), 3, 2, 1)), x=x)
    x = randn(1, 3, 4, 2)
    for name, opt in {
        "nearest": dict(scale_factor=2), "nearest_size": dict(size=(5, 7)), "nearest_down": dict(size=(2, 3)),
        "bilinear": dict(scale_factor=2, mode="bilinear"), "bilinear_size": dict(size=(5, 7), mode="bilinear"),
        "bilinear_down": dict(size=(2, 3), mode="bilinear"),
        "bilinear_corners": dict(size=(6, 9), mode="bilinear", align_corners=True),
    }.items():
        case("upsample_" + name, lambda x: hwc(F.interpolate(chw(x), **opt)), x=x)


def norms():
    case("layer_norm", lambda x, w, b: F.layer_norm(x, (6,), w, b), second=True, x=randn(4, 6, shift=3), w=randn(6), b=randn(6))
    case("layer_norm_2", lambda x, w, b: F.layer_norm(x, (3, 4), w, b, 1e-3), second=True, x=randn(2, 3, 4), w=randn(3, 4),
         b=randn(3, 4))
    case("layer_norm_plain", lambda x: F.layer_norm(x, (5,)), x=randn(3, 5))
    case("group_norm", lambda x, w, b: hwc(F.group_norm(chw(x), 2, w, b)), second=True, x=randn(2, 3, 3, 4), w=randn(4), b=randn(4))
    case("softmax", lambda x: F.softmax(x, -1), second=True, x=randn(3, 5, scale=3))
    case("softmax_1", lambda x: F.softmax(x, 0), second=True, x=randn(3, 4, 2))
    case("log_softmax", lambda x: F.log_softmax(x, -1), second=True, x=randn(3, 5, scale=3))
    case("log_softmax_2", lambda x: F.log_softmax(x, 1), x=randn(2, 4, 3))


def losses():
    def ce(smoothing=0.0, reduction="mean"):
        return lambda x, t: F.cross_entropy(x.reshape(-1, x.shape[-1]), t.reshape(-1) - 1, label_smoothing=smoothing,
                                            reduction=reduction)
    case("cross_entropy", ce(), second=True, x=randn(5, 4), t=ints(1, 4, 5))
    case("cross_entropy_smooth", ce(0.1), second=True, x=randn(2, 3, 4), t=ints(1, 4, 2, 3))
    case("cross_entropy_sum", ce(0.2, "sum"), x=randn(5, 4), t=ints(1, 4, 5))
    case("mse", lambda x, y: F.mse_loss(x, y), second=True, x=randn(3, 4), y=randn(3, 4))
    case("bce_with_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t), second=True, nograd=("t",),
         x=randn(4, 3, scale=6), t=uniform(0, 1, 4, 3))
    case("gaussian_nll", lambda m, x, v: F.gaussian_nll_loss(m, x, v), second=True, m=randn(3, 4), x=randn(3, 4), v=uniform(0.1, 2, 3, 4))
    N = torch.distributions.Normal
    case("kl", lambda m, s: torch.distributions.kl_divergence(N(m, s.exp()), N(torch.zeros_like(m), torch.ones_like(m))).sum() / 3,
         second=True, m=randn(3, 4), s=randn(3, 4, scale=0.5))


def heads(x, n):  # (B,N,n*e) -> (B,n,N,e)
    return x.reshape(*x.shape[:2], n, -1).transpose(1, 2)


def sdp(q, k, v, n, scale=None):
    qh, kh, vh = heads(q, n), heads(k, n), heads(v, n)
    w = F.softmax(qh @ kh.transpose(-1, -2) * (scale or qh.shape[-1] ** -0.5), -1)
    return (w @ vh).transpose(1, 2).reshape(q.shape[0], q.shape[1], -1), w


def modules():
    case("attention", lambda q, k, v: sdp(q, k, v, 2), second=True, q=randn(2, 3, 8), k=randn(2, 5, 8), v=randn(2, 5, 6))
    case("attention_scale", lambda q, k, v: sdp(q, k, v, 1, 0.7), q=randn(2, 3, 4), k=randn(2, 2, 4), v=randn(2, 2, 3))

    def mha(x, c, **p):
        y, w = F.multi_head_attention_forward(
            x.transpose(0, 1), c.transpose(0, 1), c.transpose(0, 1), 8, 2, None,
            torch.cat([p["q_bias"], p["k_bias"], p["v_bias"]]), None, None, False, 0.0, p["o_weight"], p["o_bias"],
            training=False, need_weights=True, average_attn_weights=False, use_separate_proj_weight=True,
            q_proj_weight=p["q_weight"], k_proj_weight=p["k_weight"], v_proj_weight=p["v_weight"])
        return y.transpose(0, 1), w
    case("nn.attention", mha, x=randn(2, 3, 8), c=randn(2, 4, 6), q_weight=randn(8, 8), q_bias=randn(8),
         k_weight=randn(8, 6), k_bias=randn(8), v_weight=randn(8, 6), v_bias=randn(8), o_weight=randn(8, 8), o_bias=randn(8))

    def block(x, c, **p):
        def norm(x, name):
            return F.layer_norm(x, (8,), p[name + "_weight"], p[name + "_bias"])
        q, k, v = norm(x, "norm_cross") @ p["cross_q_weight"].T, c @ p["cross_k_weight"].T, c @ p["cross_v_weight"].T
        y, w = sdp(q, k, v, 2)
        x = x + F.linear(y, p["cross_o_weight"], p["cross_o_bias"])
        z = F.gelu(F.linear(norm(x, "norm_ff"), p["ff_1_weight"], p["ff_1_bias"]))
        return x + F.linear(z, p["ff_3_weight"], p["ff_3_bias"]), w
    case("nn.block", block, x=randn(2, 3, 8), c=randn(2, 4, 6), norm_cross_weight=randn(8), norm_cross_bias=randn(8),
         cross_q_weight=randn(6, 8, scale=0.4), cross_k_weight=randn(6, 6, scale=0.4), cross_v_weight=randn(6, 6, scale=0.4),
         cross_o_weight=randn(8, 6, scale=0.4), cross_o_bias=randn(8), norm_ff_weight=randn(8), norm_ff_bias=randn(8),
         ff_1_weight=randn(16, 8, scale=0.3), ff_1_bias=randn(16), ff_3_weight=randn(8, 16, scale=0.3), ff_3_bias=randn(8))
    case("nn.gru_cell", lambda x, h, weight_ih, weight_hh, bias_ih, bias_hh:
         torch.gru_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh), x=randn(3, 4), h=randn(3, 5), weight_ih=randn(15, 4),
         weight_hh=randn(15, 5), bias_ih=randn(15), bias_hh=randn(15))
    case("linear", F.linear, second=True, x=randn(2, 3, 4), w=randn(5, 4), b=randn(5))


def spd(n, batch=()):
    a = randn(*batch, n, n).astype(np.float64)
    return (a @ np.swapaxes(a, -1, -2) + n * np.eye(n)).astype(np.float32)


def linalg():
    L = torch.linalg
    a, wide, tall = randn(2, 4, 4), randn(3, 5), randn(5, 3)
    a = (a + 3 * np.eye(4)).astype(np.float32)
    case("solve", L.solve, second=True, a=a, b=randn(2, 4, 3))
    case("inverse", L.inv, second=True, a=a)
    case("det", L.det, a=a)
    case("logdet", torch.logdet, a=spd(3))
    case("cholesky", lambda a: L.cholesky((a + a.transpose(-1, -2)) / 2), second=True, a=spd(4, (2,)))
    case("svd_wide", lambda a: L.svd(a, full_matrices=False)[1], second=True, a=wide)
    case("svd_tall", lambda a: L.svd(a, full_matrices=False)[1], a=tall)

    def low_rank(a):
        u, s, vh = L.svd(a, full_matrices=False)
        return (u * (s / (1 + s)).unsqueeze(-2)) @ vh
    case("svd_vectors", low_rank, a=tall)
    case("qr", lambda a: (L.qr(a)[0].abs(), L.qr(a)[1].abs()), a=tall)

    def eigh(a):
        w, v = L.eigh((a + a.T) / 2)
        return w, (v * w.tanh()) @ v.T
    case("eigh", eigh, a=randn(4, 4))
    case("lstsq", lambda a, b: L.pinv(a) @ b, a=tall, b=randn(5, 2))
    case("pinv", L.pinv, a=wide)
    case("matmul", torch.matmul, second=True, a=randn(2, 1, 3, 4), b=randn(3, 4, 2))
    case("matmul_vector", torch.matmul, a=randn(3, 4), b=randn(4))
    case("addmm", lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), c=randn(3), a=randn(2, 4), b=randn(4, 3))


def einsum():
    for k, (eq, *sizes) in enumerate((
        ("ij,jk->ik", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), ("bhnd,bhmd->bhnm", (1, 2, 3, 2), (1, 2, 4, 2)),
        ("ii->i", (3, 3)), ("ij->ji", (2, 3)), ("ij->", (2, 3)), ("i,j->ij", (2,), (3,)), ("abc,cd->abd", (2, 2, 3), (3, 2)),
        ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 2)), ("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
    ), 1):
        names = "xyz"[:len(sizes)]
        case(f"einsum_{k}", lambda **t: torch.einsum(eq, *t.values()), **{n: randn(*s) for n, s in zip(names, sizes)})


def reductions():
    x = randn(3, 4, 5)
    for name, fn in {
        "sum": lambda x: x.sum((0, 2)), "mean": lambda x: x.mean(1, keepdim=True), "var": lambda x: x.var(1),
        "var_biased": lambda x: x.var((0, 2), unbiased=False), "std": lambda x: x.std(-1), "std_all": lambda x: x.std(),
        "norm": lambda x: x.norm(), "norm_1": lambda x: x.norm(1, 2), "norm_3": lambda x: x.norm(3, 1),
        "norm_inf": lambda x: x.norm(float("inf"), 2), "logsumexp": lambda x: x.logsumexp(1),
        "logsumexp_dims": lambda x: x.logsumexp((0, 2)), "cumsum": lambda x: x.cumsum(1), "prod": lambda x: x.prod(2),
        "amax": lambda x: x.amax((0, 2)), "cumprod": lambda x: x.cumprod(2),
    }.items():
        case(name, fn, second=name in ("var", "std", "norm", "logsumexp", "prod"), x=x)

    def placed(fn):
        def f(x):
            y, i = fn(x)
            return y, i + 1
        return f
    case("sort", placed(lambda x: x.sort(1)), x=x)
    case("sort_descending", placed(lambda x: x.sort(-1, descending=True)), x=x)
    case("topk", placed(lambda x: x.topk(3, -1)), x=x)
    case("topk_smallest", placed(lambda x: x.topk(2, 0, largest=False)), x=x)
    case("max", placed(lambda x: x.max(1)), x=x)
    case("min", placed(lambda x: x.min(2)), x=x)
    case("median", placed(lambda x: x.median(2)), x=x)
    case("argmax", lambda x: (x.argmax(1) + 1, x.argmin(2) + 1), x=x)


def shapes():
    x = randn(3, 4, 2)
    case("pad", lambda x: F.pad(x, (1, 0, -1, 2), value=0.5), x=x)
    case("roll", lambda x: x.roll(-3, 1), x=x)
    case("flip", lambda x: x.flip((0, 2)), x=x)
    case("unfold", lambda x: x.unfold(1, 3, 1), x=x)
    case("tril", lambda x: (x.transpose(0, 1).tril(-1), x.triu(1)), x=x)
    case("diagonal", lambda x: x.diagonal(1), x=x)
    case("repeat_interleave", lambda x: x.repeat_interleave(2, 1), x=x)
    case("gather", lambda x, i: x.gather(1, i - 1), x=x, i=ints(1, 4, 3, 5, 2))
    case("scatter_add", lambda x, i, s: x.scatter_add(1, i - 1, s), x=x, i=ints(1, 4, 3, 5, 2), s=randn(3, 5, 2))
    case("index_select", lambda x, i: x.index_select(1, i - 1), x=x, i=ints(1, 4, 6))
    case("index_add", lambda x, i, s: x.index_add(0, i - 1, s), x=x, i=ints(1, 3, 4), s=randn(4, 4, 2))
    case("masked_select", lambda x, m: x.masked_select(m > 0), x=x, m=(randn(3, 4, 2) > 0).astype(np.uint8))
    case("index_mask", lambda x, m: x[m > 0], x=x, m=(randn(3, 4) > 0).astype(np.uint8))
    case("embedding", lambda w, i: F.embedding(i - 1, w), w=randn(5, 3), i=ints(1, 5, 2, 4))


def optimisers():
    O = torch.optim
    a, c, x0 = uniform(0.5, 3, 6), randn(6), randn(6)
    for name, make in {
        "sgd": lambda p: O.SGD(p, 0.1), "sgd_momentum": lambda p: O.SGD(p, 0.1, momentum=0.9, weight_decay=0.05),
        "sgd_nesterov": lambda p: O.SGD(p, 0.1, momentum=0.8, nesterov=True, weight_decay=0.05),
        "adam": lambda p: O.Adam(p, 0.1, (0.8, 0.95), 1e-6), "adam_decay": lambda p: O.Adam(p, 0.1, weight_decay=0.1),
        "adamw": lambda p: O.AdamW(p, 0.1, weight_decay=0.2),
    }.items():
        x = torch.tensor(x0.astype(np.float64), requires_grad=True)
        opt, path = make([x]), []
        for _ in range(5):
            opt.zero_grad()
            (torch.tensor(a.astype(np.float64)) * (x - torch.tensor(c.astype(np.float64))) ** 2).sum().div(2).backward()
            opt.step()
            path.append(x.detach().numpy().copy())
        for key, v in (("a", a), ("c", c), ("x", x0)):
            put(f"optim.{name}/in.{key}", v)
        put(f"optim.{name}/out.1", np.stack(path))


def sampling():
    """after the others, so that their numbers stay what they are"""
    for name, opt in {
        "": {}, "_corners": dict(align_corners=True), "_border": dict(padding_mode="border"),
        "_border_corners": dict(padding_mode="border", align_corners=True), "_nearest": dict(mode="nearest"),
    }.items():
        opt = {"align_corners": False, **opt}
        case("grid_sample" + name, lambda x, g: hwc(F.grid_sample(chw(x), g, **opt)), x=randn(2, 4, 5, 3),
             g=uniform(-1.4, 1.4, 2, 3, 6, 2))
    edges = np.array([1e6, -1, 1, -5], np.float32)
    grid = np.stack(np.meshgrid(edges, edges), -1)[None]
    case("grid_sample_edges", lambda x, g: (hwc(F.grid_sample(chw(x), g, align_corners=False)),
                                            hwc(F.grid_sample(chw(x), g, padding_mode="border", align_corners=False))),
         nograd=("g", "x"), x=randn(1, 3, 4, 2), g=grid)
    for corners in (False, True):
        case("affine_grid" + ("_corners" if corners else ""), lambda t: F.affine_grid(t, (2, 1, 3, 4), align_corners=corners),
             t=randn(2, 2, 3))

    def read(x, g):  # bilinear, zeros: made of indexing, which PyTorch differentiates twice
        n, h, w, _ = x.shape
        px, py = ((g[..., 0] + 1) * w - 1) / 2, ((g[..., 1] + 1) * h - 1) / 2
        x0, y0, y = px.detach().floor(), py.detach().floor(), 0
        for a in (0, 1):
            for b in (0, 1):
                i, j = (y0 + b).long(), (x0 + a).long()
                there = ((i >= 0) & (i < h) & (j >= 0) & (j < w)).double()
                weight = (px - x0 if a else 1 - px + x0) * (py - y0 if b else 1 - py + y0) * there
                y = y + weight[..., None] * x[torch.arange(n)[:, None, None], i.clamp(0, h - 1), j.clamp(0, w - 1)]
        return y
    case("grid_sample_twice", read, second=True, x=randn(2, 4, 5, 3), g=uniform(-1.4, 1.4, 2, 3, 6, 2))


def write(path):
    """safetensors: u64 length of the header, header, data in the header's order"""
    kinds = {"float64": "F64", "float32": "F32", "int64": "I64", "uint8": "U8"}
    header, offset = {"__metadata__": {"torch": torch.__version__}}, 0
    order = sorted(store, key=lambda n: (-store[n].dtype.itemsize, n))  # aligned data
    for name in order:
        a = store[name]
        header[name] = {"dtype": kinds[a.dtype.name], "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            f.write(store[name].tobytes())


torch.set_num_threads(1)
for part in (pointwise, convolutions, images, norms, losses, modules, linalg, einsum, reductions, shapes, optimisers, sampling):
    part()
target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.safetensors")
write(target)
print(f"{target}: {len(store)} tensors, {os.path.getsize(target)} bytes")
