"""Networks of workloads (a) to (d), (f) and (h), float32, NCHW. Attributes are named as in our modules."""
import torch
from torch import nn

K, DZ = 4, 32


def coords(n):
    y, x = torch.meshgrid(torch.linspace(-1, 1, n), torch.linspace(-1, 1, n), indexing="ij")
    return torch.stack([x, y], -1)


def mlp(widths, act=nn.GELU):
    parts = []
    for a, b in zip(widths, widths[1:]):
        parts += [nn.Linear(a, b), act()]
    return nn.Sequential(*parts[:-1])


class ConvEncoder(nn.Module):
    """4 conv 5x5 stride 2, 64 channels, then MLP to the slots."""
    def __init__(s, n):
        super().__init__()
        c = [3, 64, 64, 64, 64]
        s.side = n // 16
        s.conv = nn.Sequential(*[m for i in range(4) for m in (nn.Conv2d(c[i], c[i + 1], 5, 2, 2), nn.ReLU())])
        s.mlp = mlp([64 * s.side ** 2, 256, K * DZ], nn.ReLU)
    def adopted(s):  # our flattened pixels have the channel last
        w = s.mlp[0].weight.data
        w.copy_(w.view(256, s.side, s.side, 64).permute(0, 3, 1, 2).reshape(256, -1))
    def forward(s, x):
        return s.mlp(s.conv(x).flatten(1)).view(-1, K, DZ)


class BroadcastDecoder(nn.Module):
    """Each slot alone: broadcast + position, 3 transposed 5x5 convolutions stride 2, one stride 1; softmax over slots."""
    def __init__(s, n, act=nn.ReLU):
        super().__init__()
        s.n = n
        s.position = nn.Linear(2, DZ)
        s.register_buffer("g", coords(n // 8), persistent=False)
        s.net = nn.Sequential(*s.layers(act))
    def layers(s, act):
        up = lambda i: nn.ConvTranspose2d(i, 64, 5, 2, 2, 1)
        return up(DZ), act(), up(64), act(), up(64), act(), nn.ConvTranspose2d(64, 4, 5, 1, 2)
    def forward(s, z):
        b = z.shape[0]
        x = z.reshape(b * K, DZ, 1, 1) + s.position(s.g).permute(2, 0, 1)
        o = s.net(x).view(b, K, 4, s.n, s.n)
        return (o[:, :, :3] * o[:, :, 3:].softmax(1)).sum(1)


class SubpixelDecoder(BroadcastDecoder):
    """The form of it that suits PyTorch best: stride-2 transposed convolutions as 3x3 convolution to 4 x channels + pixel
    shuffle (36 taps that cover the 25), which oneDNN runs; 1.13 sends conv_transpose2d to a GEMM an image and col2im."""
    def layers(s, act):
        up = lambda i: nn.Sequential(nn.Conv2d(i, 256, 3, 1, 1), nn.PixelShuffle(2))
        return up(DZ), act(), up(64), act(), up(64), act(), nn.Conv2d(64, 4, 5, 1, 2)


class Attn(nn.Module):
    def __init__(s, d, h):
        super().__init__()
        s.h = h
        s.q, s.k, s.v, s.o = (nn.Linear(d, d) for _ in range(4))
    def forward(s, x, c):
        b, n, d = x.shape
        m, e = c.shape[1], d // s.h
        q = s.q(x).view(b, n, s.h, e).transpose(1, 2)
        k = s.k(c).view(b, m, s.h, e).transpose(1, 2)
        v = s.v(c).view(b, m, s.h, e).transpose(1, 2)
        a = (q @ k.transpose(-1, -2) * e ** -0.5).softmax(-1)
        return s.o((a @ v).transpose(1, 2).reshape(b, n, d))


class Block(nn.Module):
    """Pre-norm block; kind: self, or cross with a context."""
    def __init__(s, d, h, kind):
        super().__init__()
        s.kind = kind
        setattr(s, "norm_" + kind, nn.LayerNorm(d))
        setattr(s, kind, Attn(d, h))
        s.norm_ff, s.ff = nn.LayerNorm(d), mlp([d, 4 * d, d])
    def forward(s, x, c=None):
        y = getattr(s, "norm_" + s.kind)(x)
        x = x + getattr(s, s.kind)(y, y if c is None else c)
        return x + s.ff(s.norm_ff(x))


class TransformerEncoder(nn.Module):
    """8x8 patches, 4 layers (128 wide, 8 heads), 4 latent queries -> (mean, log-variance)."""
    def __init__(s, n, d=128):
        super().__init__()
        s.patch = nn.Conv2d(3, d, 8, 8)
        s.pos = nn.Parameter(torch.randn(1, (n // 8) ** 2, d) * .02)
        s.lat = nn.Parameter(torch.randn(1, K, d) * .02)
        for i in range(4):
            setattr(s, f"block{i + 1}", Block(d, 8, "self"))
        s.cross, s.out = Block(d, 8, "cross"), nn.Linear(d, 2 * DZ)
    def forward(s, x):
        x = s.patch(x).flatten(2).transpose(1, 2) + s.pos
        for i in range(4):
            x = getattr(s, f"block{i + 1}")(x)
        return s.out(s.cross(s.lat.expand(x.shape[0], -1, -1), x)).chunk(2, -1)


class PixelDecoder(nn.Module):
    """n x n coordinate queries, 2 cross-attention blocks (128 wide, 4 heads), linear colour."""
    def __init__(s, n, act=None, d=128):
        super().__init__()
        s.n = n
        s.register_buffer("g", coords(n).view(1, n * n, 2), persistent=False)
        s.q, s.z = mlp([2, d, d]), nn.Linear(DZ, d)
        s.block1, s.block2 = Block(d, 4, "cross"), Block(d, 4, "cross")
        s.out = nn.Linear(d, 3)
    def forward(s, z):
        c = s.z(z)
        x = s.block2(s.block1(s.q(s.g).expand(z.shape[0], -1, -1), c), c)
        return s.out(x).transpose(1, 2).reshape(-1, 3, s.n, s.n)


class ViT(nn.Module):
    """ViT-S/16."""
    def __init__(s, n, d=384):
        super().__init__()
        s.patch = nn.Conv2d(3, d, 16, 16)
        s.cls = nn.Parameter(torch.zeros(1, 1, d))
        s.pos = nn.Parameter(torch.randn(1, (n // 16) ** 2 + 1, d) * .02)
        for i in range(12):
            setattr(s, f"block{i + 1}", Block(d, 6, "self"))
        s.norm = nn.LayerNorm(d)
    def forward(s, x):
        t = torch.cat([s.cls.expand(len(x), -1, -1), s.patch(x).flatten(2).transpose(1, 2)], 1) + s.pos
        for i in range(12):
            t = getattr(s, f"block{i + 1}")(t)
        return s.norm(t)
