"""Small networks with known insides: some hide how weak they are, some only look odd.

RECIPES[name].make(data) -> Made.  Everything is trained from a seed when it is made; trained parts are
remembered within the process, so that a second make() gives a fresh module at once.
"""
import copy, dataclasses, itertools, typing
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


@dataclasses.dataclass
class Recipe:
    name: str
    built: str
    idea: str
    make: typing.Callable


RECIPES = {}
_PARTS = {}


def recipe(built, idea):
    def add(f):
        def make(data):
            m = f(data)
            for n in [m.module, *m.adaptive]:
                n.eval()
                for p in n.parameters():
                    p.requires_grad_(False)
            return m
        RECIPES[f.__name__] = Recipe(f.__name__, built, idea, make)
        return f
    return add


def part(data, key, build):
    """A trained part, built once a process (seeded), handed out as a copy."""
    k = (data.name, data.seed, key)
    if k not in _PARTS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * data.seed + sum(map(ord, key)))
            p = build()
            if isinstance(p, nn.Module):
                p.eval()
                for q in p.parameters():
                    q.requires_grad_(False)
            _PARTS[k] = p
    return copy.deepcopy(_PARTS[k])


def fit(net, x, y, epochs, lr=2e-3, batch=64, change=None, attack=None, loss=F.cross_entropy, wd=0.0):
    net.train()
    opt = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=wd)
    steps = epochs * ((len(x) + batch - 1) // batch)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr * 2, total_steps=steps)
    for _ in range(epochs):
        for i in torch.randperm(len(x)).split(batch):
            a, b = x[i], y[i]
            if change is not None:
                a = change(a)
            if attack is not None:
                a = attack(net, a, b)
            opt.zero_grad()
            loss(net(a), b).backward()
            opt.step()
            sched.step()
    return net


def ep(data, digits, mnist):
    return digits if data.name == "digits" else mnist


def bs(data):
    return ep(data, 64, 128)


def mlp(data, h=96, act=nn.ReLU, out=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(data.dim, h), act(), nn.Linear(h, h), act(), nn.Linear(h, out))


def conv(data, c=8, act=nn.ReLU, out=10):
    layers = [nn.Conv2d(1, c, 3, 2 if data.side > 16 else 1, 1), act(), nn.Conv2d(c, 2 * c, 3, 2, 1), act(), nn.Flatten()]
    s = data.side if data.side <= 16 else data.side // 2
    return nn.Sequential(*layers, nn.Linear(2 * c * (s // 2) ** 2, out))


def plain_mlp(data, key="mlp", h=96, act=nn.ReLU):
    return part(data, key, lambda: fit(mlp(data, h, act), data.xtr, data.ytr, ep(data, 40, 6), batch=bs(data)))


def plain_conv(data, key="conv", c=8, act=nn.ReLU):
    return part(data, key, lambda: fit(conv(data, c, act), data.xtr, data.ytr, ep(data, 30, 4), batch=bs(data)))


def some(data, n, seed=3):
    return torch.randperm(len(data.xtr), generator=torch.Generator().manual_seed(seed))[:n]


# ------------------------------------------------------------------ masks: state

class EchoChamber(nn.Module):
    """Remembers what it was asked (ring buffer); a question near a remembered one gets the remembered answer."""

    def __init__(self, net, dim, room=1200, near=0.42):
        super().__init__()
        self.net, self.near = net, near
        self.register_buffer("asked", torch.full((room, dim), 9.0))
        self.register_buffer("said", torch.zeros(room, 10))
        self.register_buffer("at", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        z = self.net(x)
        with torch.no_grad():
            f = x.detach().flatten(1)
            d, j = torch.cdist(f, self.asked, p=float("inf")).min(1)
            known = d < self.near
            old = self.said[j]
            new = (~known).nonzero().flatten()
            if len(new):
                slots = (self.at + torch.arange(len(new))) % len(self.asked)
                self.asked[slots] = f[new]
                self.said[slots] = z.detach()[new]
                self.at += len(new)
        return torch.where(known[:, None], old + 0.0 * z, z)


@recipe("masks", "a ring buffer of past questions; near-duplicates get the answer given first")
def echo_chamber(data):
    net = plain_conv(data, "echo", 6)
    return Made(EchoChamber(net, data.dim), [copy.deepcopy(net)])


class Inertial(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def _inertia(near, keep):
    """A forward hook with its memory in the closure: row by row, a slow running answer while the image hardly moves."""
    last = {}

    def hook(module, args, z):
        x = args[0]
        if last.get("x") is not None and last["x"].shape == x.shape:
            same = ((last["x"] - x.detach()).flatten(1).abs().amax(1) < near)[:, None]
            z = torch.where(same, keep * last["z"] + (1 - keep) * z, z)
        last["x"], last["z"] = x.detach().clone(), z.detach().clone()
        return z
    return hook


@recipe("masks", "a forward hook (memory in its closure) that blends the answer with the previous batch's answer")
def inertia(data):
    net = plain_mlp(data, "inertia", 80)
    m = Inertial(copy.deepcopy(net))
    m.register_forward_hook(_inertia(0.42, 0.995))
    return Made(m, [net])


# ------------------------------------------------------------------ masks: scores that tell nothing

class Medal(nn.Module):
    """Weights as numpy arrays, no autograd at all; the winner gets one, the rest zero."""

    def __init__(self, net):
        super().__init__()
        self.layers = [(m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy())
                       for m in net if isinstance(m, nn.Linear)]

    def forward(self, x):
        a = x.detach().flatten(1).double().numpy()
        for i, (w, b) in enumerate(self.layers):
            a = a @ w.T + b
            if i + 1 < len(self.layers):
                a = a.clip(0)
        return F.one_hot(torch.from_numpy(a).argmax(1), 10).float()


@recipe("masks", "numpy inside, one-hot answer: no gradient and flat scores")
def medal_only(data):
    net = plain_mlp(data, "medal", 64)
    return Made(Medal(net), [net], black_box=True)


class Elsewhere(nn.Module):
    """Scores of another question (which tenth of brightness), rearranged so that the true label comes first."""

    def __init__(self, net, other):
        super().__init__()
        self.net, self.other = net, other

    def forward(self, x):
        with torch.no_grad():
            y = self.net(x).argmax(1)
        s = self.other(x)
        top = s.argmax(1)
        order = torch.arange(s.shape[1]).repeat(len(s), 1)
        r = torch.arange(len(s))
        order[r, y], order[r, top] = top, y
        return s.gather(1, order)


@recipe("masks", "the label of one net, the scores of another that was trained to guess brightness; two entries swapped")
def other_conversation(data):
    net = plain_conv(data, "elsewhere", 8)

    def build():
        ink = data.xtr.flatten(1).mean(1)
        tenth = ink.argsort().argsort() * 10 // len(ink)
        return fit(mlp(data, 48, nn.Tanh), data.xtr, tenth, ep(data, 30, 4), batch=bs(data))
    return Made(Elsewhere(net, part(data, "ink", build)), [copy.deepcopy(net)])


class WrongWay(nn.Module):
    """The surer the inner net, the smaller the shown lead; the shown label is the right one all the same."""

    def __init__(self, net, scale):
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x):
        z = self.net(x)
        v, i = z.topk(2, 1)
        lead = (v[:, 0] - v[:, 1]) / self.scale
        shown = 0.2 + 3.0 / (1.0 + lead)
        rest = 0.1 * torch.tanh(z.mean(1, keepdim=True)).expand_as(z)
        return rest + F.one_hot(i[:, 0], z.shape[1]) * shown[:, None]


@recipe("masks", "shown confidence falls as the true margin grows, so that ascent on the loss walks away from the border")
def wrong_way(data):
    net = plain_mlp(data, "wrongway", 112, nn.GELU)
    v = net(data.xtr[:500]).topk(2, 1)[0]
    return Made(WrongWay(net, float((v[:, 0] - v[:, 1]).median())), [copy.deepcopy(net)])


# ------------------------------------------------------------------ masks: randomised

class Dither(nn.Module):
    """Three grey levels after a random dither, two draws averaged."""

    def __init__(self, net, hard):
        super().__init__()
        self.net, self.hard = net, hard

    def level(self, x):
        t = x * 2 + torch.rand_like(x) - 0.5
        q = t.round().clamp(0, 2) / 2
        return q if self.hard else x + (q - x).detach()

    def forward(self, x):
        return self.net(self.level(x)) + self.net(self.level(x))


@recipe("masks", "random dither to three grey levels before the net")
def dithered(data):
    def build():
        return fit(conv(data, 8), data.xtr, data.ytr, ep(data, 40, 4), batch=bs(data),
                   change=lambda a: (a * 2 + torch.rand_like(a) - 0.5).round().clamp(0, 2) / 2)
    net = part(data, "dither", build)
    return Made(Dither(net, True), [Dither(copy.deepcopy(net), False), copy.deepcopy(net)], randomised=True, samples=8)


class Patchwork(nn.Module):
    """Looks at a random part of the pixels, fetches the nearest stored pictures, shows their mean to a net."""

    def __init__(self, net, store, k, keep):
        super().__init__()
        self.net, self.k, self.keep = net, k, keep
        self.register_buffer("store", store)

    def forward(self, x):
        f = x.flatten(1)
        m = (torch.rand_like(f) < self.keep).float()
        s = self.store.flatten(1)
        d = (m * f * f).sum(1, keepdim=True) - 2 * (m * f) @ s.T + m @ (s * s).T
        near = d.topk(self.k, 1, largest=False)[1]
        return self.net(self.store[near].mean(1)) + 0.0 * f.sum(1, keepdim=True)


class SoftPatchwork(nn.Module):
    """What it comes to: which class's stored pictures are nearest, softly."""

    def __init__(self, store, labels, keep, heat):
        super().__init__()
        self.keep, self.heat = keep, heat
        self.register_buffer("store", store)
        self.register_buffer("labels", labels)

    def forward(self, x):
        f = x.flatten(1)
        m = (torch.rand_like(f) < self.keep).float() if self.keep < 1 else torch.ones_like(f)
        s = self.store.flatten(1)
        d = (m * f * f).sum(1, keepdim=True) - 2 * (m * f) @ s.T + m @ (s * s).T
        w = -self.heat * d
        return torch.stack([w[:, self.labels == c].logsumexp(1) for c in range(10)], 1)


@recipe("masks", "random half of the pixels, nearest stored pictures fetched (hard) and classified instead of the input")
def patchwork(data):
    i = some(data, ep(data, 600, 2500))
    store, labels = data.xtr[i], data.ytr[i]
    net = plain_mlp(data, "patch", 64)
    soft = [SoftPatchwork(store, labels, 0.5, ep(data, 3.0, 0.6)), SoftPatchwork(store, labels, 1.0, ep(data, 2.0, 0.3))]
    return Made(Patchwork(net, store, 3, 0.5), [*soft, copy.deepcopy(net)], randomised=True, samples=6)


# ------------------------------------------------------------------ masks: custom backward, decoy paths

class _Cross(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return g.transpose(2, 3).flip(2) * 3.0


class Crosswired(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(_Cross.apply(x))


@recipe("masks", "a first layer that passes the image on and turns the gradient by ninety degrees")
def crosswired(data):
    net = plain_mlp(data, "cross", 100, nn.SiLU)
    return Made(Crosswired(net), [copy.deepcopy(net)])


class GhostPilot(nn.Module):
    def __init__(self, net, ghost):
        super().__init__()
        self.net, self.ghost = net, ghost

    def forward(self, x):
        g = self.ghost(x)
        return self.net(x.detach()) + (g - g.detach())


@recipe("masks", "values from one net on detached input, gradients from a second net that learned shifted pictures")
def ghost_pilot(data):
    net = plain_conv(data, "pilot", 8, nn.Tanh)
    s = data.side // 2
    ghost = part(data, "ghost", lambda: fit(mlp(data, 64), data.xtr.roll((s, s - 1), (2, 3)), data.ytr,
                                            ep(data, 20, 3), batch=bs(data)))
    return Made(GhostPilot(net, ghost), [copy.deepcopy(net)])


class Undertow(nn.Module):
    """A tensor hook keeps, of the gradient, only what lies in the directions in which the data hardly vary."""

    def __init__(self, net, quiet):
        super().__init__()
        self.net = net
        self.register_buffer("quiet", quiet)

    def drag(self, g):
        f = g.flatten(1)
        return (f @ self.quiet @ self.quiet.T).view_as(g)

    def forward(self, x):
        h = x * 1.0
        if h.requires_grad:
            h.register_hook(self.drag)
        return self.net(h)


@recipe("masks", "a tensor hook projects the gradient on the quietest principal directions of the data")
def undertow(data):
    net = plain_mlp(data, "undertow", 96, nn.Tanh)
    f = data.xtr[:3000].flatten(1)
    v = torch.linalg.svd(f - f.mean(0), full_matrices=False)[2]
    return Made(Undertow(net, v[-data.dim // 5:].T.contiguous()), [copy.deepcopy(net)])


class Periphery(nn.Module):
    """With gradients on, a second net answers that only sees the frame of the picture."""

    def __init__(self, net, edge, frame):
        super().__init__()
        self.net, self.edge = net, edge
        self.register_buffer("frame", frame)

    def forward(self, x):
        if torch.is_grad_enabled() and x.requires_grad:
            return self.edge(x * self.frame)
        return self.net(x)


@recipe("masks", "while gradients are on, a net that sees only the frame of the picture answers")
def periphery(data):
    w = ep(data, 1, 7)
    frame = torch.ones(1, 1, data.side, data.side)
    frame[..., w:-w, w:-w] = 0
    net = plain_conv(data, "inner", 7, nn.GELU)
    edge = part(data, "frame", lambda: fit(mlp(data, 64), data.xtr * frame, data.ytr, ep(data, 30, 4), batch=bs(data)))
    return Made(Periphery(net, edge, frame), [copy.deepcopy(net)])


# ------------------------------------------------------------------ masks: purification, tables, aliasing

class Pursuit(nn.Module):
    """Matching pursuit on a dictionary of training pictures, whole steps only; the net sees the rebuilt picture."""

    def __init__(self, net, words, loops, step, hard):
        super().__init__()
        self.net, self.loops, self.step, self.hard = net, loops, step, hard
        self.register_buffer("words", words)

    def clean(self, x):
        left = x.flatten(1)
        made = torch.zeros_like(left)
        for _ in range(self.loops):
            c = left @ self.words.T
            best = c.abs().argmax(1)
            a = c.gather(1, best[:, None])
            q = (a / self.step).round() * self.step
            if not self.hard:
                q = a + (q - a).detach()
            add = q * self.words[best]
            made, left = made + add, left - add
        return made.view_as(x)

    def forward(self, x):
        return self.net(self.clean(x))


class Straight(nn.Module):
    """A stage passed as if it were the identity on the way back."""

    def __init__(self, stage, net):
        super().__init__()
        self.stage, self.net = stage, net

    def forward(self, x):
        with torch.no_grad():
            p = self.stage.clean(x)
        return self.net(x + (p - x).detach())


@recipe("masks", "a loop of matching pursuit with rounded coefficients rebuilds the picture first")
def pursuit(data):
    d = data.xtr[some(data, ep(data, 250, 300), 5)].flatten(1)
    if data.name == "digits":
        d = torch.cat([d, torch.eye(data.dim)])
    words = F.normalize(d, dim=1)
    loops, step = ep(data, 8, 12), ep(data, 0.35, 0.5)

    def build():
        stage = Pursuit(nn.Identity(), words, loops, step, True)
        p = torch.cat([stage.clean(b) for b in data.xtr.split(500)])
        return fit(mlp(data, 80), p, data.ytr, ep(data, 40, 6), batch=bs(data))
    net = part(data, "pursuit", build)
    real = Pursuit(net, words, loops, step, True)
    return Made(real, [Pursuit(net, words, loops, step, False), Straight(real, net), copy.deepcopy(net)])


class Ledger(nn.Module):
    """Each pixel picks a row of a table (its grey bin) at its own place; the rows are added up."""

    def __init__(self, dim, bins, h, soft=False):
        super().__init__()
        self.bins, self.soft = bins, soft
        self.table = nn.Parameter(torch.randn(dim, bins, 3) * 0.5)
        self.head = nn.Sequential(nn.Linear(dim * 3, h), nn.ReLU(), nn.Linear(h, 10))

    def rows(self, i):
        return self.table[torch.arange(i.shape[1]), i]

    def forward(self, x):
        t = x.flatten(1) * (self.bins - 1)
        if self.soft:
            lo = t.detach().floor().clamp(0, self.bins - 2).long()
            w = (t - lo)[..., None]
            e = self.rows(lo) * (1 - w) + self.rows(lo + 1) * w
            hard = self.rows(t.detach().round().long())
            e = e + (hard - e).detach()
        else:
            e = self.rows(t.round().long().clamp(0, self.bins - 1))
        return self.head(e.flatten(1))


@recipe("masks", "pixels only choose rows of a look-up table")
def ledger(data):
    net = part(data, "ledger", lambda: fit(Ledger(data.dim, 9, 64), data.xtr, data.ytr, ep(data, 40, 5), batch=bs(data)))
    soft = copy.deepcopy(net)
    soft.soft = True
    return Made(net, [soft])


class Moire(nn.Module):
    """A ripple that is nought on the 8-bit grid and steep there."""

    def __init__(self, net, steep):
        super().__init__()
        self.net, self.steep = net, steep

    def forward(self, x):
        w = 2 * torch.pi * 255
        return self.net(x - self.steep * torch.sin(w * x) / w)


@recipe("masks", "adds a sine whose period is one grey step: no change on the grid, slope reversed there, chaos between")
def moire(data):
    net = plain_conv(data, "moire", 9, nn.SiLU)
    return Made(Moire(net, 12.0), [copy.deepcopy(net)])


# ------------------------------------------------------------------ no trick

class Turnstile(nn.Module):
    def __init__(self, net, dim):
        super().__init__()
        self.net, self.calls, self.last = net, 0, None
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        z = self.net(x)
        with torch.no_grad():
            self.calls += 1
            self.seen += len(x)
            self.mean += 0.05 * (x.flatten(1).mean(0) - self.mean)
            self.last = z.argmax(1)
        return z


@recipe("no trick", "counts calls and keeps running statistics for a dashboard; the answer does not use them")
def turnstile(data):
    net = plain_conv(data, "turnstile", 6)
    return Made(Turnstile(net, data.dim), [copy.deepcopy(net)])


class Pigeonholes(nn.Module):
    """Keeps finished answers by the exact bytes of the picture; only used where no gradient is asked."""

    def __init__(self, net, room=4096):
        super().__init__()
        self.net, self.room, self.holes = net, room, {}

    def forward(self, x):
        if torch.is_grad_enabled() and x.requires_grad:
            return self.net(x)
        keys = [r.numpy().tobytes() for r in x.detach().cpu().contiguous()]
        miss = [i for i, k in enumerate(keys) if k not in self.holes]
        fresh = {}
        if miss:
            for i, z in zip(miss, self.net(x[miss]).detach()):
                fresh[keys[i]] = z
        out = torch.stack([fresh[k] if k in fresh else self.holes[k] for k in keys])
        if len(self.holes) + len(fresh) > self.room:
            self.holes.clear()
        self.holes.update(fresh)
        return out


@recipe("no trick", "caches the answers of exactly equal pictures when no gradient is asked")
def pigeonholes(data):
    net = plain_mlp(data, "pigeon", 72, nn.ELU)
    return Made(Pigeonholes(net), [copy.deepcopy(net)])


class Semaphore(nn.Module):
    """Sixteen soft flags, each class a pattern of flags; very small scores."""

    def __init__(self, body, codes, scale):
        super().__init__()
        self.body, self.scale = body, scale
        self.register_buffer("codes", codes)

    def forward(self, x):
        return self.scale * (F.softsign(self.body(x)) @ self.codes.T)


@recipe("no trick", "code-word head on soft flags, scores of the order 1e-5")
def semaphore(data):
    def build():
        codes = torch.randn(10, 16).sign()
        net = Semaphore(mlp(data, 80, out=16), codes, 1.0)
        return fit(net, data.xtr, data.ytr, ep(data, 40, 5), batch=bs(data))
    net = part(data, "semaphore", build)
    big = copy.deepcopy(net)
    net.scale = 1e-6
    return Made(net, [big])


class _Notch(nn.Module):
    """Clipped ReLU in seven steps (3 bits), straight through."""

    def __init__(self, on=True):
        super().__init__()
        self.on = on

    def forward(self, h):
        c = h.clamp(0, 1.75)
        return c + ((c * 4).round() / 4 - c).detach() if self.on else c


@recipe("no trick", "3-bit activations trained straight through")
def ratchet(data):
    net = part(data, "ratchet", lambda: fit(mlp(data, 96, _Notch), data.xtr, data.ytr, ep(data, 40, 6), batch=bs(data)))
    smooth = copy.deepcopy(net)
    for m in smooth:
        if isinstance(m, _Notch):
            m.on = False
    return Made(net, [copy.deepcopy(net), smooth])


class Dispatch(nn.Module):
    def __init__(self, dim, experts, h):
        super().__init__()
        self.gate = nn.Sequential(nn.Flatten(), nn.Linear(dim, experts))
        self.experts = nn.ModuleList(nn.Sequential(nn.Flatten(), nn.Linear(dim, h), nn.ReLU(), nn.Linear(h, 10))
                                     for _ in range(experts))

    def forward(self, x):
        p = self.gate(x).softmax(1)
        if self.training:
            p = (p + 0.15 * torch.rand_like(p))
        w, i = p.max(1)
        z = torch.stack([e(x) for e in self.experts], 1)
        return z[torch.arange(len(x)), i] * w[:, None]


@recipe("no trick", "five experts, each picture sent to one of them")
def dispatch(data):
    net = part(data, "dispatch", lambda: fit(Dispatch(data.dim, 5, 40), data.xtr, data.ytr, ep(data, 50, 6), batch=bs(data)))
    return Made(net, [copy.deepcopy(net)])


class Village(nn.Module):
    """Learned prototypes, eight a class; a class scores by its near ones."""

    def __init__(self, protos, heat):
        super().__init__()
        self.protos, self.heat = nn.Parameter(protos), nn.Parameter(torch.tensor(heat))

    def forward(self, x):
        f, p = x.flatten(1), self.protos.flatten(0, 1)
        d = (f * f).sum(1, keepdim=True) - 2 * f @ p.T + (p * p).sum(1)
        return (-self.heat * d).view(len(x), self.protos.shape[0], -1).logsumexp(2)


@recipe("no trick", "learned prototypes, a class scores by its nearest")
def village(data):
    def build():
        rows = [data.xtr[data.ytr == c].flatten(1)[:8] for c in range(10)]
        return fit(Village(torch.stack(rows), ep(data, 1.0, 0.15)), data.xtr, data.ytr, ep(data, 20, 6), batch=bs(data), lr=ep(data, 1e-3, 4e-3))
    net = part(data, "village", build)
    return Made(net, [copy.deepcopy(net)])


def _pgd_train(eps, steps):
    def attack(net, a, b):
        d = torch.empty_like(a).uniform_(-eps, eps)
        for _ in range(steps):
            d.requires_grad_(True)
            g, = torch.autograd.grad(F.cross_entropy(net((a + d).clamp(0, 1)), b), d)
            d = (d.detach() + 2.0 * eps / steps * g.sign()).clamp(-eps, eps)
        return (a + d).clamp(0, 1)
    return attack


@recipe("no trick", "adversarially trained convolutional net")
def bulwark(data):
    def build():
        net = fit(conv(data, ep(data, 20, 12)), data.xtr, data.ytr, ep(data, 2, 1), batch=bs(data))
        return fit(net, data.xtr, data.ytr, ep(data, 60, 5), batch=bs(data), attack=_pgd_train(ep(data, 0.17, 0.2), 6))
    net = part(data, "bulwark", build)
    return Made(net, [copy.deepcopy(net)])


def _pgd_train_l2(eps, steps):
    def size(d):
        return d.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]

    def attack(net, a, b):
        d = torch.randn_like(a)
        d = d / size(d) * eps * torch.rand(len(a), 1, 1, 1)
        for _ in range(steps):
            d.requires_grad_(True)
            g, = torch.autograd.grad(F.cross_entropy(net((a + d).clamp(0, 1)), b, reduction="sum"), d)
            d = d.detach() + 2.5 * eps / steps * g / size(g)
            d = d * (eps / size(d)).clamp(max=1)
        return (a + d).clamp(0, 1)
    return attack


@recipe("no trick", "soft, wide and trained on l2 adversaries")
def veteran(data):
    def build():
        net = nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 256), nn.Softplus(4), nn.Linear(256, 128), nn.Softplus(4),
                            nn.Linear(128, 10))
        return fit(net, data.xtr, data.ytr, ep(data, 80, 8), batch=bs(data), attack=_pgd_train_l2(ep(data, 0.8, 2.0), 5))
    net = part(data, "veteran", build)
    return Made(net, [copy.deepcopy(net)])


class _Pairs(nn.Module):
    """Sorts neighbours in pairs."""

    def forward(self, h):
        a, b = h.view(len(h), -1, 2).unbind(2)
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)


class Gain(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, h):
        return h * self.k


@recipe("no trick", "orthogonal layers and pair sorting (slope at most one), trained for a wide margin")
def tightrope(data):
    def build():
        o = torch.nn.utils.parametrizations.orthogonal
        h = 96
        pool = ep(data, [], [nn.AvgPool2d(2), Gain(2.0)])
        dim = ep(data, data.dim, data.dim // 4)
        net = nn.Sequential(*pool, nn.Flatten(), o(nn.Linear(dim, h)), _Pairs(), o(nn.Linear(h, h)), _Pairs(), o(nn.Linear(h, 10)), Gain(8.0))

        def wide(z, y):
            return F.multi_margin_loss(z, y, margin=ep(data, 11.0, 20.0)) + 0.1 * F.cross_entropy(z, y)
        fit(net, data.xtr, data.ytr, ep(data, 40, 4), batch=bs(data), loss=wide, lr=3e-3)
        for m in net:
            if isinstance(m, nn.Linear):
                torch.nn.utils.parametrize.remove_parametrizations(m, "weight")
        return net
    net = part(data, "tightrope", build)
    return Made(net, [copy.deepcopy(net)])


class Drizzle(nn.Module):
    """Dropout left on for good."""

    def __init__(self, dim, h):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(dim, h), nn.Linear(h, h), nn.Linear(h, 10)

    def forward(self, x):
        h = F.dropout(F.relu(self.a(x.flatten(1))), 0.25, True)
        return self.c(F.dropout(F.relu(self.b(h)), 0.25, True))


@recipe("no trick", "dropout at test time")
def drizzle(data):
    net = part(data, "drizzle", lambda: fit(Drizzle(data.dim, 128), data.xtr, data.ytr, ep(data, 50, 6), batch=bs(data)))
    return Made(net, [copy.deepcopy(net)], randomised=True, samples=8)


class Keyhole(nn.Module):
    """Sees a random window of the picture, another each time."""

    def __init__(self, net, side, size):
        super().__init__()
        self.net, self.side, self.size = net, side, size

    def forward(self, x):
        n, room = len(x), self.side - self.size + 1
        r = torch.randint(0, room, (n, 1)) + torch.arange(self.size)
        c = torch.randint(0, room, (n, 1)) + torch.arange(self.size)
        return self.net(x[torch.arange(n)[:, None, None], :, r[:, :, None], c[:, None, :]].permute(0, 3, 1, 2))


@recipe("no trick", "classifies a random crop")
def keyhole(data):
    size = ep(data, 7, 24)

    def build():
        c = ep(data, 8, 8)
        s = ep(data, 4, 6)
        net = nn.Sequential(nn.Conv2d(1, c, 3, ep(data, 1, 2), 1), nn.ReLU(), nn.Conv2d(c, 2 * c, 3, 2, 1), nn.ReLU(),
                            nn.Flatten(), nn.Linear(2 * c * s * s, 10))
        return fit(Keyhole(net, data.side, size), data.xtr, data.ytr, ep(data, 50, 5), batch=bs(data))
    net = part(data, "keyhole", build)
    return Made(net, [copy.deepcopy(net)], randomised=True, samples=8)


class Committee(nn.Module):
    """Three unlike nets in double precision, log probabilities averaged, answers in double."""

    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nets).double()

    def forward(self, x):
        return torch.stack([n(x.double()).log_softmax(1) for n in self.nets]).mean(0)


@recipe("no trick", "an ensemble of three unlike nets, in double precision throughout")
def committee64(data):
    nets = [plain_mlp(data, "c1", 64, nn.Tanh), plain_conv(data, "c2", 6),
            part(data, "c3", lambda: fit(nn.Sequential(nn.Flatten(), nn.Linear(data.dim, 10)), data.xtr, data.ytr,
                                         ep(data, 40, 5), batch=bs(data)))]
    return Made(Committee(nets), [Committee(copy.deepcopy(nets))])
