"""Measures RECIPES: python truth.py [--data digits mnist] [--only names] [--out truth.json]

clean, naive and adaptive are shares of 200 test images still answered rightly.  Every candidate is projected into
the ball, put on the 8-bit grid and judged by the real module, freshly made.  Randomised networks: an image is lost
when most of 12 answers are wrong, and for a candidate in the adaptive attack once more on 12 new answers.
"""
import argparse, json, os, time
import torch
import torch.nn.functional as F
import data as D
from recipes import RECIPES

N, DRAWS = 200, 12
MNIST = ["echo_chamber", "inertia", "medal_only", "other_conversation", "wrong_way", "dithered", "patchwork", "crosswired",
         "ghost_pilot", "undertow", "periphery", "ledger", "moire", "turnstile", "pigeonholes", "semaphore", "ratchet",
         "dispatch", "village", "bulwark", "tightrope", "keyhole", "pursuit", "drizzle", "committee64"]


def grid(x, c, norm, eps):
    """The nearest legal picture on the 8-bit grid."""
    base = (x * 255).round()
    d = ((c.clamp(0, 1) * 255).round() - base)
    if norm == "linf":
        m = int(eps * 255 + 1e-6)
        d = d.clamp(-m, m)
    else:
        for _ in range(8):
            n = d.flatten(1).norm(dim=1)
            bad = n > eps * 255
            if not bad.any():
                break
            f = (eps * 255 / n.clamp_min(1e-9)).clamp(max=1) * 0.9999
            d = torch.where(bad[:, None, None, None], (d * f[:, None, None, None]).trunc(), d)
    out = (base + d) / 255
    assert out.min() >= 0 and out.max() <= 1
    e = out.double() - x.double()
    assert (e.abs().max() if norm == "linf" else e.flatten(1).norm(dim=1).max()) <= eps + 1e-6
    return out


def into(x, c, norm, eps):
    d = c - x
    if norm == "linf":
        d = d.clamp(-eps, eps)
    else:
        d = d * (eps / d.flatten(1).norm(dim=1).clamp_min(1e-12)).clamp(max=1)[:, None, None, None]
    return (x + d).clamp(0, 1)


def start(x, norm, eps, g):
    r = torch.rand(x.shape, generator=g) * 2 - 1
    if norm == "l2":
        r = torch.randn(x.shape, generator=g)
        r = r / r.flatten(1).norm(dim=1)[:, None, None, None] * torch.rand((len(x), 1, 1, 1), generator=g)
    return into(x, x + eps * r, norm, eps)


def direction(g, norm):
    g = torch.nan_to_num(g)
    if norm == "linf":
        return g.sign()
    n = g.flatten(1).norm(dim=1)[:, None, None, None]
    return torch.where(n > 0, g / n.clamp_min(1e-38), torch.zeros_like(g))


def ce(z, y, t):
    return F.cross_entropy(z, y, reduction="sum")


def margin(z, y, t):
    own = z.gather(1, y[:, None])[:, 0]
    return (z.masked_fill(F.one_hot(y, z.shape[1]).bool(), float("-inf")).amax(1) - own).sum()


def relative(z, y, t):
    v = z.sort(1, descending=True)[0]
    own = z.gather(1, y[:, None])[:, 0]
    oth = z.masked_fill(F.one_hot(y, z.shape[1]).bool(), float("-inf")).amax(1)
    return ((oth - own) / (v[:, 0] - v[:, 2] + 1e-12).detach()).sum()


def towards(z, y, t):
    return (z.gather(1, t[:, None]) - z.gather(1, y[:, None])).sum()


def slope(f, x, y, t, loss, samples):
    total = torch.zeros_like(x)
    for _ in range(samples):
        a = x.clone().requires_grad_(True)
        with torch.enable_grad():
            v = loss(f(a), y, t)
        if v.requires_grad:
            g, = torch.autograd.grad(v, a, allow_unused=True)
            if g is not None:
                total += torch.nan_to_num(g.to(x.dtype))
    return total


