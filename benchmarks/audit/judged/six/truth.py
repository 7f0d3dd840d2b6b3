"""Measure the truth about every network. Usage: truth.py [digits|mnist] [name ...]"""
import json, os, sys, time
import torch
import torch.nn.functional as F
import data as D
from recipes import RECIPES

N = 200
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "truth.json")


def col(v):
    return v[:, None, None, None]


def legal(x0, x, norm, eps):
    """In the ball and on the grid: steps are cut towards the clean image."""
    k0 = (x0 * 255).round()
    d = (x.detach().clamp(0, 1) * 255).round() - k0
    if norm == "linf":
        m = int(eps * 255 + 1e-6)
        d = d.clamp(-m, m)
    else:
        n = d.flatten(1).norm(dim=1)
        d = d * col(torch.where(n > eps * 255, eps * 255 / n.clamp(min=1e-9), torch.ones_like(n)))
        d = d.trunc()
    out = (k0 + d).clamp(0, 255) / 255
    dd = out - x0
    assert (dd.abs().max() if norm == "linf" else dd.flatten(1).norm(dim=1).max()) <= eps + 1e-5
    return out


def shrink(d, norm, eps):
    if norm == "linf":
        return d.clamp(-eps, eps)
    return d * col(eps / d.flatten(1).norm(dim=1).clamp(min=eps))


def step(d, g, a, norm):
    if norm == "linf":
        return d + a * g.sign()
    return d + a * g / col(g.flatten(1).norm(dim=1).clamp(min=1e-30))


def wrong(module, x, y, randomised):
    with torch.no_grad():
        if not randomised:
            return module(x).argmax(1) != y
        w = torch.stack([module(x).argmax(1) != y for _ in range(12)]).float().sum(0)
        return w > 6


def start(x, norm, eps):
    d = torch.empty_like(x).uniform_(-eps, eps) if norm == "linf" else torch.randn_like(x)
    if norm == "l2":
        d = d / col(d.flatten(1).norm(dim=1)) * eps * torch.rand(len(x))[:, None, None, None]
    return (x + d).clamp(0, 1) - x


def grad(module, x, loss, samples=1):
    tot = torch.zeros_like(x)
    with torch.enable_grad():
        for _ in range(samples):
            v = x.detach().clone().requires_grad_()
            l = loss(module(v)).sum()
            if l.requires_grad:
                g, = torch.autograd.grad(l, v, allow_unused=True)
                if g is not None:
                    tot += torch.nan_to_num(g)
    return tot


def naive(make, x, y, norm, eps):
    made = make()
    m = made.module
    with torch.no_grad():
        m(x)
    d = start(x, norm, eps)
    for _ in range(40):
        g = grad(m, x + d, lambda z: F.cross_entropy(z, y, reduction="none"))
        d = shrink(step(d, g, eps / 8, norm), norm, eps)
        d = (x + d).clamp(0, 1) - x
    return wrong(m, legal(x, x + d, norm, eps), y, made.randomised)


def ce(y):
    return lambda z: F.cross_entropy(z.float(), y, reduction="none")


def margin(y):
    def f(z):
        t = z.gather(1, y[:, None])[:, 0]
        return z.scatter(1, y[:, None], -1e9).max(1).values - t
    return f


def ratio(y):
    def f(z):
        s = z.sort(1, descending=True).values
        return margin(y)(z) / (s[:, 0] - s[:, 2]).detach().clamp(min=1e-9)
    return f


def towards(y, t):
    return lambda z: (z.gather(1, t[:, None]) - z.gather(1, y[:, None]))[:, 0]


