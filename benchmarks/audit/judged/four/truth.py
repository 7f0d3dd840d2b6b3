"""Measures clean, naive and adaptive accuracy of every recipe; writes truth.json.

python truth.py [--data digits] [--norms linf,l2] [--only a,b] [--fast]
"""
import argparse, copy, json, os, time
import torch, torch.nn.functional as F
import data as D
import recipes

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWERS = 12


def col(v):
    return v.view(-1, 1, 1, 1)


def project(x, d, norm, eps):
    if norm == "linf":
        d = d.clamp(-eps, eps)
    else:
        d = d * (eps / col(d.flatten(1).norm(dim=1)).clamp_min(1e-12)).clamp(max=1)
    return (x + d).clamp(0, 1) - x


def legal(x, cand, norm, eps):
    """Onto the 8-bit grid and inside the ball; differences are cut towards zero where rounding would leave it."""
    k0 = torch.round(x.double() * 255)
    d = torch.nan_to_num(project(x, torch.nan_to_num(cand - x), norm, eps)).double() * 255
    k = torch.round(d)
    if norm == "linf":
        m = int(eps * 255 + 1e-6)
        k = k.clamp(-m, m)
    else:
        out = k.flatten(1).norm(dim=1) > eps * 255 - 1e-6
        k = torch.where(col(out), torch.trunc(d), k)
    c = ((k0 + k).clamp(0, 255) / 255).float()
    gap = (c.double() - x.double()).flatten(1)
    r = gap.abs().max(1).values if norm == "linf" else gap.norm(dim=1)
    assert (r <= eps + 1e-6).all()
    return c


def margin(z, y):
    z = z.float() if z.dtype != torch.float64 else z
    own = z.gather(1, y[:, None])[:, 0]
    rest = z.scatter(1, y[:, None], -float("inf")).max(1).values
    return own - rest


def dlr(z, y):
    s = z.sort(1, descending=True).values
    return -margin(z, y) / (s[:, 0] - s[:, 2] + 1e-12)


LOSS = {"ce": lambda z, y: F.cross_entropy(z, y, reduction="none"),
        "margin": lambda z, y: -margin(z, y), "dlr": dlr}


def slope(net, x, y, loss, n=1):
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        if n > 1:
            z = net(x.repeat(n, 1, 1, 1))
            l = loss(z, y.repeat(n)).view(n, -1).mean(0)
        else:
            z = net(x)
            l = loss(z, y)
        if not l.requires_grad:
            return torch.zeros_like(x), l.detach()
        g, = torch.autograd.grad(l.sum(), x, allow_unused=True)
    return torch.zeros_like(x) if g is None else torch.nan_to_num(g, 0, 0, 0), l.detach()


def start(x, norm, eps):
    if norm == "linf":
        return project(x, (torch.rand_like(x) * 2 - 1) * eps, norm, eps)
    d = torch.randn_like(x)
    return project(x, d / col(d.flatten(1).norm(dim=1)) * eps * col(torch.rand(len(x)) ** 0.3), norm, eps)


def go(d, g, norm, a):
    return d + a * (g.sign() if norm == "linf" else g / col(g.flatten(1).norm(dim=1)).clamp_min(1e-20))


def naive(net, x, y, norm, eps, steps=40):
    d = start(x, norm, eps)
    for _ in range(steps):
        g, _l = slope(net, x + d, y, LOSS["ce"])
        d = project(x, go(d, g, norm, 2.5 * eps / steps), norm, eps)
    return legal(x, x + d, norm, eps)


