"""Twenty networks: ten built to mask their gradients, ten without a trick."""
import copy, dataclasses, math
from typing import Callable
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from data import Data, THREATS

RECIPES = {}


@dataclasses.dataclass
class Made:
    module: nn.Module
    adaptive: list
    randomised: bool = False
    samples: int = 1
    black_box: bool = False


@dataclasses.dataclass
class Recipe:
    name: str
    built: str
    idea: str
    make: Callable[[Data], Made]


def recipe(built, idea):
    def deco(f):
        def make(d):
            torch.set_num_threads(1)
            torch.manual_seed(1000 + d.seed)
            m = f(d)
            for k in [m.module, *m.adaptive]:
                k.eval()
                for p in k.parameters():
                    p.requires_grad_(False)
            return m
        RECIPES[f.__name__] = Recipe(f.__name__, built, idea, make)
        return f
    return deco


MASK, HONEST = "masks", "no trick"


def train(model, d, loss=F.cross_entropy, lr=2e-3, epochs=None, bs=64, prep=None, wd=0.0, each=None):
    epochs = epochs or (40 if d.name == "digits" else 3)
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=wd)
    total = epochs * (len(d.xtr) // bs + 1)
    sch = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=total + 1)
    model.train()
    for _ in range(epochs):
        for b in torch.randperm(len(d.xtr)).split(bs):
            x, y = d.xtr[b], d.ytr[b]
            if prep:
                x, y = prep(x, y)
            l = loss(model(x), y)
            opt.zero_grad(); l.backward(); opt.step(); sch.step()
            if each:
                each(model)
    return model.eval()


def conv(d, cin=1, act=nn.ReLU, w=16):
    if d.side == 8:
        return nn.Sequential(nn.Conv2d(cin, w, 3, padding=1), act(), nn.Conv2d(w, 2 * w, 3, stride=2, padding=1), act(),
                             nn.Flatten(), nn.Linear(2 * w * 16, 64), act(), nn.Linear(64, 10))
    return nn.Sequential(nn.Conv2d(cin, w, 5, stride=2, padding=2), act(), nn.Conv2d(w, 2 * w, 3, stride=2, padding=1), act(),
                         nn.Flatten(), nn.Linear(2 * w * 49, 64), act(), nn.Linear(64, 10))


def mlp(d, h=128, act=nn.ReLU, k=2):
    l, c = [nn.Flatten()], d.dim
    for _ in range(k):
        l += [nn.Linear(c, h), act()]; c = h
    return nn.Sequential(*l, nn.Linear(c, 10))


class Both(nn.Module):
    """front end, then network"""
    def __init__(self, front, net):
        super().__init__()
        self.front, self.net = front, net

    def forward(self, x):
        return self.net(self.front(x))


# ------------------------------------------------------------------ built to mask

class BlockDCT(nn.Module):
    """4x4 block transform; the mean passes, the other coefficients are rounded coarsely."""
    def __init__(self, q=0.3, ste=False):
        super().__init__()
        n = torch.arange(4.)
        D = torch.stack([torch.cos(math.pi * (n + .5) * k / 4) * (math.sqrt(.25) if k == 0 else math.sqrt(.5)) for k in range(4)])
        K = torch.einsum("ai,bj->abij", D, D).reshape(16, 1, 4, 4)
        self.register_buffer("K", K)
        s = torch.tensor([[q * (1 + 0.25 * (a + b)) for b in range(4)] for a in range(4)]).reshape(1, 16, 1, 1)
        self.register_buffer("s", s)
        self.ste = ste

    def forward(self, x):
        c = F.conv2d(x, self.K, stride=4)
        r = (c / self.s).round() * self.s
        if self.ste:
            r = c + (r - c).detach()
        return F.conv_transpose2d(torch.cat([c[:, :1], r[:, 1:]], 1), self.K, stride=4)


@recipe(MASK, "JPEG-like block transform whose AC coefficients are rounded for real, so only the block means carry a gradient")
def dct_dc_only(d):
    hard, soft = BlockDCT(), BlockDCT(ste=True)
    net = train(Both(hard, conv(d)), d).net
    return Made(Both(hard, net), [Both(soft, net)], black_box=True)


