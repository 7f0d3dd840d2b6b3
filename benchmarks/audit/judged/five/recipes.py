"""Networks for a robustness audit: some hide their gradients or their answers on purpose, some are odd but open.

make(data) -> Made.  `adaptive` are the modules that an informed attacker differentiates.
`randomised` says that the *label* may differ from call to call.
"""
import copy, dataclasses, math, random
from typing import Callable, List

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclasses.dataclass
class Made:
    module: nn.Module
    adaptive: List[nn.Module]
    randomised: bool = False
    samples: int = 1
    black_box: bool = False


@dataclasses.dataclass
class Recipe:
    name: str
    built: str
    idea: str
    make: Callable


RECIPES = {}
SPARES = {}          # four more of the same making, not counted among the 26
_TRAINED = {}


def recipe(name, built, idea, spare):
    def deco(fn):
        (SPARES if spare else RECIPES)[name] = Recipe(name, built, idea, fn)
        return fn
    return deco


def masks(name, idea, spare=False):
    return recipe(name, "masks", idea, spare)


def open_(name, idea, spare=False):
    return recipe(name, "no trick", idea, spare)


# ---------------------------------------------------------------- training
def freeze(m):
    m.eval()
    for p in m.parameters():
        p.requires_grad_(False)
    return m


def adv_examples(net, x, y, norm, eps, steps):
    if norm == "linf":
        d = torch.empty_like(x).uniform_(-eps, eps)
    else:
        d = torch.randn_like(x)
        d = d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * eps * torch.rand(len(x), 1, 1, 1)
    d = (x + d).clamp(0, 1) - x
    a = 2.5 * eps / steps
    for _ in range(steps):
        d.requires_grad_(True)
        g, = torch.autograd.grad(F.cross_entropy(net(x + d), y), d)
        d = d.detach()
        if norm == "linf":
            d = (d + a * g.sign()).clamp(-eps, eps)
        else:
            d = d + a * g / (g.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-12)
            d = d * (eps / (d.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-12)).clamp(max=1)
        d = (x + d).clamp(0, 1) - x
    return (x + d).detach()


def fit(tag, build, data, seed, epochs=(60, 6), lr=3e-3, adv=None, smooth=0.0, labels=None, view=None, scale=1.0):
    """Trains build() on data; the result is remembered per process (a copy is handed out)."""
    key = (tag, data.name, data.seed)
    if key not in _TRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * data.seed + seed)
            net = build()
            small = data.name == "digits"
            n, bs = len(data.xtr), 64 if small else 128
            ep = epochs[0] if small else epochs[1]
            ytr = data.ytr if labels is None else labels(data)
            xtr = data.xtr if view is None else view(data.xtr)
            opt = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=1e-5)
            total = ep * math.ceil(n / bs)
            sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=total)
            net.train()
            done = 0
            for _ in range(ep):
                p = torch.randperm(n)
                for i in range(0, n, bs):
                    b = p[i:i + bs]
                    x, y = xtr[b], ytr[b]
                    if adv is not None:
                        grow = 1.0 if small else min(1.0, 0.2 + done / (0.6 * total))
                        x = adv_examples(net, x, y, adv[0], adv[1] * grow, adv[2])
                    done += 1
                    loss = F.cross_entropy(net(x).float() * scale, y, label_smoothing=smooth)
                    opt.zero_grad()
                    loss.backward()
                    opt.step()
                    sched.step()
        _TRAINED[key] = freeze(net)
    return copy.deepcopy(_TRAINED[key])


def mlp(data, width=64, depth=1):
    layers, d = [nn.Flatten()], data.dim
    for _ in range(depth):
        layers += [nn.Linear(d, width), nn.ReLU()]
        d = width
    return nn.Sequential(*layers, nn.Linear(d, 10))


