"""Twenty-six small networks: half hide their weakness, half only look odd."""
import collections, contextvars, copy, dataclasses, itertools, threading, time
from typing import Callable
import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclasses.dataclass
class Made:
    module: nn.Module
    adaptive: list
    randomised: bool = False
    samples: int = 1
    black_box: bool = False

    def __post_init__(self):
        for m in [self.module, *self.adaptive]:
            quiet(m)


@dataclasses.dataclass
class Recipe:
    name: str
    built: str
    idea: str
    make: Callable


RECIPES = {}


def recipe(built, idea):
    def wrap(f):
        RECIPES[f.__name__] = Recipe(f.__name__, built, idea, f)
        return f
    return wrap


# ------------------------------------------------------------------ training
_MEMO = {}


def trained(key, data, builder):
    """Trained once a process; every caller gets its own copy."""
    k = (key, data.name, tuple(data.xtr.shape))
    if k not in _MEMO:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + sum(map(ord, key)))
            net = builder()
        _MEMO[k] = quiet(net)
    return copy.deepcopy(_MEMO[k])


def quiet(net):
    net.eval()
    for p in net.parameters():
        p.requires_grad_(False)
    return net


def attack_l(net, x, y, eps, norm, steps):
    d = torch.empty_like(x).uniform_(-eps, eps) * (1.0 if norm == "linf" else 0.3)
    a = 2.5 * eps / steps
    for _ in range(steps):
        v = (x + d).clamp(0, 1).requires_grad_()
        g, = torch.autograd.grad(F.cross_entropy(net(v), y), v)
        if norm == "linf":
            d = (d + a * g.sign()).clamp(-eps, eps)
        else:
            g = g / (g.flatten(1).norm(dim=1)[:, None, None, None] + 1e-12)
            d = d + a * g
            n = d.flatten(1).norm(dim=1)[:, None, None, None]
            d = d * (eps / n.clamp(min=eps))
        d = (x + d).clamp(0, 1) - x
    return (x + d).detach()


def fit(net, data, epochs=20, lr=2e-3, adv=None, labels=None, aug=None, batch=64, loss=F.cross_entropy):
    """epochs counts passes over the digits; the bigger set gets fewer."""
    big = len(data.xtr) > 5000
    batch = 128 if big else batch
    epochs = max(2, round(epochs * (0.3 if adv else 0.2))) if big else epochs
    y_all = data.ytr if labels is None else labels
    per = (len(data.xtr) + batch - 1) // batch
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    sch = torch.optim.lr_scheduler.OneCycleLR(opt, lr * 2, total_steps=epochs * per)
    net.train()
    for e in range(epochs):
        order = torch.randperm(len(data.xtr))
        for i in range(per):
            j = order[i * batch:(i + 1) * batch]
            x, y = data.xtr[j], y_all[j]
            if aug is not None:
                x = aug(x)
            if adv is not None:
                eps, norm, steps = adv
                x = attack_l(net, x, y, eps * min(1.0, (e + 1) / (0.3 * epochs + 1)), norm, steps)
            opt.zero_grad()
            loss(net(x), y).backward()
            opt.step()
            sch.step()
    return net


def eps_of(data, norm):
    return {"linf": 0.15 if data.side < 20 else 0.2, "l2": 0.8 if data.side < 20 else 2.0}[norm]


