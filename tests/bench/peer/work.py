"""The steps of workloads (a) to (i): a function of o -> step(), which returns the loss (and, of (f), the gradient's norm).
o: batch, size, draw(name, *sizes), images(), module(name, m): m with our weights when checked, compiled when asked."""
import torch
from torch import nn
from torch.nn import functional as F
import models, paper
from models import K, DZ


def freeze(m):
    for p in m.parameters():
        p.requires_grad_(False)
    return m


def stepper(opt, loss):
    def step():
        opt.zero_grad(set_to_none=True)
        y = loss()
        y.backward()
        opt.step()
        return y
    return step


def broadcast(o, act=nn.ReLU):
    cls = models.SubpixelDecoder if o.dec == "subpixel" else models.BroadcastDecoder
    return o.module("dec", cls(o.size, act))


def pixel(o, act=None):
    return o.module("dec", models.PixelDecoder(o.size))


def conv_encoder(o):
    return o.module("enc", models.ConvEncoder(o.size))


def transformer_encoder(o):
    return o.module("enc", models.TransformerEncoder(o.size))


def adam(*ms, lr=1e-4):
    return torch.optim.Adam([p for m in ms for p in m.parameters()], lr)


def a(o):
    enc, dec, x = conv_encoder(o), broadcast(o), o.images()
    return stepper(adam(enc, dec), lambda: F.mse_loss(dec(enc(x)), x))


def b(o):
    enc, dec, x = transformer_encoder(o), pixel(o), o.images()
    def loss():
        mu, lv = enc(x)
        z = mu + o.draw("noise", o.batch, K, DZ) * (0.5 * lv).exp()
        kl = 0.5 * (mu * mu + lv.exp() - 1 - lv).sum() / o.batch
        return F.mse_loss(dec(z), x) + 1e-4 * kl
    return stepper(adam(enc, dec), loss)


def search(make):
    def work(o):
        dec, x = freeze(make(o)), o.images()
        z = o.draw("z", o.batch, K, DZ).requires_grad_()
        return stepper(torch.optim.Adam([z], 1e-2), lambda: F.mse_loss(dec(z), x))
    return work


def replay(make_decoder, make_encoder):
    def work(o):
        dec, enc = freeze(make_decoder(o)), make_encoder(o)
        bank, ar = o.draw("bank", 4096, K, DZ), torch.arange(K)
        opt = adam(enc)
        def step():
            z = o.draw("z") if o.checking else bank[torch.randint(4096, (o.batch, K)), ar]
            with torch.no_grad():
                x = dec(z)
            opt.zero_grad(set_to_none=True)
            y = enc(x)
            loss = F.mse_loss(y if torch.is_tensor(y) else y[0], z)
            loss.backward()
            opt.step()
            return loss
        return step
    return work


def norm_and_forget(dec, checking):
    norm = sum((p.grad ** 2).sum() for p in dec.parameters() if p.grad is not None) ** .5 if checking else None
    for p in dec.parameters():
        p.grad = None
    return norm


def plain_layer_norm(m):
    """A layer norm out of simple operations: the check needs it, since PyTorch's own (1.13 at least) holds mean and variance
    constant when its second derivative is differentiated, so that this penalty's gradient for the weights comes out wrong."""
    def forward(x):
        c = x - x.mean(-1, keepdim=True)
        return c * (c.square().mean(-1, keepdim=True) + m.eps).rsqrt() * m.weight + m.bias
    m.forward = forward


def penalty(make, differences):
    def work(o):
        dec, z0 = make(o, nn.Softplus), o.draw("z", o.batch, K, DZ)
        for m in dec.modules():
            if o.checking and isinstance(m, nn.LayerNorm):
                plain_layer_norm(m)
        mi, mj = torch.zeros(1, K, 1), torch.zeros(1, K, 1)
        mi[:, 0] = mj[:, 1] = 1
        e = o.width
        def double():
            z = z0.clone().requires_grad_(True)
            vi, vj = o.draw("vi", *z.shape) * mi, o.draw("vj", *z.shape) * mj
            f = dec(z)
            u = o.pixels("u", f)
            g, = torch.autograd.grad(f, z, u, create_graph=True)
            h, = torch.autograd.grad((g * vi).sum(), z, create_graph=True)
            loss = (h * vj).pow(2).sum()
            loss.backward()
            return loss, norm_and_forget(dec, o.checking)
        def fd():
            vi, vj = o.draw("vi", *z0.shape) * mi * e, o.draw("vj", *z0.shape) * mj * e
            f = dec(torch.cat([z0 + vi + vj, z0 + vi, z0 + vj, z0])).chunk(4)
            loss = ((f[0] - f[1] - f[2] + f[3]) / (e * e)).pow(2).mean()
            loss.backward()
            return loss, norm_and_forget(dec, o.checking)
        return fd if differences else double
    return work


