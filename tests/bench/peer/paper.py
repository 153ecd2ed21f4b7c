"""Networks of workloads (g), the paper's decoder, and (i), the study's size."""
import math
import torch
from torch import nn
from models import mlp


class MHA(nn.Module):
    """queries (B,N,dq) over context (B,M,dk), inner width dk; scale None: 1/sqrt(dk/heads)."""
    def __init__(s, dq, dk, heads, bias, scale=None):
        super().__init__()
        s.h, s.w, s.scale = heads, dk, scale or (dk // heads) ** -.5
        s.q, s.k, s.v = nn.Linear(dq, dk, bias=bias), nn.Linear(dk, dk, bias=bias), nn.Linear(dk, dk, bias=bias)
        s.o = nn.Linear(dk, dq)
    def factor(s):  # ours divides by sqrt(dk/heads): the same function with queries scaled by the quotient
        return (s.w // s.h) ** -.5 / s.scale
    def adopted(s):
        for p in s.q.parameters():
            p.data.mul_(s.factor())
    def forward(s, x, c):
        n, e = len(x), s.w // s.h
        q, k, v = (f(t).view(n, -1, s.h, e).transpose(1, 2) for f, t in ((s.q, x), (s.k, c), (s.v, c)))
        a = (q @ k.transpose(-1, -2) * s.scale).softmax(-1)
        return s.o((a @ v).transpose(1, 2).reshape(n, -1, s.w)), a


class DecoderBlock(nn.Module):
    def __init__(s, d, dk, heads, ff, bias, scale):
        super().__init__()
        s.norm_cross, s.cross = nn.LayerNorm(d), MHA(d, dk, heads, bias, scale)
        s.norm_ff, s.ff = nn.LayerNorm(d), mlp([d, ff, d])
    def forward(s, x, c):
        y, a = s.cross(s.norm_cross(x), c)
        x = x + y
        return x + s.ff(s.norm_ff(x)), a


class CrossDecoder(nn.Module):
    """Fourier queries, 2 cross-attention blocks, output MLP: slots -> patches (B,Q,patch*patch*3), interaction."""
    def __init__(s, n, dim, patch, d, dk, heads, ff, hidden, bias=False, scale=None):
        super().__init__()
        g = torch.linspace(0, 1, n // patch)
        y, x = torch.meshgrid(g, g, indexing="ij")
        p = torch.stack([x, y], -1).view(-1, 2)
        s.register_buffer("positions", torch.cat([f(math.pi * 2 ** o * p) for o in range(8) for f in (torch.sin, torch.cos)], -1))
        s.queries, s.slots = mlp([32, 2 * d, d]), mlp([dim, hidden, dk])
        s.block1, s.block2 = (DecoderBlock(d, dk, heads, ff, bias, scale) for _ in range(2))
        s.pixels = mlp([d, d, d, patch * patch * 3])
    def forward(s, z):
        c, x = s.slots(z), s.queries(s.positions)[None].expand(len(z), -1, -1)
        x, a1 = s.block1(x, c)
        x, a2 = s.block2(x, c)
        a = (a1 / 2 + a2 / 2).sum(1)
        return s.pixels(x), ((a.sum(-1) ** 2 - (a ** 2).sum(-1)) / 2).mean()


def paper_decoder(n):
    return CrossDecoder(n, 32, 1, 180, 516, 12, 360, 2064, bias=True, scale=180 ** -.5)


def study_decoder(n):
    return CrossDecoder(n, 16, 4, 64, 128, 4, 128, 256)


class EncoderBlock(nn.Module):
    def __init__(s, d):
        super().__init__()
        s.norm_cross, s.cross, s.norm_self = nn.LayerNorm(d), MHA(d, d, 4, False), nn.LayerNorm(d)
        setattr(s, "self", MHA(d, d, 4, False))
        s.norm_ff, s.ff = nn.LayerNorm(d), mlp([d, 2 * d, d])
    def forward(s, q, t):
        q = q + s.cross(s.norm_cross(q), t)[0]
        y = s.norm_self(q)
        q = q + getattr(s, "self")(y, y)[0]
        return q + s.ff(s.norm_ff(q))


class Position(nn.Module):
    def __init__(s, n, d):
        super().__init__()
        s.weight = nn.Parameter(torch.randn(1, n, d) * .02)
    def forward(s, x):
        return x + s.weight


class StudyEncoder(nn.Module):
    """4 convolutions, position, MLP, 3 learned-query blocks -> mean, log of twice the scale."""
    def __init__(s, n, d=96):
        super().__init__()
        s.conv1, s.conv2 = nn.Conv2d(3, 32, 5, 2, 2), nn.Conv2d(32, 64, 3, 2, 1)
        s.conv3, s.conv4 = nn.Conv2d(64, d, 3, 2, 1), nn.Conv2d(d, d, 3, 1, 1)
        s.position, s.norm_tokens, s.tokens = Position((n // 8) ** 2, d), nn.LayerNorm(d), mlp([d, d, d])
        s.queries = nn.Parameter(torch.rand(3, d))
        s.block1, s.block2, s.block3 = EncoderBlock(d), EncoderBlock(d), EncoderBlock(d)
        s.norm_out, s.head = nn.LayerNorm(d), nn.Linear(d, 32)
    def forward(s, x):
        x = s.conv4(s.conv3(s.conv2(s.conv1(x).relu()).relu()).relu())
        t = s.tokens(s.norm_tokens(s.position(x.flatten(2).transpose(1, 2))))
        q = s.queries[None].expand(len(x), -1, -1)
        for b in (s.block1, s.block2, s.block3):
            q = b(q, t)
        return s.head(s.norm_out(q)).chunk(2, -1)