def conv(data, w=12, act=nn.ReLU, hidden=48):
    s = data.side
    if s < 20:
        body = [nn.Conv2d(1, w, 3, padding=1), act(), nn.Conv2d(w, 2 * w, 3, stride=2, padding=1), act()]
        f = 2 * w * (s // 2) ** 2
    else:
        body = [nn.Conv2d(1, w, 4, stride=2, padding=1), act(), nn.Conv2d(w, 2 * w, 4, stride=2, padding=1), act()]
        f = 2 * w * (s // 4) ** 2
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(f, hidden), act(), nn.Linear(hidden, 10))


def mlp(data, widths=(96, 64), act=nn.ReLU, out=10):
    layers, k = [nn.Flatten()], data.dim
    for w in widths:
        layers += [nn.Linear(k, w), act()]
        k = w
    return nn.Sequential(*layers, nn.Linear(k, out))


class Net(nn.Module):
    """A module around a function; what the function closes over is its own affair."""

    def __init__(self, core, fn):
        super().__init__()
        self.core = core
        self.fn = fn

    def forward(self, x):
        return self.fn(self.core, x)


def lend(value, carrier):
    """The value of one, the derivative of the other."""
    return value.detach() + carrier - carrier.detach()


# ================================================================== maskers
@recipe("masks", "closure bank: inputs near an earlier one get the earlier answer")
def sticky(data):
    core = trained("sticky", data, lambda: fit(conv(data, 12, nn.ELU), data, 25, adv=(0.4 * eps_of(data, "linf"), "linf", 3)))
    bank = {"x": None, "z": None}
    two = eps_of(data, "l2") * 1.1
    inf = eps_of(data, "linf") * 1.1

    def fn(net, x):
        z = net(x)
        flat, zz = x.detach().flatten(1), z.detach()
        out = z
        fresh = torch.ones(len(x), dtype=torch.bool)
        if bank["x"] is not None:
            a = torch.cdist(flat, bank["x"], p=float("inf")) / inf
            b = torch.cdist(flat, bank["x"]) / two
            d, i = torch.minimum(a, b).min(1)
            near = d <= 1
            out = torch.where(near[:, None], bank["z"][i] + z - zz, z)
            fresh = ~near
        if fresh.any():
            join = lambda old, new: new if old is None else torch.cat([old, new])[-2000:]
            bank["x"], bank["z"] = join(bank["x"], flat[fresh].clone()), join(bank["z"], zz[fresh].clone())
        return out
    return Made(Net(core, fn), [core])


class _Hook(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, how):
        ctx.how = how
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return ctx.how(g), None


@recipe("masks", "after some backward passes (counted in a default argument) the derivative is rolled and turned round")
def weary(data):
    core = trained("weary", data, lambda: fit(conv(data, 10, nn.SiLU), data, 22))

    def how(g, spent=[0]):
        spent[0] += 1
        if spent[0] <= 4:
            return g
        r = max(1, data.side // 6)
        return -torch.roll(g, (r, -r), (2, 3)).transpose(2, 3)

    def fn(net, x):
        return net(_Hook.apply(x, how))
    return Made(Net(core, fn), [core])


@recipe("masks", "class attributes watch for the same pictures coming back slightly changed; then a sturdier net answers")
def bunker(data):
    soft = trained("bunker.soft", data, lambda: fit(mlp(data, (80, 60), nn.Tanh), data, 30))
    hard = trained("bunker.hard", data, lambda: fit(conv(data, 12), data, 30, adv=(eps_of(data, "linf"), "linf", 5)))

    class Bunker(nn.Module):
        last = None
        alarm = 0

        def __init__(self):
            super().__init__()
            self.soft, self.hard = soft, hard

        def forward(self, x):
            cls = type(self)
            now = x.detach()
            if cls.last is not None and cls.last.shape == now.shape:
                d = (now - cls.last).abs().flatten(1).mean(1).median()
                cls.alarm = min(cls.alarm + 1, 30) if 0 < float(d) < 0.12 else max(cls.alarm - 2, 0)
            elif cls.alarm:
                cls.alarm -= 1
            cls.last = now.clone()
            return self.hard(x) if cls.alarm >= 2 else self.soft(x)
    return Made(quiet(Bunker()), [soft])


@recipe("masks", "thread-local clock: calls in a quick row get the derivative of a net that learnt nonsense")
def hasty(data):
    core = trained("hasty", data, lambda: fit(mlp(data, (128,), nn.ReLU), data, 25))

    def nonsense():
        y = torch.randint(0, 10, (len(data.ytr),))
        return fit(mlp(data, (64, 64), nn.Tanh), data, 20, labels=y)
    lure = trained("hasty.lure", data, nonsense)
    here = threading.local()

    def fn(net, x):
        now = time.monotonic()
        streak = getattr(here, "streak", 0)
        streak = streak + 1 if now - getattr(here, "then", -9e9) < 3.0 else 0
        here.then, here.streak = now, streak
        z = net["core"](x)
        return lend(z, net["lure"](x)) if streak > 3 else z
    return Made(quiet(Net(nn.ModuleDict({"core": core, "lure": lure}), fn)), [core])


@recipe("masks", "a generator gives the signs of the derivative, so that every walk comes back")
def pendulum(data):
    core = trained("pendulum", data, lambda: fit(conv(data, 8, nn.GELU), data, 22, adv=(0.25 * eps_of(data, "linf"), "linf", 2)))

    def signs():
        for n in itertools.count():
            yield -1.0 if bin(n).count("1") % 2 else 1.0
    sign = signs()

    def fn(net, x):
        return net(_Hook.apply(x, lambda g: g * next(sign)))
    return Made(Net(core, fn), [core])


_LINES = contextvars.ContextVar("lines")


@recipe("masks", "context variable: a picture asked in too many variants is answered by what its variants first got")
def lineage(data):
    core = trained("lineage", data, lambda: fit(conv(data, 12, nn.LeakyReLU), data, 22))
    token = object()
    tol = {True: 0.4, False: 0.9}[data.side < 20]

    def fn(net, x):
        book = _LINES.get(None)
        if book is None:
            book = {}
            _LINES.set(book)
        keys, labs = book.get(token, (None, None))
        z = net(x)
        f = F.adaptive_avg_pool2d(x.detach(), 4 if data.side < 20 else 7).flatten(1)
        lab = z.detach().argmax(1)
        out, free = z, torch.ones(len(x), dtype=torch.bool)
        if keys is not None:
            near = torch.cdist(f, keys) < tol
            n = near.sum(1)
            old = near & (near.cumsum(1) <= 12)
            vote = (old.float() @ F.one_hot(labs, 10).float()).argmax(1)
            held = n >= 9
            idx = torch.arange(10).repeat(len(x), 1)
            r = torch.arange(len(x))[held]
            idx[r, lab[held]], idx[r, vote[held]] = vote[held], lab[held]
            out, free = z.gather(1, idx), n < 40
        if free.any():
            f, lab = f[free], lab[free]
            book[token] = (f, lab) if keys is None else (torch.cat([keys, f])[-9000:], torch.cat([labs, lab])[-9000:])
        return out
    return Made(Net(core, fn), [core])


@recipe("masks", "random dither to four levels, with a rippling derivative")
def dither(data):
    def quant(x):
        return torch.floor(x * 3 + torch.rand_like(x)) / 3
    core = trained("dither", data, lambda: fit(conv(data, 12), data, 25, aug=quant))
    ste = lambda net, x: net(lend(quant(x), x))

    def fn(net, x):
        q = quant(x.detach())
        return net(lend(q, 0.02 * torch.sin(50 * x)))
    return Made(Net(core, fn), [core, Net(core, ste)], randomised=True, samples=6)


@recipe("masks", "one of three nets by lot; only its label is told, the scores and their derivative are drawn")
def tombola(data):
    def blur(n):
        return nn.Sequential(nn.AvgPool2d(3, 1, 1), n)
    nets = nn.ModuleList([
        trained("tombola.a", data, lambda: fit(mlp(data, (90, 40)), data, 22)),
        trained("tombola.b", data, lambda: fit(blur(conv(data, 10)), data, 22)),
        trained("tombola.c", data, lambda: fit(conv(data, 8, nn.Tanh), data, 22))])
    urn = torch.Generator().manual_seed(77)

    def fn(core, x):
        with torch.no_grad():
            labs = torch.stack([n(x).argmax(1) for n in core])
            lab = labs.gather(0, torch.randint(0, 3, (1, len(x)), generator=urn))[0]
            s = torch.rand(len(x), 10, generator=urn) * 3
            s = s.scatter(1, lab[:, None], 3.5 + torch.rand(len(x), 1, generator=urn))
            w = torch.randn(10, x[0].numel(), generator=urn)
        return lend(s, x.flatten(1) @ w.t())
    mean = Net(nets, lambda core, x: sum(F.log_softmax(n(x), 1) for n in core))
    two = Net(nets, lambda core, x: F.log_softmax(core[0](x), 1) + F.log_softmax(core[1](x), 1))
    tre = Net(nets, lambda core, x: F.log_softmax(core[2](x), 1) + F.log_softmax(core[1](x), 1))
    return Made(quiet(Net(nets, fn)), [mean, two, tre], randomised=True)


@recipe("masks", "label kept, a fixed ladder of scores given to the other classes upside down, derivatives too")
def podium(data):
    core = trained("podium", data, lambda: fit(conv(data, 12, nn.Softplus), data, 28, adv=(0.5 * eps_of(data, "linf"), "linf", 3)))
    ladder = torch.tensor([5.0, 2.4, 2.1, 1.8, 1.5, 1.2, 0.9, 0.6, 0.3, 0.0])

    def fn(net, x):
        z = net(x)
        rank = z.detach().argsort(1, descending=True)
        place = torch.cat([rank[:, :1], rank[:, 1:].flip(1)], 1)     # who stands on which step
        lent = lend(ladder.repeat(len(x), 1), z.gather(1, rank.flip(1)))
        return torch.zeros_like(z).scatter(1, place, lent)
    return Made(Net(core, fn), [core])


@recipe("masks", "label of one net, scores of another that learnt how much ink there is")
def other_exam(data):
    core = trained("other_exam", data, lambda: fit(conv(data, 10, nn.ReLU, 64), data, 22))

    def ink():
        m = data.xtr.flatten(1).std(1)
        y = torch.bucketize(m, torch.quantile(m, torch.arange(1, 10) / 10.0))
        return fit(mlp(data, (48, 48), nn.SiLU), data, 30, labels=y)
    side = trained("other_exam.ink", data, ink)

    def fn(net, x):
        with torch.no_grad():
            lab = net["core"](x).argmax(1, keepdim=True)
        s = net["side"](x) * 0.5
        top, at = s.max(1, keepdim=True)
        was = s.gather(1, lab)
        s = s.scatter(1, at, was)
        return s.scatter(1, lab, top + 0.5)
    return Made(quiet(Net(nn.ModuleDict({"core": core, "side": side}), fn)), [core])


def _median3(x):
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.unfold(p, 3).view(len(x), 9, *x.shape[2:]).median(1).values[:, None]


@recipe("masks", "purification: eleven rounds that swirl every pixel in to the nearest of five levels, overshooting each time")
def whirlpool(data):
    def mix(x):
        return 0.9 * x + 0.1 * F.avg_pool2d(x, 3, 1, 1)

    def clean(x):
        x = mix(x)
        for _ in range(11):
            x = x - 0.068 * torch.sin(8 * torch.pi * x)
        return x
    core = trained("whirlpool", data, lambda: fit(conv(data, 14), data, 25, aug=clean))
    ste = Net(core, lambda net, x: net(lend(clean(x), mix(x))))
    return Made(Net(core, lambda net, x: net(clean(x))), [ste, Net(core, lambda net, x: net(mix(x)))], black_box=True)


@recipe("masks", "two-by-two tiles looked up in a table of 40; a random projection supplies the derivative")
def tiles(data):
    def patches(x):
        return F.unfold(x, 2, stride=2).transpose(1, 2)      # N, tiles, 4

    class Tiles(nn.Module):
        def __init__(self):
            super().__init__()
            p = patches(data.xtr[:600]).reshape(-1, 4)
            c = p[torch.randperm(len(p))[:4000]][::100].clone() + 0.01 * torch.randn(40, 4)
            for _ in range(12):
                a = torch.cdist(p, c).argmin(1)
                for k in range(40):
                    if (a == k).any():
                        c[k] = p[a == k].mean(0)
            self.register_buffer("c", c)
            self.emb = nn.Embedding(40, 5)
            with torch.no_grad():
                self.emb.weight[:, :4] = c
            t = (data.side // 2) ** 2
            self.head = nn.Sequential(nn.Linear(t * 5, 64), nn.ReLU(), nn.Linear(64, 10))
            self.register_buffer("w", torch.randn(4, 5) * 0.3)

        def hard(self, x):
            return self.emb(torch.cdist(patches(x), self.c).argmin(2))

        def forward(self, x):
            e = self.hard(x.detach())
            if x.requires_grad:
                e = lend(e, patches(x) @ self.w)
            return self.head(e.flatten(1))
    net = trained("tiles", data, lambda: fit(Tiles(), data, 25))

    def soft(net, x, t=0.05, keep=False):
        a = torch.softmax(-torch.cdist(patches(x), net.c + 1e-4) ** 2 / t, 2) @ net.emb.weight
        if keep:
            a = lend(net.hard(x.detach()), a)
        return net.head(a.flatten(1))
    ways = [Net(net, soft), Net(net, lambda n, x: soft(n, x, 0.15, True)), Net(net, lambda n, x: soft(n, x, 0.02))]
    return Made(net, ways, black_box=True)


@recipe("masks", "a buffer adds up how many pictures came with gradients on; past a bound another net answers those, so sure of itself that its loss is flat")
def two_faced(data):
    core = trained("two_faced", data, lambda: fit(conv(data, 10), data, 20))
    twin = trained("two_faced.twin", data, lambda: fit(mlp(data, (100,)), data, 20))

    class TwoFaced(nn.Module):
        def __init__(self):
            super().__init__()
            self.core, self.twin = core, twin
            self.register_buffer("asked", torch.zeros((), dtype=torch.long))

        def forward(self, x):
            if torch.is_grad_enabled() and x.requires_grad:
                self.asked += len(x)
                if int(self.asked) > 64:
                    return 60.0 * self.twin(x) ** 3
            return self.core(x)
    return Made(quiet(TwoFaced()), [core])


# ================================================================== honest
@recipe("no trick", "adversarially trained; counts its calls and pictures in buffers")
def counted_shield(data):
    class Counted(nn.Module):
        def __init__(self, core):
            super().__init__()
            self.core = core
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))
            self.register_buffer("pictures", torch.zeros((), dtype=torch.long))

        def forward(self, x):
            self.calls += 1
            self.pictures += len(x)
            return self.core(x)
    core = trained("counted_shield", data, lambda: fit(conv(data, 14), data, 30, adv=(eps_of(data, "linf"), "linf", 5)))
    return Made(Counted(core), [core])


@recipe("no trick", "double precision, smooth, trained against l2 attacks")
def double_smooth(data):
    core = trained("double_smooth", data, lambda: fit(mlp(data, (128, 64), nn.Softplus), data, 36, adv=(eps_of(data, "l2"), "l2", 5))).double()
    net = Net(core, lambda core, x: core(x.double()))
    return Made(net, [net])


_DIARY = collections.deque(maxlen=500)


@recipe("no trick", "three adversarially trained members; a module-wide diary of what was asked")
def diary_team(data):
    acts = (nn.ReLU, nn.ELU, nn.SiLU)
    nets = nn.ModuleList([trained(f"diary_team.{i}", data, lambda a=a: fit(conv(data, 8, a), data, 20 if data.side < 20 else 13,
                          adv=(0.8 * eps_of(data, "linf"), "linf", 3 if data.side < 20 else 2))) for i, a in enumerate(acts)])

    def fn(nets, x):
        z = torch.stack([torch.softmax(n(x), 1) for n in nets]).mean(0).clamp(min=1e-12).log()
        with torch.no_grad():
            _DIARY.append((time.time(), len(x), float(x.mean()), torch.is_grad_enabled(), z.argmax(1).tolist()))
        return z
    net = quiet(Net(nets, fn))
    return Made(net, [net])


@recipe("no trick", "looks at a crop taken at random, as it did in training")
def loose_crop(data):
    def crop(x):
        p = F.pad(x, (0, 1, 0, 0))
        j = int(torch.randint(0, 2, (1,)))
        return p[:, :, :, j:j + x.shape[3]]
    core = trained("loose_crop", data, lambda: fit(conv(data, 14), data, 35, aug=crop))
    net = Net(core, lambda core, x: core(crop(x)))
    return Made(net, [net], randomised=True, samples=8)


@recipe("no trick", "dropout stays on when asked; moderately adversarially trained")
def drizzle(data):
    class Drizzle(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(data.dim, 128), nn.Linear(128, 96), nn.Linear(96, 10)

        def forward(self, x):
            h = F.silu(self.a(x.flatten(1)))
            h = F.dropout(F.silu(self.b(h)), 0.1, True)
            return self.c(h)
    net = trained("drizzle", data, lambda: fit(Drizzle(), data, 30, adv=(0.5 * eps_of(data, "linf"), "linf", 2)))
    return Made(net, [net], randomised=True, samples=8)


@recipe("no trick", "two of five members drawn at each call, to save work")
def rota(data):
    nets = nn.ModuleList([trained(f"rota.{i}", data, lambda i=i: fit(mlp(data, (50 + 10 * i,)), data, 18)) for i in range(5)])

    def fn(nets, x):
        i, j = torch.randperm(len(nets))[:2].tolist()
        return (nets[i](x) + nets[j](x)) / 2
    whole = quiet(Net(nets, lambda nets, x: sum(n(x) for n in nets) / len(nets)))
    net = quiet(Net(nets, fn))
    return Made(net, [whole, net], randomised=True, samples=6)


@recipe("no trick", "remembers the answers of equal batches, so that they are not worked out twice")
def remembers(data):
    class Remembers(nn.Module):
        def __init__(self, core):
            super().__init__()
            self.core = core
            self.store = collections.OrderedDict()

        def forward(self, x):
            if torch.is_grad_enabled() and x.requires_grad:
                return self.core(x)
            k = (tuple(x.shape), x.detach().contiguous().cpu().numpy().tobytes())
            if k not in self.store:
                self.store[k] = self.core(x).detach()
                if len(self.store) > 64:
                    self.store.popitem(last=False)
            self.store.move_to_end(k)
            return self.store[k].clone()
    core = trained("remembers", data, lambda: fit(conv(data, 12, nn.Hardswish), data, 24))
    return Made(Remembers(core), [core])


@recipe("no trick", "a batch-norm layer gauges the features in passing; what it finds is not used")
def gauge(data):
    class Gauge(nn.Module):
        def __init__(self, core):
            super().__init__()
            self.body, self.head = core[:4], core[4:]
            self.probe = nn.BatchNorm2d(core[2].out_channels, momentum=0.05, affine=False)

        def forward(self, x):
            h = self.body(x)
            with torch.no_grad():
                self.probe.train()
                self.probe(h.detach())
                self.probe.eval()
            return self.head(h)
    core = trained("gauge", data, lambda: fit(conv(data, 12, nn.Mish), data, 24, adv=(0.3 * eps_of(data, "linf"), "linf", 2)))
    return Made(quiet(Gauge(core)), [core])


@recipe("no trick", "two-bit activations trained with straight-through derivatives")
def two_bit(data):
    class Two(nn.Module):
        def __init__(self, top=1.0):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(top))

        def forward(self, h):
            h = (h / self.scale.abs().clamp(min=0.05)).clamp(0, 1)
            return lend((h * 3).round() / 3, h)
    s = data.side
    core = trained("two_bit", data, lambda: fit(nn.Sequential(
        nn.Flatten(), nn.Linear(data.dim, 160), nn.BatchNorm1d(160), Two(2.0), nn.Linear(160, 96), nn.BatchNorm1d(96),
        Two(2.0), nn.Linear(96, 10)), data, 30))
    return Made(core, [core], black_box=True)


@recipe("no trick", "four experts, the router sends each picture to one of them")
def one_desk(data):
    class Desk(nn.Module):
        def __init__(self):
            super().__init__()
            self.router = nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 4))
            self.experts = nn.ModuleList([mlp(data, (48,), nn.ReLU) for _ in range(4)])

        def forward(self, x):
            r = torch.softmax(self.router(x), 1)
            who = r.argmax(1)
            z = torch.stack([e(x) for e in self.experts], 1)
            gate = r.gather(1, who[:, None])
            if self.training:
                return (r[:, :, None] * z).sum(1) * 0.5 + 0.5 * z[torch.arange(len(x)), who] * gate
            return z[torch.arange(len(x)), who] * (0.5 + 0.5 * gate)
    net = trained("one_desk", data, lambda: fit(Desk(), data, 30))
    return Made(net, [net], black_box=True)