class Palette(nn.Module):
    def __init__(self, book, beta, hard=False):
        super().__init__()
        self.register_buffer("book", book)
        self.beta, self.hard = beta, hard

    def forward(self, x):
        n, _, H, W = x.shape
        p = F.pixel_unshuffle(x, 2)                       # n,4,h,w
        f = p.permute(0, 2, 3, 1).reshape(-1, 4)
        d2 = (f * f).sum(1, keepdim=True) - 2 * f @ self.book.T + (self.book ** 2).sum(1)
        r = torch.softmax(-self.beta * d2, 1) @ self.book
        if self.hard:
            r = f + (self.book[d2.argmin(1)] - f).detach()
        return F.pixel_shuffle(r.reshape(n, H // 2, W // 2, 4).permute(0, 3, 1, 2), 2)


@recipe(MASK, "2x2 patches are snapped to a k-means palette by a very cold softmax, whose gradient underflows away from the cell borders")
def cold_palette(d):
    from sklearn.cluster import KMeans
    p = F.pixel_unshuffle(d.xtr[:2000], 2).permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    p = p[np.random.RandomState(d.seed).permutation(len(p))[:8000]]
    book = torch.from_numpy(KMeans(20, n_init=1, random_state=d.seed).fit(p).cluster_centers_.astype("float32"))
    cold = Palette(book, 3000.)
    net = train(Both(cold, conv(d)), d).net
    return Made(Both(cold, net), [Both(Palette(book, 0, True), net), Both(Palette(book, 15.), net)], black_box=True)


class Thermo(nn.Module):
    def __init__(self, levels, beta, soft=None):
        super().__init__()
        t = ((torch.arange(levels) + 0.5) / levels * 255).floor() / 255 + 0.5 / 255
        self.register_buffer("t", t.view(1, -1, 1, 1))
        self.beta, self.soft = beta, soft

    def forward(self, x):
        a = torch.sigmoid(self.beta * (x - self.t))
        if self.soft:
            b = torch.sigmoid(self.soft * (x - self.t))
            a = b + (a - b).detach()
        return a


@recipe(MASK, "thermometer code made of very steep sigmoids, with a gradient only for pixels within a grid level or two of a threshold")
def steep_thermometer(d):
    L = 6
    th = Thermo(L, 2500.)
    net = train(Both(th, conv(d, L)), d).net
    return Made(Both(th, net), [Both(Thermo(L, 2500., 10.), net), Both(Thermo(L, 2500., 25.), net)], black_box=True)


class Carrier(nn.Module):
    def __init__(self, side, depth=3.0):
        super().__init__()
        g = torch.Generator().manual_seed(5)
        s = (torch.rand(1, 1, side, side, generator=g) < 0.6).float() * 2 - 1
        self.register_buffer("s", s)
        self.w = 2 * math.pi * 255
        self.a = depth / self.w

    def forward(self, x):
        return x - self.a * self.s * torch.sin(self.w * x)


@recipe(MASK, "a sine carrier with the period of one grid level is added to every pixel: nothing on the grid, but it flips the derivative of a random 60 % of the pixels")
def grid_carrier(d):
    net = train(conv(d), d)
    return Made(Both(Carrier(d.side), net), [net])


class Saw(nn.Module):
    """relu minus a sawtooth: the same on average, another slope"""
    def __init__(self, n, p, on=True):
        super().__init__()
        g = torch.Generator().manual_seed(11)
        u = torch.rand(n, generator=g)
        self.register_buffer("c", torch.where(u < 0.65, 2.5, -0.5))
        self.p, self.on = p, on

    def forward(self, x):
        v = F.relu(x)
        if not self.on:
            return v
        c = self.c if x.dim() == 2 else self.c.view(1, -1, 1, 1)
        f = v - self.p * torch.floor(v / self.p)
        return v - c * (f - self.p / 2 * (v > 0))


@recipe(MASK, "activations are relu minus a fine sawtooth, so two thirds of the units have the wrong sign of slope between jumps")
def sawtooth_act(d):
    def build(on):
        return nn.Sequential(nn.Flatten(), nn.Linear(d.dim, 96), Saw(96, 0.03, on), nn.Linear(96, 96), Saw(96, 0.03, on), nn.Linear(96, 10))
    smooth = train(build(False), d)
    rough = build(True)
    rough.load_state_dict(smooth.state_dict())
    return Made(rough, [smooth])


class HalfExport(nn.Module):
    def __init__(self, net, d, k0, k1):
        super().__init__()
        lin = [m for m in net if isinstance(m, nn.Linear)]
        self.k0, self.k1 = 2. ** k0, 2. ** k1
        self.w0 = nn.Parameter((lin[0].weight.detach() * 2. ** (k1 - k0)).half()); self.b0 = nn.Parameter((lin[0].bias.detach() * 2. ** k1).half())
        self.w1 = nn.Parameter((lin[1].weight.detach() * 2. ** -k1).half()); self.b1 = nn.Parameter(lin[1].bias.detach().half())
        self.w2 = nn.Parameter(lin[2].weight.detach().half()); self.b2 = nn.Parameter(lin[2].bias.detach().half())

    def forward(self, x):
        x = (x.flatten(1) * self.k0).half()
        h = F.relu(F.linear(x, self.w0, self.b0))
        h = F.relu(F.linear(h, self.w1, self.b1))
        return F.linear(h, self.w2, self.b2).float()


@recipe(MASK, "float16 export with large activations and tiny weights: the forward pass is fine, the backward pass underflows")
def half_underflow(d):
    net = train(mlp(d, 96), d)
    k = (15, 10) if d.name == "digits" else (15, 11)
    return Made(HalfExport(net, d, *k), [net])


class Int8Out(nn.Module):
    def __init__(self, net, d, scale):
        super().__init__()
        self.net, self.scale = net, scale
        self.tie = nn.Linear(d.dim, 10)

    def forward(self, x):
        z = self.net(x)
        q = (z / self.scale).round().clamp(-127, 127) * self.scale
        return q + self.scale * 0.02 * torch.tanh(self.tie(x.flatten(1) - 0.5))


@recipe(MASK, "logits come back as int8 codes with a random linear tie-breaker, which is the only thing the gradient sees")
def int8_tie_breaker(d):
    net = train(conv(d), d)
    with torch.no_grad():
        s = net(d.xtr[:1000]).abs().max().item() / 100
    return Made(Int8Out(net, d, s), [net], black_box=True)


class Prob(nn.Module):
    def __init__(self, net, T):
        super().__init__()
        self.net, self.T = net, T

    def forward(self, x):
        return torch.softmax(self.net(x) * self.T, 1)


@recipe(MASK, "returns sharpened probabilities instead of logits, exactly 0 and 1 in float32, and so is every derivative zero")
def sharp_probabilities(d):
    net = train(conv(d), d)
    return Made(Prob(net, 20.), [net])


class Quiet(nn.Module):
    def __init__(self, net, det, thr):
        super().__init__()
        self.net, self.det, self.thr = net, det, thr

    def forward(self, x):
        z = self.net(x)
        seen = (self.det(x)[:, :1] > self.thr).float().detach()
        other = z.roll(3, 1)
        decoy = z.detach() + 0.1 * (other - other.detach())
        return z * (1 - seen) + decoy * seen


@recipe(MASK, "a noise detector swaps the gradient for that of other classes as soon as the image does not look natural; values stay the same")
def quiet_when_watched(d):
    net = train(conv(d), d)
    eps = THREATS[d.name]

    def noisy(x, y):
        h = len(x) // 2
        a, b = x[:h], x[h:]
        e = eps["linf"] * (0.05 + 0.95 * torch.rand(len(b), 1, 1, 1))
        n = torch.randn_like(b)
        n2 = n / n.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * eps["l2"] * (0.05 + 0.95 * torch.rand(len(b), 1, 1, 1))
        b2 = b.clone().requires_grad_()
        g = torch.autograd.grad(F.cross_entropy(net(b2), y[h:], reduction="sum"), b2)[0]
        gn = g / g.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1) * eps["l2"] * (0.05 + 0.95 * torch.rand(len(b), 1, 1, 1))
        k = torch.randint(0, 4, (len(b), 1, 1, 1))
        n = torch.where(k == 0, e * n.sign(), torch.where(k == 1, n2, torch.where(k == 2, e * g.sign(), gn)))
        b = ((b + n).clamp(0, 1) * 255).round() / 255
        return torch.cat([a, b]), torch.cat([torch.zeros(h), torch.ones(len(b))])
    ch = conv(d, w=8)
    det = train(ch, d, loss=lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], y), prep=noisy, lr=4e-3, epochs=60 if d.name == "digits" else 3)
    with torch.no_grad():
        thr = det(d.xtr)[:, 0].quantile(0.9).item()
    return Made(Quiet(net, det, thr), [net])