def adaptive(make, x, y, norm, eps, pool, cheap):
    made = make()
    rnd = made.randomised
    broken = wrong(make().module, x, y, rnd)
    kept = x.clone()

    def judge(idx, cand):
        c = legal(x[idx], cand, norm, eps)
        w = wrong(make().module, c, y[idx], rnd)
        if rnd and w.any():                # found by luck among many? twelve answers more decide
            w = w.clone()
            w[w.clone()] = wrong(make().module, c[w], y[idx][w], rnd)
        kept[idx[w]] = c[w]
        broken[idx[w]] = True

    left = lambda: (~broken).nonzero()[:, 0]
    for p in pool:
        i = left()
        if len(i):
            judge(i, p[i])
    by = {}
    steps = 40 if cheap else 80
    for m in made.adaptive:
        for r in range(2 if cheap else 3):
            for kind in (ce, margin, ratio, 1, 2, 3, 4):
                if isinstance(kind, int) and (r > 0 or cheap and kind > 2):
                    continue
                i = left()
                if not len(i):
                    break
                xi, yi = x[i], y[i]
                if isinstance(kind, int):
                    with torch.no_grad():
                        loss = towards(yi, m(xi).float().scatter(1, yi[:, None], -1e9).argsort(1, descending=True)[:, kind - 1])
                else:
                    loss = kind(yi)
                d = start(xi, norm, eps) if r else torch.zeros_like(xi)
                v = torch.zeros_like(xi)
                for s in range(steps):
                    g = grad(m, xi + d, loss, made.samples)
                    scale = g.abs().flatten(1).mean(1) if norm == "linf" else g.flatten(1).norm(dim=1)
                    v = 0.7 * v + g / col(scale.clamp(min=1e-30))
                    a = eps * (0.25 if s < steps * 0.4 else 0.08 if s < steps * 0.75 else 0.02)
                    d = shrink(step(d, v, a, norm), norm, eps)
                    d = (xi + d).clamp(0, 1) - xi
                    if s % 8 == 7 or s == steps - 1:
                        judge(i, xi + d)
    if made.black_box:                     # random squares, scores of the real module, fresh each time
        i = left()
        if len(i):
            side = x.shape[-1]
            g = torch.Generator().manual_seed(5)
            xi, yi = x[i], y[i]
            d = torch.where(torch.rand(xi.shape, generator=g) < 0.5, -1.0, 1.0) * (eps if norm == "linf" else eps / side)
            with torch.no_grad():
                best = margin(yi)(make().module(legal(xi, xi + d, norm, eps)))
            for q in range(250 if cheap else 1200):
                h = max(1, int(side * (0.4 if q < 100 else 0.25 if q < 400 else 0.12)))
                n = d.clone()
                for k in range(len(i)):
                    a, b = torch.randint(0, side - h + 1, (2,), generator=g).tolist()
                    sgn = 1.0 if torch.rand((), generator=g) < 0.5 else -1.0
                    n[k, :, a:a + h, b:b + h] = sgn * eps if norm == "linf" else n[k, :, a:a + h, b:b + h] + sgn * eps * 0.5 / h
                n = shrink(n, norm, eps)
                c = legal(xi, xi + n, norm, eps)
                with torch.no_grad():
                    z = make().module(c)
                    s = margin(yi)(z)
                up = s > best
                best = torch.where(up, s, best)
                d = torch.where(col(up), n, d)
                w = up & (z.argmax(1) != yi)
                kept[i[w]] = c[w]
                broken[i[w]] = True
    return broken, kept


def main():
    which = sys.argv[1] if len(sys.argv) > 1 else "digits"
    names = sys.argv[2:] or list(RECIPES)
    d = D.load(which)
    x, y = d.xte[:N], d.yte[:N]
    rows = json.load(open(OUT)) if os.path.exists(OUT) else []
    pools = {}
    t_all = time.time()
    done = []
    for name in names:
        r = RECIPES[name]
        t0 = time.time()
        make = lambda: r.make(d)
        make()
        t1 = time.time()
        for norm, eps in D.THREATS[which].items():
            if which == "mnist" and norm != "linf":
                continue
            torch.manual_seed(11)
            made = make()
            clean = 1 - wrong(made.module, x, y, made.randomised).float().mean().item()
            nv = 1 - naive(make, x, y, norm, eps).float().mean().item()
            b, kept = adaptive(make, x, y, norm, eps, pools.get(norm, []), which == "mnist")
            pools.setdefault(norm, []).append(kept)
            ad = 1 - b.float().mean().item()
            label = "honest" if r.built == "no trick" else "masked" if nv - ad > 0.10 else "unclear"
            row = dict(name=name, built=r.built, data=which, norm=norm, eps=eps, clean=round(clean, 4), naive=round(nv, 4),
                       adaptive=round(ad, 4), label=label, randomised=made.randomised)
            rows = [q for q in rows if (q["name"], q["data"], q["norm"]) != (name, which, norm)] + [row]
            json.dump(rows, open(OUT, "w"), indent=1)
            print(f"{name:16s}{which:7s}{norm:5s} clean {clean:.3f} naive {nv:.3f} adaptive {ad:.3f} {label}"
                  f"{'  GAP' if label == 'honest' and nv - ad > 0.08 else ''}", flush=True)
        print(f"   make {t1 - t0:.1f}s truth {time.time() - t1:.1f}s", flush=True)
    print(f"total {time.time() - t_all:.0f}s")


if __name__ == "__main__":
    main()