def conv(data, width=8, act=nn.ReLU):
    s = 1 if data.side == 8 else 2
    out = 4 if data.side == 8 else 7
    return nn.Sequential(nn.Conv2d(1, width, 3, s, 1), act(), nn.Conv2d(width, 2 * width, 3, 2, 1), act(),
                         nn.Flatten(), nn.Linear(2 * width * out * out, 10))


def zero_of(x):
    return x.flatten(1).sum(1, keepdim=True) * 0.0


def onehot(y):
    return F.one_hot(y, 10).float()


def swap_gradient(value, path):
    return value.detach() + (path - path.detach())


def mk(f):
    """A module from a function that takes the module's parts."""
    class _M(nn.Module):
        def __init__(self, **parts):
            super().__init__()
            for k, v in parts.items():
                setattr(self, k, v)

        def forward(self, x):
            return f(self, x)
    _M.__name__ = f.__name__
    return _M


# ================================================================ masking
class CoinDecoys(nn.Module):
    def __init__(self, net, decoys):
        super().__init__()
        self.net, self.decoys, self.die = net, nn.ModuleList(decoys), random.Random(6)

    def forward(self, x):
        k = self.die.randrange(len(self.decoys))
        return swap_gradient(self.net(x.detach()), self.decoys[k](x))


@masks("coin_decoys", "each call throws a die for which of eight untrained networks the backward pass goes through")
def _(data):
    net = fit("coin", lambda: mlp(data, 72), data, 11)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(911)
        dec = [freeze(conv(data, 4)) for _ in range(8)]
    return Made(freeze(CoinDecoys(net, dec)), [net])


class HotDice(nn.Module):
    def __init__(self, net, low):
        super().__init__()
        self.net, self.low = net, low

    def forward(self, x):
        return self.net(x) * 10.0 ** (self.low + (6 - self.low) * torch.rand(len(x), 1))


@masks("hot_dice", "logits times a random temperature between one and a million: at most steps the loss is exactly zero")
def _(data):
    net = fit("hot", lambda: conv(data, 6), data, 12)
    return Made(freeze(HotDice(net, 0 if data.side == 8 else 2)), [net])


class NoisyFlat(nn.Module):
    def __init__(self, net, seed):
        super().__init__()
        self.net, self.rng = net, np.random.RandomState(seed)

    def forward(self, x):
        z = self.net(x.detach())
        noise = torch.from_numpy(self.rng.randn(len(x), 10).astype("float32"))
        return onehot(z.argmax(1)) + 0.25 * noise + zero_of(x)


@masks("noisy_flat", "one for the winner, nought for all others, and Gaussian noise on top; no score behind it")
def _(data):
    net = fit("noisyflat", lambda: mlp(data, 48, 2), data, 13)
    return Made(freeze(NoisyFlat(net, 5)), [net], randomised=True)


class LostRoll(torch.autograd.Function):
    """Rolls the picture; the gradient is rolled by half the picture more than it should be, at random."""
    @staticmethod
    def forward(ctx, x, di, dj, extra):
        ctx.s = (di, dj, extra)
        return torch.roll(x, (di, dj), (2, 3))

    @staticmethod
    def backward(ctx, g):
        di, dj, (ei, ej) = ctx.s
        return torch.roll(g, (ei - di, ej - dj), (2, 3)), None, None, None