def pgd(net, x, y, norm, eps, steps, loss, n=1, target=None):
    """Momentum, falling steps; gives the last and the best iterate."""
    fn = (lambda z, t: LOSS[loss](z, t)) if target is None else \
        (lambda z, t: (z.gather(1, t[:, None]) - z.gather(1, y.repeat(len(z) // len(y))[:, None]))[:, 0])
    t = y if target is None else target
    d, vel = start(x, norm, eps), torch.zeros_like(x)
    best, bl = d.clone(), torch.full((len(x),), -float("inf"), dtype=torch.double)
    for i in range(steps):
        g, l = slope(net, x + d, t, fn, n)
        up = l.double() > bl
        best, bl = torch.where(col(up), d, best), torch.where(up, l.double(), bl)
        g = g / col(g.flatten(1).abs().mean(1)).clamp_min(1e-30)
        vel = 0.75 * vel + g
        a = eps * (0.4 if norm == "linf" else 0.6) * (1 - i / steps) + eps * 0.02
        d = project(x, go(d, vel, norm, a), norm, eps)
    return [legal(x, x + d, norm, eps), legal(x, x + best, norm, eps)]


def search(score, x, y, norm, eps, steps):
    """Random squares, kept where the margin falls."""
    s = x.shape[-1]
    d = project(x, torch.sign(torch.randn(len(x), 1, 1, s).expand_as(x)) * eps, norm, eps)
    best = score(x + d, y)
    for i in range(steps):
        w = max(1, int(round(s * (0.6 * (1 - i / steps)) ** 1.0)))
        m = torch.zeros_like(x)
        top, left = torch.randint(0, s - w + 1, (2, len(x)))
        for j in range(len(x)):
            m[j, :, top[j]:top[j] + w, left[j]:left[j] + w] = 1
        sign = col(torch.sign(torch.randn(len(x))))
        if norm == "linf":
            new = torch.where(m > 0, sign * 2 * eps, d)
        else:
            new = d + m * sign * eps * 0.7 / w
        new = project(x, new, norm, eps)
        v = score(x + new, y)
        ok = v < best
        d, best = torch.where(col(ok), new, d), torch.where(ok, v, best)
    return [legal(x, x + d, norm, eps)]


@torch.no_grad()
def wrong(fresh, x, y, randomised):
    """One answer of a fresh module, or whether most of twelve are wrong."""
    net = fresh()
    if not randomised:
        return net(x).argmax(1) != y
    return sum((net(x).argmax(1) != y).long() for _ in range(ANSWERS)) > ANSWERS // 2


def broken_by(fresh, x, y, randomised):
    """A randomised answer must fail twice over, so that many candidates do not win by luck."""
    b = wrong(fresh, x, y, randomised)
    if randomised and b.any():
        b = b.clone()
        b[b.clone()] = wrong(fresh, x[b], y[b], True)
    return b


def measure(r, dat, norm, eps, n=200, fast=False):
    torch.manual_seed(1)
    x, y = dat.xte[:n], dat.yte[:n]
    made = r.make(dat)
    fast = fast or (dat.name == "mnist" and made.samples > 1)
    fresh = lambda: r.make(dat).module
    rnd = made.randomised
    clean = ~wrong(fresh, x, y, rnd)
    own = fresh()
    cand = naive(own, x, y, norm, eps)
    na = ~wrong(lambda: own, cand, y, rnd) & clean
    cands, left = [cand], clean & ~broken_by(fresh, cand, y, rnd)
    best = {}

    def take(cs):
        for c in cs:
            nonlocal left
            idx = left.nonzero()[:, 0]
            if not len(idx):
                return
            b = broken_by(fresh, c[idx], y[idx], rnd)
            for j in idx[b].tolist():
                best[j] = c[j]
            left = left.clone()
            left[idx[b]] = False
    steps, tries = (50, 1) if fast else (100, 2)
    e = max(1, made.samples if not fast else min(made.samples, 4))
    last = x
    for a in made.adaptive:
        for k in range(tries):
            for loss in ("margin", "ce", "dlr"):
                if not left.any():
                    break
                cs = pgd(a, x, y, norm, eps, steps if e == 1 else steps // 2, loss, e)
                last = cs[0]
                take(cs)
        with torch.no_grad():
            order = a(x).scatter(1, y[:, None], -1e30).argsort(1, descending=True)
        for k in range(4 if not fast else 2):
            if left.any():
                take(pgd(a, x, y, norm, eps, steps // 2, "ce", min(e, 5), order[:, k]))
    a = made.adaptive[0]

    @torch.no_grad()
    def score(v, y):
        return margin(a(v), y) if e == 1 else torch.stack([margin(a(v), y) for _ in range(4)]).mean(0)
    if left.any():
        idx = left.nonzero()[:, 0]
        cs = search(score, x[idx], y[idx], norm, eps, 100 if fast else 300)
        full = x.clone()
        full[idx] = cs[0]
        take([full])
    if made.black_box and left.any():
        real = fresh()
        idx = left.nonzero()[:, 0]
        with torch.no_grad():
            cs = search(lambda v, t: margin(real(v), t), x[idx], y[idx], norm, eps, 100 if fast else 400)
        full = x.clone()
        full[idx] = cs[0]
        take([full])
    strong = last.clone()
    for j, c in best.items():
        strong[j] = c
    return made, clean, na, left, strong, fresh


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", default="digits")
    p.add_argument("--norms", default="linf,l2")
    p.add_argument("--only", default="")
    p.add_argument("--fast", action="store_true")
    p.add_argument("--out", default=os.path.join(HERE, "truth.json"))
    p.add_argument("--spares", action="store_true")
    a = p.parse_args()
    RECIPES = recipes.SPARES if a.spares else recipes.RECIPES
    dat = D.load(a.data)
    names = a.only.split(",") if a.only else list(RECIPES)
    y = dat.yte[:200]
    rows = json.load(open(a.out)) if os.path.exists(a.out) else []
    for name in names:
        t = time.time()
        RECIPES[name].make(dat)
        print("made %-22s %5.1fs" % (name, time.time() - t), flush=True)
    for norm in a.norms.split(","):
        eps = D.THREATS[a.data][norm]
        got = {}
        for name in names:
            t = time.time()
            got[name] = measure(RECIPES[name], dat, norm, eps, fast=a.fast)
            made, clean, na, left, _, _ = got[name]
            print("%-6s %-4s %-22s clean %.3f naive %.3f own %.3f  %5.1fs" % (
                a.data, norm, name, clean.float().mean(), na.float().mean(), left.float().mean(), time.time() - t), flush=True)
        for name in names:
            made, clean, na, left, _, fresh = got[name]
            for other in names:                                   # transfer
                if other != name and left.any():
                    idx = left.nonzero()[:, 0]
                    b = broken_by(fresh, got[other][4][idx], y[idx], made.randomised)
                    left = left.clone()
                    left[idx[b]] = False
            c, n_, ad = (round(v.float().mean().item(), 4) for v in (clean, na, left))
            r = RECIPES[name]
            label = "honest" if r.built == "no trick" else ("masked" if n_ - ad > 0.10 else "unclear")
            rows = [q for q in rows if (q["name"], q["data"], q["norm"]) != (name, a.data, norm)]
            rows.append(dict(name=name, built=r.built, data=a.data, norm=norm, eps=eps, clean=c, naive=n_, adaptive=ad,
                             label=label, randomised=made.randomised))
            print("%-6s %-4s %-22s clean %.3f naive %.3f adaptive %.3f %s" % (a.data, norm, name, c, n_, ad, label), flush=True)
            json.dump(rows, open(a.out, "w"), indent=1)


if __name__ == "__main__":
    main()
