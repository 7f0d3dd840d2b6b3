"""Clean, naive and adaptive accuracy of every recipe; writes truth.json.

usage: truth.py [--only a,b] [--data digits,mnist] [--out truth.json]
"""
import argparse, copy, json, os, time
import torch, torch.nn.functional as F
from data import load
from recipes import RECIPES, SPARES, fit, mlp, conv, freeze

ALL = {**RECIPES, **SPARES}
JOBS = {"digits": [("linf", 0.15), ("l2", 0.8)], "mnist": [("linf", 0.2)]}
ON_MNIST = ["coin_decoys", "hot_dice", "noisy_flat", "memory_book", "closure_watch", "borrowed_scores", "mirror_scores", "grad_switch",
            "table_codes", "sawtooth_stem", "noise_hook", "jitter_broken", "crop_each", "hard_routing", "dropout_always", "patch_subset", "noisy_trained_hard",
            "trained_hard", "bookkeeper", "equal_cache", "two_bit_units", "double_pairs", "five_neighbours"]
N = 200
torch.set_num_threads(1)


def v4(a):
    return a.view(-1, 1, 1, 1)


def project(x, x0, norm, eps):
    d = x - x0
    if norm == "linf":
        d = d.clamp(-eps, eps)
    else:
        d = d * v4((eps / (d.flatten(1).norm(dim=1) + 1e-12)).clamp(max=1))
    return (x0 + d).clamp(0, 1)


def legal(x, x0, norm, eps):
    """On the 8-bit grid and inside the ball: the change is cut towards nought."""
    g0 = torch.round(x0.double() * 255)
    x = project(x.double(), x0.double(), norm, eps)
    d = torch.trunc(x * 255 - g0 + torch.sign(x * 255 - g0) * 1e-4)
    c = g0 + d
    if norm == "linf":
        bad = (d.abs() / 255 > eps + 1e-9)
        assert not bad.any()
    else:
        n = d.flatten(1).norm(dim=1) / 255
        over = n > eps
        d[over] = torch.trunc(d[over] * v4(eps / n[over]) * 0.9999)
        c = g0 + d
        assert (d.flatten(1).norm(dim=1) / 255 <= eps + 1e-9).all()
    return (c / 255).float().clamp(0, 1)


def start(x, norm, eps):
    if norm == "linf":
        d = torch.empty_like(x).uniform_(-eps, eps)
    else:
        d = torch.randn_like(x)
        d = d / v4(d.flatten(1).norm(dim=1)) * eps * v4(torch.rand(len(x)))
    return (x + d).clamp(0, 1)


def gradient(mods, x, y, loss, samples, target=None):
    x = x.detach().requires_grad_(True)
    total = 0
    for m in mods:
        for _ in range(samples):
            z = m(x)
            if not z.requires_grad:
                continue
            if loss == "raw":
                l = F.cross_entropy(z.float(), y, reduction="none").double()
            elif loss == "ce":
                z = z.double()
                s = (z.max(1).values - z.min(1).values).detach().clamp(min=1e-9)
                l = F.cross_entropy(z / s[:, None] * 8, y, reduction="none")
            else:
                z = z.double()
                s = (z.max(1).values - z.min(1).values).detach().clamp(min=1e-9)
                zy = z.gather(1, y[:, None])[:, 0]
                if loss == "margin":
                    zo = (z - 1e12 * F.one_hot(y, z.shape[1])).max(1).values
                else:
                    zo = z.gather(1, target[:, None])[:, 0]
                l = (zo - zy) / s
            total = total + l.sum()
    if isinstance(total, int):
        return torch.zeros_like(x)
    g, = torch.autograd.grad(total, x, allow_unused=True)
    return torch.zeros_like(x) if g is None else torch.nan_to_num(g)


def step(x, g, x0, norm, eps, a):
    if norm == "linf":
        x = x + a * g.sign()
    else:
        x = x + a * g / v4(g.flatten(1).norm(dim=1).clamp(min=1e-30))
    return project(x, x0, norm, eps)