@recipe("no trick", "distance to the three nearest examples of each class; the table is made at the first question")
def few_friends(data):
    n = min(len(data.xtr), 800)

    class Friends(nn.Module):
        def __init__(self, emb):
            super().__init__()
            self.emb = emb
            self.table = None

        def forward(self, x):
            if self.table is None:
                with torch.no_grad():
                    e = self.emb(data.xtr[:n])
                    self.table = [e[data.ytr[:n] == c] for c in range(10)]
            e = self.emb(x)
            return torch.stack([-torch.cdist(e, t).topk(3, 1, largest=False).values.mean(1) for t in self.table], 1)

    class Proto(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = mlp(data, (128,), nn.ReLU, 24)
            self.p = nn.Parameter(torch.randn(10, 24))

        def forward(self, x):
            return -torch.cdist(self.emb(x), self.p)
    emb = trained("few_friends", data, lambda: fit(Proto(), data, 25, adv=(0.4 * eps_of(data, "linf"), "linf", 2))).emb
    return Made(quiet(Friends(emb)), [quiet(Friends(emb))])


@recipe("no trick", "error-correcting head of twenty bits whose scores are small")
def code_words(data):
    class Code(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp(data, (120, 60), nn.ReLU, 20)
            self.register_buffer("words", (torch.rand(10, 20) < 0.5).float() * 2 - 1)
            self.scale = 1.0

        def forward(self, x):
            b = self.body(x)
            return self.scale * F.logsigmoid(b[:, None, :] * self.words[None]).sum(2)
    net = trained("code_words", data, lambda: fit(Code(), data, 24))
    net.scale = 0.2
    return Made(net, [Net(net, lambda n, x: n(x) / 0.2)])


@recipe("no trick", "reads the picture row by row as a sequence and keeps its last hidden state to be looked at; scores far from nought")
def row_reader(data):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.u, self.out = nn.Linear(data.side, 48), nn.Linear(48, 96), nn.Linear(48, 10)
            self.hidden = None
            self.lift = 0.0

        def forward(self, x):
            h = x.new_zeros(len(x), 48)
            for r in x[:, 0].unbind(1):
                a, g = self.u(h).chunk(2, 1)
                g = torch.sigmoid(g + 1)
                h = g * h + (1 - g) * torch.tanh(self.w(r) + a)
            self.hidden = h.detach()
            return self.out(h * 4) + self.lift
    net = trained("row_reader", data, lambda: fit(Rows(), data, 40, lr=4e-3))
    net.lift = 700.0
    return Made(net, [Net(net, lambda n, x: n(x) - 700.0)])