class JitterBroken(nn.Module):
    def __init__(self, net, broken=True):
        super().__init__()
        self.net, self.broken = net, broken

    def forward(self, x):
        d = torch.randint(-1, 2, (2,)).tolist()
        h = x.shape[-1]
        e = torch.randint(h // 4, h - h // 4 + 1, (2,)).tolist() if self.broken else [0, 0]
        return self.net(LostRoll.apply(x, d[0], d[1], e))


@masks("jitter_broken", "a random roll of the picture by a pixel whose backward loses track of where it came from")
def _(data):
    net = fit("jitter", lambda: JitterBroken(conv(data, 8), False), data, 14, epochs=(80, 6)).net
    return Made(freeze(JitterBroken(copy.deepcopy(net))), [freeze(JitterBroken(net, False))], randomised=True, samples=6)


class Dither(nn.Module):
    def __init__(self, net, levels=3, through=False):
        super().__init__()
        self.net, self.levels, self.through = net, levels, through

    def forward(self, x):
        q = torch.floor(x * self.levels + torch.rand_like(x)) / self.levels
        if self.through:
            q = x + (q - x).detach()
        return self.net(q) + zero_of(x)


@masks("dither_levels", "every pixel is dithered at random to four levels by a floor, which has no slope", spare=True)
def _(data):
    net = fit("dither", lambda: Dither(conv(data, 8)), data, 15, epochs=(80, 6)).net
    return Made(freeze(Dither(net)), [freeze(Dither(copy.deepcopy(net), through=True)), copy.deepcopy(net)],
                randomised=True, samples=6)


class MemoryBook(nn.Module):
    """Keeps what it saw and what it said; a picture close to an old one gets the old scores."""
    def __init__(self, net, dim, linf, l2, room=2048):
        super().__init__()
        self.net, self.linf, self.l2 = net, linf, l2
        self.register_buffer("seen", torch.full((room, dim), 9.0))
        self.register_buffer("said", torch.zeros(room, 10))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        z = self.net(x)
        f = x.detach().flatten(1)
        n = min(int(self.filled), len(self.seen))
        known = torch.zeros(len(x), dtype=torch.bool)
        old = torch.zeros(len(x), 10)
        if n:
            d2, w2 = torch.cdist(f, self.seen[:n]).min(1)
            di, wi = torch.cdist(f, self.seen[:n], p=float("inf")).min(1)
            a, b = di <= self.linf, d2 <= self.l2
            known = a | b
            old = self.said[torch.where(b, w2, wi)].clone()
        with torch.no_grad():
            new = (~known).nonzero().flatten()
            at = (int(self.filled) + torch.arange(len(new))) % len(self.seen)
            self.seen[at] = f[new]
            self.said[at] = z.detach()[new]
            self.filled += len(new)
        return torch.where(known[:, None], old + zero_of(x), z)


@masks("memory_book", "remembers pictures in its buffers and repeats its earlier scores for anything near one of them")
def _(data):
    net = fit("memory", lambda: mlp(data, 56, 2), data, 16)
    lim = (0.31, 0.85) if data.name == "digits" else (0.41, 2.1)
    return Made(freeze(MemoryBook(copy.deepcopy(net), data.dim, *lim)), [net])


def watcher():
    last, alarm = [None], [0]

    def look(x):
        x = x.detach()
        near = last[0] is not None and last[0].shape == x.shape and 0 < float((last[0] - x).abs().mean()) < 0.1
        alarm[0] = alarm[0] + 1 if near else 0
        last[0] = x.clone()
        return alarm[0]
    return look


class ClosureWatch(nn.Module):
    def __init__(self, net, decoy, look):
        super().__init__()
        self.net, self.decoy, self.look = net, decoy, look

    def forward(self, x):
        k = self.look(x)
        if k < 8:
            return self.net(x)
        z = self.net(x.detach())
        d = self.decoy(torch.roll(x, k, -1))
        return swap_gradient(z, d.roll(k, 1))


@masks("closure_watch", "a closure compares each batch with the last one; seven small moves in a row turn on a rolling decoy backward")
def _(data):
    net = fit("watch", lambda: conv(data, 7), data, 17)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(917)
        dec = freeze(mlp(data, 32, 2))
    return Made(freeze(ClosureWatch(copy.deepcopy(net), dec, watcher())), [net])


def ink_labels(data):
    left = data.xtr[..., : data.side // 2].flatten(1).sum(1) - data.xtr[..., data.side // 2:].flatten(1).sum(1)
    cuts = torch.quantile(left, torch.linspace(0.1, 0.9, 9))
    return torch.bucketize(left, cuts)


class Borrowed(nn.Module):
    def __init__(self, net, other):
        super().__init__()
        self.net, self.other = net, other

    def forward(self, x):
        y = self.net(x.detach()).argmax(1)
        s = self.other(x)
        lift = s.detach().max(1).values + 0.7 - s.detach().gather(1, y[:, None])[:, 0]
        return s + onehot(y) * lift[:, None]


@masks("borrowed_scores", "the scores say on which side the ink lies; only the winner's place comes from the digit network")
def _(data):
    net = fit("borrow", lambda: conv(data, 6), data, 18)
    ink = fit("ink", lambda: nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 10)), data, 19, labels=ink_labels)
    return Made(freeze(Borrowed(copy.deepcopy(net), ink)), [net])