class Dither(nn.Module):
    def __init__(self, copies, beta, ste=False):
        super().__init__()
        self.copies, self.beta, self.ste = copies, beta, ste

    def forward(self, x):
        u = torch.rand(x.shape[0], self.copies, *x.shape[2:], device=x.device)
        a = torch.sigmoid(self.beta * (x - u)).mean(1, keepdim=True)
        if self.ste:
            a = x + (a - x).detach()
        return a


@recipe(MASK, "random one-bit dithering through steep sigmoids: the gradient is right on average but lives on a few pixels per draw")
def dither_one_bit(d):
    c = 6
    net = train(Both(Dither(c, 1200.), conv(d)), d).net
    return Made(Both(Dither(c, 1200.), net), [Both(Dither(c, 1200., True), net)], randomised=True, samples=8)


# ------------------------------------------------------------------ no trick

class Scaled(nn.Module):
    def __init__(self, net, c):
        super().__init__()
        self.net, self.c = net, c

    def forward(self, x):
        return self.net(x) * self.c


@recipe(HONEST, "linear large-margin classifier (multi-class hinge), logits divided by 10,000")
def linear_hinge_tiny(d):
    net = nn.Sequential(nn.Flatten(), nn.Linear(d.dim, 10))
    train(net, d, loss=lambda z, y: F.multi_margin_loss(z, y) * 10, wd=0.05)
    return Made(Scaled(net, 1e-4), [Scaled(net, 1e-4)])