def naive_pgd(m, x0, y, norm, eps, steps=40):
    x = start(x0, norm, eps)
    for _ in range(steps):
        x = step(x, gradient([m], x, y, "raw", 1), x0, norm, eps, 2.5 * eps / steps)
    return legal(x, x0, norm, eps)


def pgd(mods, x0, y, norm, eps, loss, steps, samples, target=None, from_clean=False):
    """Momentum PGD with a falling step; hands out iterates of its second half."""
    x = x0.clone() if from_clean else start(x0, norm, eps)
    mom = torch.zeros_like(x)
    out = []
    for i in range(steps):
        g = gradient(mods, x, y, loss, samples, target)
        g = g / v4(g.flatten(1).abs().mean(1).clamp(min=1e-30))
        mom = 0.7 * mom + g
        a = eps * (0.25 if i < steps // 3 else 0.1 if i < 2 * steps // 3 else 0.03)
        x = step(x, mom, x0, norm, eps, a)
        if i == steps - 1 or (i >= steps // 3 and i % max(steps // 6, 1) == 0):
            out.append(legal(x, x0, norm, eps))
    return out


def square(score, x0, y, norm, eps, iters, seed):
    """Random search on a score to be raised (numbers only)."""
    g = torch.Generator().manual_seed(seed)
    n, _, h, w = x0.shape
    r = lambda *s: torch.rand(*s, generator=g)
    if norm == "linf":
        best = (x0 + eps * (r(n, 1, 1, w) - 0.5).sign()).clamp(0, 1)
    else:
        best = project(x0 + eps * (r(n, 1, h, w) - 0.5), x0, norm, eps)
    best = legal(best, x0, norm, eps)
    val = score(best)
    for i in range(iters):
        s = max(1, round(h * (0.5 * (1 - i / iters) ** 2)))
        new = best.clone()
        for k in range(n):
            a, b = int(r(1) * (h - s + 1)), int(r(1) * (w - s + 1))
            if norm == "linf":
                new[k, 0, a:a + s, b:b + s] = x0[k, 0, a:a + s, b:b + s] + eps * (1 if r(1) < 0.5 else -1)
            else:
                new[k, 0, a:a + s, b:b + s] += eps * 0.7 * (r(1).item() - 0.5)
        new = legal(new, x0, norm, eps)
        v = score(new)
        up = v > val
        best[up], val[up] = new[up], v[up]
    return best


class Judge:
    def __init__(self, recipe, data):
        self.recipe, self.data = recipe, data
        self.made = recipe.make(data)
        self.pristine = copy.deepcopy(self.made.module)

    def fresh(self):
        if self.recipe.name == "closure_watch":      # its state is not copied with it
            return self.recipe.make(self.data).module
        return copy.deepcopy(self.pristine)

    @torch.no_grad()
    def wrong(self, x, y, times=12):
        if not self.made.randomised:
            return self.fresh()(x).argmax(1) != y
        m = self.fresh()
        return sum((m(x).argmax(1) != y).long() for _ in range(times)) > times / 2

    def broken(self, x, y):
        w = self.wrong(x, y)
        if self.made.randomised and w.any():           # luck must not count: ask again
            w[w.clone()] = self.wrong(x[w], y[w])
        return w


_TRANSFER = {}


def transfer(data, x, y, norm, eps):
    key = (data.name, norm)
    if key not in _TRANSFER:
        nets = [fit("_plain_mlp", lambda: mlp(data, 64), data, 71), fit("_plain_conv", lambda: conv(data, 8), data, 72),
                fit("_plain_lin", lambda: mlp(data, 0, 0), data, 73)]
        out = []
        for ms in ([nets[0]], [nets[1]], [nets[2]], nets):
            for loss in ("ce", "margin"):
                out += pgd(ms, x, y, norm, eps, loss, 40, 1)[-1:]
        _TRANSFER[key] = out
    return _TRANSFER[key]


def adaptive(judge, x, y, norm, eps, fast):
    made = judge.made
    alive = ~judge.broken(x, y)

    def feed(cands, idx):
        for c in cands:
            ok = alive[idx]
            if ok.any():
                b = judge.broken(c[ok], y[idx][ok])
                alive[idx[ok][b]] = False

    everyone = torch.arange(len(x))
    feed(transfer(judge.data, x, y, norm, eps), everyone)
    sets = [[m] for m in made.adaptive] + ([made.adaptive] if 1 < len(made.adaptive) < 4 else [])
    steps = 60 if fast else 100
    for ms in sets:
        k = made.samples if any(_random(m, x) for m in ms) else 1
        for r in range(2 if fast else 3):
            for loss in ("ce", "margin"):
                idx = alive.nonzero().flatten()
                if len(idx):
                    feed(pgd(ms, x[idx], y[idx], norm, eps, loss, steps, k, from_clean=r == 0), idx)
        for t in range(2 if fast else 4):
            idx = alive.nonzero().flatten()
            if len(idx):
                with torch.no_grad():
                    z = sum(ms[0](x[idx]) for _ in range(k)).double()
                order = (z - 1e12 * F.one_hot(y[idx], z.shape[1])).argsort(1, descending=True)
                feed(pgd(ms, x[idx], y[idx], norm, eps, "target", steps, k, target=order[:, t]), idx)
    for which in ["adaptive"] + (["module"] if made.black_box else []):
        idx = alive.nonzero().flatten()
        if len(idx) == 0:
            break
        m = made.adaptive[0] if which == "adaptive" else judge.fresh()
        k = 3 if _random(m, x) else 1

        @torch.no_grad()
        def score(c):
            z = sum(m(c) for _ in range(k)).double()
            zy = z.gather(1, y[idx][:, None])[:, 0]
            return (z - 1e12 * F.one_hot(y[idx], z.shape[1])).max(1).values - zy
        feed([square(score, x[idx], y[idx], norm, eps, 150 if fast else 400, s) for s in range(1)], idx)
    return alive.float().mean().item()


@torch.no_grad()
def _random(m, x):
    return not torch.equal(m(x[:50]), m(x[:50]))


def measure(name, dname, norm, eps):
    data = load(dname)
    torch.manual_seed(123)
    t0 = time.time()
    judge = Judge(ALL[name], data)
    t1 = time.time()
    x, y = data.xte[:N], data.yte[:N]
    clean = 1 - judge.wrong(x, y).float().mean().item()
    mod = judge.fresh()
    xa = naive_pgd(mod, x, y, norm, eps)
    with torch.no_grad():
        if judge.made.randomised:
            w = sum((mod(xa).argmax(1) != y).long() for _ in range(12)) > 6
        else:
            w = mod(xa).argmax(1) != y
    naive = 1 - w.float().mean().item()
    adv = adaptive(judge, x, y, norm, eps, dname == "mnist")
    built = ALL[name].built
    if built == "masks":
        label = "masked" if naive - adv > 0.10 else "unclear"
    else:
        label = "honest"
    row = dict(name=name, built=built, data=dname, norm=norm, eps=eps, clean=round(clean, 4), naive=round(naive, 4),
               adaptive=round(adv, 4), label=label, randomised=judge.made.randomised)
    print(f"{name:20s} {dname} {norm:5s} clean {clean:.3f} naive {naive:.3f} adaptive {adv:.3f} {label}"
          f"  make {t1 - t0:.1f}s truth {time.time() - t1:.1f}s", flush=True)
    return row


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", default="")
    ap.add_argument("--data", default="digits,mnist")
    ap.add_argument("--out", default="truth.json")
    a = ap.parse_args()
    rows = json.load(open(a.out)) if os.path.exists(a.out) else []
    names = a.only.split(",") if a.only else list(RECIPES)
    for d in a.data.split(","):
        for n in names:
            if d == "mnist" and n not in ON_MNIST:
                continue
            for norm, eps in JOBS[d]:
                row = measure(n, d, norm, eps)
                rows = [r for r in rows if (r["name"], r["data"], r["norm"]) != (n, d, norm)] + [row]
                json.dump(rows, open(a.out + ".part", "w"), indent=1)
                os.replace(a.out + ".part", a.out)