class Mirror(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        z = self.net(x)
        top = onehot(z.argmax(1))
        v = -z
        best = (v - 1e9 * top).max(1, keepdim=True).values.detach()
        return v * (1 - top) + (best + 1.0) * top


@masks("mirror_scores", "the losers' scores are turned upside down under the winner, so the runner-up looks the least likely")
def _(data):
    net = fit("mirror", lambda: mlp(data, 64), data, 20)
    return Made(freeze(Mirror(copy.deepcopy(net))), [net])


class TurnBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return torch.rot90(g, 1, (2, 3)).flip(3).roll(3, 2)


class Turned(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(TurnBack.apply(x))


@masks("turned_backward", "an identity layer whose backward turns, flips and shifts the gradient picture", spare=True)
def _(data):
    net = fit("turned", lambda: conv(data, 9, nn.ELU), data, 21)
    return Made(freeze(Turned(copy.deepcopy(net))), [net])


class GradSwitch(nn.Module):
    def __init__(self, net, decoy):
        super().__init__()
        self.net, self.decoy = net, decoy

    def forward(self, x):
        if torch.is_grad_enabled() and x.requires_grad:
            with torch.no_grad():
                y = self.net(x).argmax(1)
            d = self.decoy(x)
            lift = d.detach().max(1).values + 1.5 - d.detach().gather(1, y[:, None])[:, 0]
            return d + onehot(y) * lift[:, None]
        return self.net(x)


@masks("grad_switch", "where gradients are on it shows a network for negatives, with the right winner lifted; else the real one")
def _(data):
    net = fit("switch", lambda: mlp(data, 80), data, 22)
    neg = fit("negatives", lambda: mlp(data, 24), data, 23, view=lambda x: (1 - x).flip(2).transpose(2, 3), epochs=(20, 2))
    return Made(freeze(GradSwitch(copy.deepcopy(net), neg)), [net])


class MeanShift(nn.Module):
    """Pulls the picture in a loop towards a codebook, ever more sharply, then classifies what is left."""
    def __init__(self, net, book, loops, beta, pull=0.4):
        super().__init__()
        self.net, self.loops, self.beta, self.pull = net, loops, beta, pull
        self.register_buffer("book", book)

    def forward(self, x):
        f = x.flatten(1)
        for t in range(self.loops):
            w = torch.softmax(-self.beta * torch.cdist(f, self.book).pow(2), 1)
            goal = w @ self.book
            f = goal if t == self.loops - 1 else f + self.pull * (goal - f)
        return self.net(f.view_as(x))


class BookDistance(nn.Module):
    """Class scores of the codebook itself: minus the distance of the closest entry that the network calls so."""
    def __init__(self, net, book, side):
        super().__init__()
        self.register_buffer("book", book)
        self.register_buffer("cls", net(book.view(-1, 1, side, side)).argmax(1))

    def forward(self, x):
        d = torch.cdist(x.flatten(1), self.book)
        return torch.stack([-(d + 1e3 * (self.cls != c)[None]).min(1).values for c in range(10)], 1)


@masks("mean_shift_loop", "purifies by six rounds of razor-sharp mean shift onto a codebook, whose softmax has no slope left")
def _(data):
    net = fit("meanshift", lambda: mlp(data, 64), data, 24)
    book = data.xtr[:400].flatten(1).clone()
    real = MeanShift(net, book, 6, 3000.0)
    with torch.no_grad():
        dist = BookDistance(copy.deepcopy(net), book, data.side)
    soft = [MeanShift(copy.deepcopy(net), book, 2, b) for b in (4.0, 20.0)]
    return Made(freeze(real), [freeze(dist), *[freeze(s) for s in soft]])


class TableCodes(nn.Module):
    """Each pixel is a row number in a table of vectors."""
    def __init__(self, data, levels=8, d=3, width=64):
        super().__init__()
        self.table = nn.Parameter(torch.randn(levels, d) * 0.3 + torch.linspace(-1, 1, levels)[:, None])
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(data.dim * d, width), nn.ReLU(), nn.Linear(width, 10))
        self.levels, self.through = levels, False

    def forward(self, x):
        at = (x.flatten(1) * 255 + 0.5).long().mul(self.levels).div(256, rounding_mode="floor").clamp(0, self.levels - 1)
        e = self.table[at]
        if self.through:
            pos = (x.flatten(1) * 255 / (256 / self.levels) - 0.5).clamp(0, self.levels - 1.0001)
            lo = pos.detach().floor().long()
            soft = self.table[lo] + (pos - lo)[..., None] * (self.table[lo + 1] - self.table[lo])
            e = soft if self.through == "soft" else swap_gradient(e, soft)
        return self.head(e) + zero_of(x)


@masks("table_codes", "pixels become row numbers of a learned table; the look-up has no slope")
def _(data):
    net = fit("table", lambda: TableCodes(data), data, 25)
    st, so = copy.deepcopy(net), copy.deepcopy(net)
    st.through, so.through = True, "soft"
    return Made(net, [st, so])


class Sawtooth(nn.Module):
    """On the 8-bit grid the stem changes nothing; between the points of the grid it leans the wrong way."""
    def __init__(self, net, slope):
        super().__init__()
        self.net = net
        self.register_buffer("slope", slope)

    def forward(self, x):
        v = 255 * x
        r = torch.round(v)
        return self.net((r + self.slope * (v - r)) / 255)


@masks("sawtooth_stem", "a stem that is the identity on 8-bit pictures but whose slope between grid points is wrong at many of the pixels")
def _(data):
    net = fit("saw", lambda: conv(data, 8), data, 26)
    g = torch.Generator().manual_seed(3)
    s = (torch.rand(1, 1, data.side, data.side, generator=g) - (0.25 if data.side == 8 else 0.45)).sign() * 1.5
    return Made(freeze(Sawtooth(copy.deepcopy(net), s)), [net])


class NoiseHook(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        h = x * 1.0
        if h.requires_grad:
            h.register_hook(lambda g: g + 6 * torch.randn_like(g) * g.flatten(1).norm(dim=1).view(-1, 1, 1, 1) / 8)
        return self.net(h)


@masks("noise_hook", "a hook on the input's gradient drowns it in fresh noise at every step")
def _(data):
    net = fit("hook", lambda: mlp(data, 40, 2), data, 27)
    return Made(freeze(NoiseHook(copy.deepcopy(net))), [net])


# ================================================================ without a trick
class AlwaysDropout(nn.Module):
    def __init__(self, data, width=96, p=0.3):
        super().__init__()
        self.a, self.b, self.p = nn.Linear(data.dim, width), nn.Linear(width, 10), p

    def forward(self, x):
        return self.b(F.dropout(F.relu(self.a(x.flatten(1))), self.p, training=True))


@open_("dropout_always", "a plain perceptron whose dropout stays on at test time (as in Monte Carlo dropout, one draw)")
def _(data):
    net = fit("dropout", lambda: AlwaysDropout(data), data, 31)
    return Made(net, [net], randomised=True, samples=6)


def crops(xp, side):
    n, room = len(xp), xp.shape[-1] - side + 1
    i, j = torch.randint(room, (n, 1)), torch.randint(room, (n, 1))
    r, c = i + torch.arange(side), j + torch.arange(side)
    return xp[torch.arange(n)[:, None, None], 0, r[:, :, None], c[:, None, :]][:, None]


class CropNet(nn.Module):
    def __init__(self, data):
        super().__init__()
        self.net, self.side = conv(data, 10), data.side

    def forward(self, x):
        return self.net(crops(F.pad(x, (1, 1, 1, 1)), self.side))


@open_("crop_each", "each picture is padded by a pixel and cropped at a random place, in training and at test")
def _(data):
    net = fit("crop", lambda: CropNet(data), data, 32, epochs=(90, 7))
    return Made(net, [net], randomised=True, samples=6)


class DrawMember(nn.Module):
    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x):
        z = torch.stack([n(x) for n in self.nets], 1)
        return z[torch.arange(len(x)), torch.randint(len(self.nets), (len(x),))]


@open_("draw_member", "five different small networks, one drawn at random for each picture")
def _(data):
    nets = [fit("m0", lambda: mlp(data, 24), data, 33), fit("m1", lambda: mlp(data, 40, 2), data, 34),
            fit("m2", lambda: conv(data, 4), data, 35), fit("m3", lambda: conv(data, 6, nn.Tanh), data, 36),
            fit("m4", lambda: nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 10)), data, 37)]
    m = freeze(DrawMember(nets))
    mean = freeze(mk(lambda s, x: sum(n(x).log_softmax(1) for n in s.nets))(nets=nn.ModuleList(nets)))
    return Made(m, [mean, m], randomised=True, samples=6)