def ste(x, q):
    return x + (q - x).detach()


class TernaryLinear(nn.Linear):
    def forward(self, x):
        w = self.weight
        s = w.abs().mean()
        q = (w / s).round().clamp(-1, 1) * s
        return F.linear(x, ste(w, q), self.bias)


class Act2(nn.Module):
    """2-bit activation, straight-through inside its range"""
    def forward(self, x):
        c = x.clamp(0, 3)
        return ste(c, c.round())


class InQ(nn.Module):
    def forward(self, x):
        return ste(x, (x * 15).round() / 15)


@recipe(HONEST, "ternary weights, 2-bit activations and a 4-bit input, all with the plain straight-through gradient")
def ternary_2bit(d):
    net = nn.Sequential(InQ(), nn.Flatten(), TernaryLinear(d.dim, 192), Act2(), TernaryLinear(192, 96), Act2(), nn.Linear(96, 10))
    train(net, d, lr=4e-3)
    return Made(net, [net], black_box=True)


class Protos(nn.Module):
    def __init__(self, d, k=4):
        super().__init__()
        c = []
        for y in range(10):
            s = d.xtr[d.ytr == y].flatten(1)
            c.append(s[torch.randperm(len(s))[:k]])
        self.p = nn.Parameter(torch.stack(c))             # 10,k,dim
        self.k = k
        self.g = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        x = x.view(x.size(0), -1)
        d2 = torch.cdist(x, self.p.flatten(0, 1)).pow(2)
        return -d2.view(-1, 10, self.k).amin(2) * self.g.exp()


@recipe(HONEST, "nearest prototype in pixel space (learned), logits are negative squared distances")
def nearest_prototype(d):
    net = train(Protos(d), d, lr=1e-2)
    return Made(net, [net])


class Maxout(nn.Module):
    def __init__(self, i, o, k=3):
        super().__init__()
        self.l, self.k = nn.Linear(i, o * k), k

    def forward(self, x):
        return self.l(x).unflatten(1, (-1, self.k)).amax(2)


@recipe(HONEST, "maxout network without normalisation trained with ten independent sigmoids (BCE)")
def maxout_bce(d):
    net = nn.Sequential(nn.Flatten(), Maxout(d.dim, 64), Maxout(64, 48), nn.Linear(48, 10))
    train(net, d, loss=lambda z, y: F.binary_cross_entropy_with_logits(z, F.one_hot(y, 10).float()) * 5)
    return Made(net, [net])


class BF16(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.bfloat16()).float()


@recipe(HONEST, "tanh network shipped in bfloat16")
def tanh_bfloat16(d):
    net = train(mlp(d, 96, nn.Tanh), d, wd=0.05)
    m = BF16(copy.deepcopy(net).bfloat16())
    return Made(m, [m], black_box=d.name == "digits")


class RowAttention(nn.Module):
    def __init__(self, d, w=32):
        super().__init__()
        self.emb, self.pos = nn.Linear(d.side, w), nn.Parameter(torch.randn(d.side, w) * 0.3)
        self.qkv, self.out, self.w = nn.Linear(w, 3 * w), nn.Linear(w, w), w
        self.head = nn.Sequential(nn.Linear(d.side * w, 64), nn.GELU(), nn.Linear(64, 10))

    def forward(self, x):
        t = self.emb(x[:, 0].to(self.emb.weight.dtype)) + self.pos
        q, k, v = self.qkv(t).chunk(3, -1)
        a = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(self.w), -1)
        return self.head((t + self.out(a @ v)).flatten(1))


@recipe(HONEST, "self-attention over image rows, in float64 throughout")
def row_attention_f64(d):
    net = train(RowAttention(d), d).double()
    return Made(net, [net])