def patches(x, p):  # (B,3,n,n) -> (B,Q,p*p*3)
    b, _, n, _ = x.shape
    return x.view(b, 3, n // p, p, n // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, (n // p) ** 2, p * p * 3)


def g(train):
    def work(o):
        dec, x = o.module("dec", paper.paper_decoder(o.size)), patches(o.images(), 1)
        z = o.draw("z", o.batch, 5, 32).requires_grad_()
        if not train:
            freeze(dec)
        def loss():
            y, inter = dec(z)
            return 5 * ((y - x) ** 2).sum((1, 2)).mean() + .05 * inter * train
        groups = [{"params": [z]}]
        if train:  # the check's queries are scaled (MHA.adopted): so are Adam's steps on them
            scaled = [p for b in (dec.block1, dec.block2) for p in b.cross.q.parameters()]
            rest = [p for p in dec.parameters() if not any(p is q for q in scaled)]
            groups = [{"params": rest}, {"params": scaled, "lr": 5e-4 * (dec.block1.cross.factor() if o.checking else 1)}]
        return stepper(torch.optim.Adam(groups, 5e-4), loss)
    return work


def h(o):
    vit, x = o.module("vit", models.ViT(o.size)), o.images()
    return stepper(torch.optim.AdamW(vit.parameters(), 1e-4), lambda: vit(x).square().mean())


def i_train(o):
    enc, dec, x = o.module("enc", paper.StudyEncoder(o.size)), o.module("dec", paper.study_decoder(o.size)), o.images()
    t = patches(x, 4)
    def loss():
        mu, s = enc(x)
        std = .5 * s.exp()
        y, inter = dec(mu + std * o.draw("noise", *mu.shape))
        kl = (-std.log() + (std ** 2 + mu ** 2) / 2 - .5).sum((1, 2)).mean()
        return 5 * ((y - t) ** 2).sum((1, 2)).mean() + .05 * kl + inter
    return stepper(adam(enc, dec, lr=5e-4), loss)


def i_search(o):
    dec, t = freeze(o.module("dec", paper.study_decoder(o.size))), patches(o.images(), 4)
    z = o.draw("z", o.batch, 3, 16).requires_grad_()
    return stepper(torch.optim.Adam([z], 5e-4), lambda: ((dec(z)[0] - t) ** 2).sum())


def i_replay(o):
    enc, dec = o.module("enc", paper.StudyEncoder(o.size)), freeze(o.module("dec", paper.study_decoder(o.size)))
    opt, n = adam(enc, lr=5e-4), o.size
    def step():
        opt.zero_grad(set_to_none=True)
        with torch.no_grad():
            z = o.draw("z", o.batch, 3, 16)
            im = dec(z)[0].view(o.batch, n // 4, n // 4, 4, 4, 3).permute(0, 5, 1, 3, 2, 4).reshape(o.batch, 3, n, n)
        loss = ((enc(im)[0] - z) ** 2).sum((1, 2)).mean()
        loss.backward()
        opt.step()
        return loss
    return step


rows = {
    "a": a, "b": b, "ca": search(broadcast), "cb": search(pixel), "da": replay(broadcast, conv_encoder),
    "db": replay(pixel, transformer_encoder), "fa": penalty(broadcast, False), "fa_fd": penalty(broadcast, True),
    "fb": penalty(pixel, False), "fb_fd": penalty(pixel, True), "g_train": g(True), "g_search": g(False), "h": h, "h_fast": h, "h_small": h,
    "i_train": i_train, "i_search": i_search, "i_replay": i_replay,
}
sizes = {"a": (32, 64), "b": (16, 64), "ca": (16, 64), "cb": (16, 64), "da": (32, 64), "db": (16, 64), "fa": (4, 64), "fa_fd": (4, 64),
         "fb": (2, 64), "fb_fd": (2, 64), "g_train": (4, 64), "g_search": (4, 64), "h": (8, 128), "h_fast": (8, 128), "h_small": (8, 128)}