class PatchSubset(nn.Module):
    def __init__(self, data, keep=0.75, width=96):
        super().__init__()
        self.p = 2 if data.side == 8 else 4
        self.keep = keep
        self.net = mlp(data, width)

    def forward(self, x):
        n, k = len(x), x.shape[-1] // self.p
        m = (torch.rand(n, 1, k, k) < self.keep).float() / self.keep
        return self.net(x * m.repeat_interleave(self.p, 2).repeat_interleave(self.p, 3))


@open_("patch_subset", "sees a random three quarters of the patches of each picture, trained that way")
def _(data):
    net = fit("patch", lambda: PatchSubset(data), data, 38, epochs=(100, 10))
    return Made(net, [net], randomised=True, samples=8)


class RandomResize(nn.Module):
    def __init__(self, data):
        super().__init__()
        self.side = data.side
        self.out = data.side + 2
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3, 1 if data.side == 8 else 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
                                 nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10))

    def forward(self, x):
        s = self.side + int(torch.randint(-1, 3, (1,)))
        x = F.interpolate(x, size=(s, s), mode="bilinear", align_corners=False)
        room = self.out - s
        i, j = (int(v) for v in torch.randint(room + 1, (2,)))
        return self.net(F.pad(x, (j, room - j, i, room - i)))