class Judge:
    def __init__(self, recipe, data, made):
        self.recipe, self.data, self.randomised = recipe, data, made.randomised

    def wrong_of(self, module, x, y):
        with torch.no_grad():
            if not self.randomised:
                return module(x).argmax(1) != y
            return sum((module(x).argmax(1) != y).int() for _ in range(DRAWS)) > DRAWS // 2

    def wrong(self, x, y):
        w = self.wrong_of(self.recipe.make(self.data).module, x, y)
        if self.randomised and w.any():
            i = w.nonzero().flatten()
            w[i] = self.wrong_of(self.recipe.make(self.data).module, x[i], y[i])
        return w


def naive(judge, module, x, y, norm, eps, seed=0):
    """Forty steps on cross-entropy through the module itself, judged on that same module."""
    g = torch.Generator().manual_seed(seed)
    broken = judge.wrong_of(module, x, y)
    a = start(x, norm, eps, g)
    for _ in range(40):
        a = into(x, a + eps / 10 * direction(slope(module, a, y, None, ce, 1), norm), norm, eps)
    c = grid(x, a, norm, eps)
    return broken | judge.wrong_of(module, c, y), c


class Attack:
    def __init__(self, judge, x, y, norm, eps):
        self.judge, self.x, self.y, self.norm, self.eps = judge, x, y, norm, eps
        self.broken = judge.wrong(x, y)
        self.best = x.clone()
        self.how = {"clean": int(self.broken.sum())}

    def submit(self, rows, cand, who):
        """Candidates for rows (indices); keeps those that break the real, fresh module."""
        c = grid(self.x[rows], cand, self.norm, self.eps)
        w = self.judge.wrong(c, self.y[rows])
        new = rows[w & ~self.broken[rows]]
        self.best[rows[w]] = c[w]
        self.broken[rows[w]] = True
        self.how[who] = self.how.get(who, 0) + len(new)

    def left(self):
        return (~self.broken).nonzero().flatten()

    def pgd(self, f, loss, who, steps, samples, g, target=None, from_=None, every=10):
        rows = self.left()
        if not len(rows):
            return
        x, y = self.x[rows], self.y[rows]
        t = None
        if target is not None:
            with torch.no_grad():
                z = sum(f(x) for _ in range(samples))
            t = z.masked_fill(F.one_hot(y, z.shape[1]).bool(), float("-inf")).argsort(1, descending=True)[:, target]
        a = start(x, self.norm, self.eps, g) if from_ is None else from_[rows]
        m = torch.zeros_like(x)
        for k in range(steps):
            size = self.eps * (0.25 if k < steps * 0.3 else 0.1 if k < steps * 0.7 else 0.03)
            s = slope(f, a, y, t, loss, samples)
            m = 0.75 * m + s / s.flatten(1).abs().sum(1).clamp_min(1e-38)[:, None, None, None]
            a = into(x, a + size * direction(m, self.norm), self.norm, self.eps)
            if (k + 1) % every == 0:
                keep = ~self.broken[rows]
                if not keep.any():
                    return
                self.submit(rows, a, who)

    def square(self, queries, g):
        """Score-based random search on the real module (fresh each time; averaged answers where it is random)."""
        rows = self.left()
        if not len(rows):
            return
        x, y, side = self.x[rows], self.y[rows], self.x.shape[-1]

        def score(c):
            m = self.judge.recipe.make(self.judge.data).module
            with torch.no_grad():
                z = sum(m(c).double().softmax(1) for _ in range(4 if self.judge.randomised else 1))
            own = z.gather(1, y[:, None])[:, 0]
            return z.masked_fill(F.one_hot(y, z.shape[1]).bool(), float("-inf")).amax(1) - own
        stripes = (torch.rand((len(x), 1, 1, side), generator=g) < 0.5).float() * 2 - 1
        a = grid(x, into(x, x + self.eps * stripes, self.norm, self.eps), self.norm, self.eps)
        best = score(a)
        for k in range(queries):
            b = max(1, round(side * (0.5 if k < queries * 0.1 else 0.3 if k < queries * 0.4 else 0.15)))
            d = a - x
            r = torch.randint(0, side - b + 1, (2, len(x)), generator=g)
            sgn = (torch.rand(len(x), generator=g) < 0.5).float() * 2 - 1
            for i in range(len(x)):
                p, q = r[0, i], r[1, i]
                d[i, :, p:p + b, q:q + b] = sgn[i] * self.eps * (1.0 if self.norm == "linf" else 0.5)
            c = grid(x, into(x, x + d, self.norm, self.eps), self.norm, self.eps)
            v = score(c)
            up = v > best
            a[up], best[up] = c[up], v[up]
            if (k + 1) % 50 == 0:
                self.submit(rows, a, "square")


