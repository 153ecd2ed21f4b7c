"""Single operations, sizes as in work_micro.lua: rows[id]() -> a step."""
import torch
from torch import nn
from torch.nn import functional as F

R = torch.randn
rows = {}


def row(name):
    def keep(make):
        rows[name] = make
        return make
    return keep


def forward(f):
    def step():
        with torch.no_grad():
            f()
    return step


def backward(f, of):
    for t in of:
        t.requires_grad_(True)
    y = f()
    g = R(y.shape)
    return lambda: torch.autograd.grad(y, of, g, retain_graph=True)


def unary(name, f, size, back=False):
    def make():
        x = R(*size)
        return forward(lambda: f(x))
    def make_back():
        x = R(*size)
        return backward(lambda: f(x), [x])
    rows[name] = make
    if back:
        rows[name + "_back"] = make_back


def matmul(n):
    def make():
        a, b = R(n, n), R(n, n)
        return forward(lambda: a @ b)
    rows[f"e_matmul{n}"] = make


def linear(out):
    def make():
        x, w = R(65536, 128), R(out, 128)
        return forward(lambda: F.linear(x, w))
    rows[f"e_linear{out}"] = make


for n in (64, 128, 256, 512, 1024, 2048):
    matmul(n)
linear(128)
linear(512)


@row("e_linear512_back")
def linear_back():
    x, w = R(65536, 128), R(512, 128)
    return backward(lambda: F.linear(x, w), [x, w])


unary("e_softmax4", lambda x: x.softmax(-1), (262144, 4), True)
unary("e_softmax_slots", lambda x: x.softmax(1), (32, 4, 1, 64, 64))


@row("e_layer_norm")
def layer_norm():
    x, l = R(65536, 128), nn.LayerNorm(128)
    return forward(lambda: l(x))


@row("e_layer_norm_back")
def layer_norm_back():
    x, l = R(65536, 128), nn.LayerNorm(128)
    return backward(lambda: l(x), [x, l.weight, l.bias])


unary("e_gelu", F.gelu, (65536, 512), True)
unary("e_gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), (65536, 512))
unary("e_relu", F.relu, (65536, 512))
unary("e_add", lambda x: x + x, (65536, 512))
unary("e_exp", torch.exp, (65536, 512))


def convolution(name, make, size):
    def fwd():
        l, x = make(), R(*size)
        return forward(lambda: l(x))
    def back():
        l, x = make(), R(*size)
        return backward(lambda: l(x), [x, l.weight, l.bias])
    def data():
        l, x = make().requires_grad_(False), R(*size)
        return backward(lambda: l(x), [x])
    rows[name], rows[name + "_back"], rows[name + "_data"] = fwd, back, data


C, D = nn.Conv2d, nn.ConvTranspose2d
convolution("e_conv3", lambda: C(3, 64, 5, 2, 2), (32, 3, 64, 64))
convolution("e_conv64", lambda: C(64, 64, 5, 2, 2), (32, 64, 32, 32))
convolution("e_conv3x3", lambda: C(64, 64, 3, 1, 1), (32, 64, 64, 64))
convolution("e_deconv8", lambda: D(32, 64, 5, 2, 2, 1), (128, 32, 8, 8))
convolution("e_deconv16", lambda: D(64, 64, 5, 2, 2, 1), (128, 64, 16, 16))
convolution("e_deconv32", lambda: D(64, 64, 5, 2, 2, 1), (128, 64, 32, 32))
convolution("e_deconv4", lambda: D(64, 4, 5, 1, 2), (128, 64, 64, 64))


@row("j")
def tiny():
    x = torch.ones(1)
    def step():  # a thousand: milliseconds a step are microseconds an operation
        for _ in range(1000):
            x + x
    return step