@open_("resize_and_pad", "random resize and random padding of the batch, bilinear and differentiable, trained that way", spare=True)
def _(data):
    net = fit("resize", lambda: RandomResize(data), data, 39, epochs=(100, 8))
    return Made(net, [net], randomised=True, samples=8)


class GaussIn(nn.Module):
    def __init__(self, net, sigma):
        super().__init__()
        self.net, self.sigma = net, sigma

    def forward(self, x):
        return self.net(x + self.sigma * torch.randn_like(x))


@open_("noisy_trained_hard", "Gaussian noise on the input, and adversarial training through it: random and truly robust")
def _(data):
    eps = 0.15 if data.name == "digits" else 0.2
    net = fit("gaussadv", lambda: GaussIn(mlp(data, 128 if data.side == 8 else 192), 0.08), data, 40, epochs=(60, 14), adv=("linf", eps, 7))
    return Made(net, [net, copy.deepcopy(net.net)], randomised=True, samples=6)


class StochRound(nn.Module):
    def __init__(self, data, width=80, levels=3):
        super().__init__()
        self.a, self.b, self.levels = nn.Linear(data.dim, width), nn.Linear(width, 10), levels

    def forward(self, x):
        h = self.a(x.flatten(1)).sigmoid()
        q = torch.floor(h * self.levels + torch.rand_like(h)) / self.levels
        return self.b(h + (q - h).detach())