def strongest(judge, made, x, y, norm, eps, first, quick=False, seed=1):
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    A = Attack(judge, x, y, norm, eps)
    A.submit(torch.arange(len(x)), first, "naive")
    rnd = made.randomised
    steps = 60 if rnd else 100
    for j, f in enumerate(made.adaptive):
        s = made.samples if rnd else 1
        if rnd:
            with torch.no_grad():
                if torch.equal(f(x[:20]), f(x[:20])):
                    s = 1
        plans = [(ce, None), (margin, None), (relative, None), (towards, 0), (towards, 1), (towards, 2)]
        for loss, target in plans if not quick else plans[:4]:
            for again in range(1 if (rnd or quick) else 2):
                A.pgd(f, loss, f"{j}:{loss.__name__}", steps, s, g, target)
    if not rnd and not quick:
        for target in range(3, 9):
            A.pgd(made.adaptive[0], towards, "0:towards", 60, 1, g, target)
    if norm == "linf" and not quick:
        A.square(100 if rnd else 300, g)
    return A


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", nargs="+", default=["digits", "mnist"])
    p.add_argument("--only", nargs="*")
    p.add_argument("--out", default="truth.json")
    a = p.parse_args()
    rows, began = [], time.time()
    for name in a.data:
        data = D.load(name)
        x, y = data.xte[:N], data.yte[:N]
        makes = {}
        norms = D.THREATS[name] if name == "digits" else {"linf": D.THREATS[name]["linf"]}
        names = [n for n in RECIPES if (not a.only or n in a.only) and (name == "digits" or n in MNIST)]
        for norm, eps in norms.items():
            runs = {}
            for n in names:
                t = time.time()
                recipe = RECIPES[n]
                made = recipe.make(data)
                makes.setdefault(n, time.time() - t)
                judge = Judge(recipe, data, made)
                torch.manual_seed(0)
                clean = 1 - judge.wrong_of(recipe.make(data).module, x, y).float().mean().item()
                nb, cand = naive(judge, recipe.make(data).module, x, y, norm, eps)
                A = strongest(judge, made, x, y, norm, eps, cand, quick=name == "mnist")
                runs[n] = (recipe, made, judge, clean, 1 - nb.float().mean().item(), A, nb)
                print(f"{name} {norm} {n:20s} {recipe.built:9s} clean {clean:.3f} naive {runs[n][4]:.3f} "
                      f"adaptive {1 - A.broken.float().mean().item():.3f} {A.how} make {makes[n]:.1f}s all {time.time() - t:.1f}s", flush=True)
            for n, (recipe, made, judge, clean, nv, A, nb) in runs.items():
                own = int(A.broken.sum())
                for other, r in runs.items():
                    i = A.left()
                    i = i[r[5].broken[i]] if len(i) else i
                    if other != n and len(i):
                        A.submit(i, r[5].best[i], "transfer")
                ad = 1 - (A.broken | nb).float().mean().item()
                label = ("honest" if recipe.built == "no trick" else "masked" if nv - ad > 0.10 else "unclear")
                rows.append(dict(name=n, built=recipe.built, data=name, norm=norm, eps=eps, clean=round(clean, 4),
                                 naive=round(nv, 4), adaptive=round(ad, 4), label=label, randomised=made.randomised))
                print(f"{name} {norm} {n:20s} {label:8s} naive {nv:.3f} adaptive {ad:.3f} (transfer +{int(A.broken.sum()) - own})", flush=True)
            tmp = a.out + ".new"
            with open(tmp, "w") as fh:
                json.dump(rows, fh, indent=1)
            os.replace(tmp, a.out)
    print(f"done in {time.time() - began:.0f}s")


if __name__ == "__main__":
    main()