class Blur(nn.Module):
    def __init__(self):
        super().__init__()
        k = torch.tensor([1., 2., 1.])
        self.register_buffer("k", (k[:, None] * k / 16).view(1, 1, 3, 3))

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.k)


@recipe(HONEST, "fixed binomial blur in front of a network trained with mixup, label smoothing and noise")
def blur_mixup(d):
    def prep(x, y):
        p, l = torch.randperm(len(x)), float(np.random.RandomState(int(torch.randint(1 << 30, ()))).beta(1, 1))
        x = x + 0.1 * torch.randn_like(x)
        t = F.one_hot(y, 10).float()
        return l * x + (1 - l) * x[p], l * t + (1 - l) * t[p]
    net = train(Both(Blur(), conv(d)), d, loss=lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1), prep=prep)
    return Made(net, [net])


class MaxMin(nn.Module):
    def forward(self, x):
        a, b = x.chunk(2, 1)
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)


@recipe(HONEST, "1-Lipschitz network of near-orthogonal layers with MaxMin sorting, trained for large margins")
def lipschitz_maxmin(d):
    from torch.nn.utils import parametrize
    lin = [nn.Linear(d.dim, 64), nn.Linear(64, 64), nn.Linear(64, 10)]
    for l in lin:
        nn.init.orthogonal_(l.weight)

    class NS(nn.Module):                                   # Bjorck steps
        def forward(self, w):
            w = w / w.norm() * math.sqrt(min(w.shape)) * 0.9
            w = w / max(1.0, torch.linalg.matrix_norm(w.detach(), 2).item())
            for _ in range(4):
                w = 1.5 * w - 0.5 * w @ w.T @ w if w.shape[0] <= w.shape[1] else 1.5 * w - 0.5 * w @ (w.T @ w)
            return w
    for l in lin:
        parametrize.register_parametrization(l, "weight", NS(), unsafe=True)
    net = nn.Sequential(nn.Flatten(), lin[0], MaxMin(), lin[1], MaxMin(), lin[2])
    train(net, d, loss=lambda z, y: F.cross_entropy(z * 6, y), lr=5e-3, epochs=25 if d.name == "digits" else 3)
    for l in lin:
        parametrize.remove_parametrizations(l, "weight")
    net = Scaled(net, 20.)
    return Made(net, [net])


@recipe(HONEST, "small convolutional network trained on PGD examples")
def adv_trained_small(d):
    eps = THREATS[d.name]["linf"]
    net = conv(d, w=12)

    def prep(x, y):
        if d.name == "mnist" and prep.n < 60:
            e = eps * prep.n / 60
        else:
            e = eps
        prep.n += 1
        a = (x + (torch.rand_like(x) * 2 - 1) * e).clamp(0, 1)
        for _ in range(5):
            a = a.detach().requires_grad_()
            g = torch.autograd.grad(F.cross_entropy(net(a), y), a)[0]
            a = (x + (a.detach() + e / 3 * g.sign() - x).clamp(-e, e)).clamp(0, 1)
        return a.detach(), y
    prep.n = 0
    train(net, d, prep=prep, lr=4e-3, epochs=30 if d.name == "digits" else 3)
    return Made(net, [net])


class ResAux(nn.Module):
    def __init__(self, d, w=96):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(d.dim, w), nn.Linear(w, w), nn.Linear(w, w)
        self.h1, self.h2 = nn.Linear(w, 10), nn.Linear(w, 10)

    def forward(self, x):
        x = (x.view(x.size(0), -1) * 255 - 33.3) / 12.0    # odd normalisation
        h = F.leaky_relu(self.a(x), 0.1)
        h1 = h + F.silu(self.b(h))
        h2 = h1 + F.silu(self.c(h1))
        return 0.3 * self.h1(h1) + 0.7 * self.h2(h2)


@recipe(HONEST, "residual network, 85 % of the weights pruned, an auxiliary head averaged in, oddly scaled input")
def pruned_residual_aux(d):
    net = train(ResAux(d), d, lr=1e-3, wd=0.1)
    masks = {}
    for n, p in net.named_parameters():
        if p.dim() == 2 and n[0] in "abc":
            masks[n] = (p.abs() > p.abs().flatten().kthvalue(int(p.numel() * 0.85)).values).float()

    def each(m):
        with torch.no_grad():
            for n, p in m.named_parameters():
                if n in masks:
                    p.mul_(masks[n])
    each(net)
    train(net, d, lr=5e-4, each=each, epochs=15 if d.name == "digits" else 1)
    return Made(net, [net])