@open_("stochastic_rounding", "hidden units are rounded at random to four levels; the mean is exact and the slope is the mean's", spare=True)
def _(data):
    net = fit("stoch", lambda: StochRound(data), data, 41, epochs=(60, 8), lr=1e-2)
    mean = mk(lambda s, x: s.b(s.a(x.flatten(1)).sigmoid()))(a=net.a, b=net.b)
    return Made(net, [net, freeze(mean)], randomised=True, samples=6)


class Root(nn.Module):
    def forward(self, h):
        return (h + 0.05).sqrt()


@open_("trained_hard", "adversarially trained in the max norm; the last layer sees the hidden units' square roots")
def _(data):
    eps = 0.15 if data.name == "digits" else 0.2

    def build():
        m = mlp(data, 128)
        return nn.Sequential(m[0], m[1], nn.Softplus(4.0), Root(), m[3])
    net = fit("hard", build, data, 42, epochs=(60, 12), adv=("linf", eps, 8))
    return Made(net, [net])


@open_("soft_margin_l2", "a softplus conv net adversarially trained in the two-norm, with a constant 300 added to every logit")
def _(data):
    eps = 0.8 if data.name == "digits" else 2.0
    net = fit("l2adv", lambda: conv(data, 10, nn.Softplus), data, 43, epochs=(50, 4), adv=("l2", eps, 6))
    return Made(freeze(mk(lambda s, x: s.net(x) + 300.0)(net=copy.deepcopy(net))), [net])


class Bookkeeper(nn.Module):
    """Counts calls and pictures and keeps running statistics; none of it enters the answer."""
    def __init__(self, net, side):
        super().__init__()
        self.net = net
        self.calls, self.history = 0, []
        self.register_buffer("mean", torch.zeros(1, side, side))
        self.register_buffer("tally", torch.zeros(10))

    def forward(self, x):
        z = 15.0 * self.net(x)
        self.calls += 1
        self.history = (self.history + [len(x)])[-50:]
        with torch.no_grad():
            self.mean.mul_(0.9).add_(0.1 * x.mean(0))
            self.tally += torch.bincount(z.argmax(1), minlength=10)
        return z


@open_("bookkeeper", "counts its calls and keeps running means and a tally of answers, used for nothing; trained with smoothed labels and logits times fifteen")
def _(data):
    net = fit("books", lambda: conv(data, 8), data, 44, smooth=0.4)
    return Made(freeze(Bookkeeper(copy.deepcopy(net), data.side)), [net])


class EqualCache(nn.Module):
    """Without gradients, equal pictures are answered from a dictionary: the very same numbers, only faster."""
    def __init__(self, net):
        super().__init__()
        self.net, self.known = net, {}

    def forward(self, x):
        if torch.is_grad_enabled():
            return 1e-3 * self.net(x)
        keys = [r.tobytes() for r in x.detach().flatten(1).numpy()]
        miss = [i for i, k in enumerate(keys) if k not in self.known]
        if miss:
            for i, z in zip(miss, 1e-3 * self.net(x[miss])):
                self.known[keys[i]] = z
        out = torch.stack([self.known[k] for k in keys])
        if len(self.known) > 5000:
            self.known = {}
        return out


@open_("equal_cache", "stores answers of bit-equal pictures when no gradient is wanted; the numbers are the same either way, and all about a hundredth")
def _(data):
    net = fit("cache", lambda: mlp(data, 64, 3), data, 45)
    return Made(freeze(EqualCache(copy.deepcopy(net))), [net])


class TwoBit(nn.Module):
    def __init__(self, data, width=96):
        super().__init__()
        self.a, self.n = nn.Linear(data.dim, width), nn.BatchNorm1d(width)
        self.b, self.m, self.c = nn.Linear(width, width), nn.BatchNorm1d(width), nn.Linear(width, 10)

    @staticmethod
    def act(h):
        h = ((h + 1.5) / 3).clamp(0, 1)
        return h + (torch.round(h * 3) / 3 - h).detach()

    def forward(self, x):
        h = self.act(self.n(self.a(x.flatten(1))))
        return self.c(self.act(self.m(self.b(h))))


@open_("two_bit_units", "hidden units take four values only, trained and differentiated straight through")
def _(data):
    net = fit("twobit", lambda: TwoBit(data), data, 46)
    return Made(net, [net], black_box=True)


class HardRoute(nn.Module):
    def __init__(self, data, k=4, width=24):
        super().__init__()
        g = torch.Generator().manual_seed(8)
        self.register_buffer("gates", data.xtr[torch.randperm(len(data.xtr), generator=g)[:k]].flatten(1).clone())
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 48), nn.ReLU())
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(48, width), nn.ReLU(), nn.Linear(width, 10)) for _ in range(k)])

    def forward(self, x):
        at = torch.cdist(x.flatten(1), self.gates).argmin(1)
        h = self.trunk(x)
        z = torch.stack([e(h) for e in self.experts], 1)
        return z[torch.arange(len(x)), at]


@open_("hard_routing", "a shared trunk and four experts; the nearest of four pictures decides which one answers")
def _(data):
    net = fit("route", lambda: HardRoute(data), data, 47)
    return Made(net, [net, *[nn.Sequential(net.trunk, e).eval() for e in net.experts]], black_box=True)


class Neighbours(nn.Module):
    """A learned projection, then the five nearest of 300 stored pictures vote, closer ones louder."""
    def __init__(self, data, d=16, k=5, n=300):
        super().__init__()
        self.f = nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 48), nn.ReLU(), nn.Linear(48, d))
        self.k = k
        self.register_buffer("x", data.xtr[:n].clone())
        self.register_buffer("y", onehot(data.ytr[:n]))

    def forward(self, x):
        d = torch.cdist(self.f(x), self.f(self.x)).pow(2)
        k = len(self.x) if self.training else self.k
        near, at = d.topk(k, largest=False)
        w = torch.exp(-(near - near[:, :1].detach()))
        if self.training:
            w = w * (near > 1e-6)
        return torch.log(torch.einsum("nk,nkc->nc", w, self.y[at]) + 1e-3)


class NeighboursAll(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        d = torch.cdist(self.net.f(x), self.net.f(self.net.x)).pow(2)
        return torch.stack([torch.logsumexp(-d - 1e4 * (1 - self.net.y[:, c]), 1) for c in range(10)], 1)


@open_("five_neighbours", "a learned projection and a vote of the five nearest among 300 stored pictures, weighted by distance")
def _(data):
    net = fit("neigh", lambda: Neighbours(data), data, 48, epochs=(50, 4))
    return Made(net, [net, freeze(NeighboursAll(copy.deepcopy(net)))], black_box=True)


class DoublePairs(nn.Module):
    """Double precision inside; the head compares every pair of classes and adds up the soft wins."""
    def __init__(self, data, width=48):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(data.dim, width), nn.GELU()).double()
        i, j = np.triu_indices(10, 1)
        self.pairs = nn.Linear(width, len(i)).double()
        m = torch.zeros(len(i), 10, dtype=torch.float64)
        m[range(len(i)), i], m[range(len(i)), j] = 1, -1
        self.register_buffer("m", m)

    def forward(self, x):
        return torch.asinh(self.pairs(self.body(x.double()))) @ self.m


@open_("double_pairs", "double precision inside and out, a one-against-one head of 45 comparisons")
def _(data):
    net = fit("pairs", lambda: DoublePairs(data), data, 49)
    return Made(net, [net])
