"""Measure the truth of every (recipe, data set, norm) on the same 200 test images.
usage: truth.py DATA NORM[,NORM] [RECIPE ...]"""
import fcntl, json, math, os, sys, time
import torch, torch.nn.functional as F
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from data import load, THREATS
from recipes import RECIPES

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
N = 200


def project(x, x0, norm, eps):
    d = x - x0
    if norm == "linf":
        d = d.clamp(-eps, eps)
    else:
        n = d.flatten(1).norm(dim=1).clamp_min(1e-12)
        d = d * (eps / n).clamp(max=1).view(-1, 1, 1, 1)
    return (x0 + d).clamp(0, 1)


def to_grid(x, x0, norm, eps):
    """nearest grid point inside the ball (L2: fall back on truncating towards x0)."""
    b = (x0 * 255).round()
    d = (x - x0) * 255
    if norm == "linf":
        k = math.floor(eps * 255 + 1e-6)
        q = d.round().clamp(-k, k)
    else:
        q, t = d.round(), d.trunc()
        bad = q.flatten(1).norm(dim=1) > eps * 255
        q = torch.where(bad.view(-1, 1, 1, 1), t, q)
    return ((b + q).clamp(0, 255) / 255).float()


def loss_of(z, y, kind, target=None):
    z = z.float() if z.dtype in (torch.half, torch.bfloat16) else z
    if kind == "ce":
        return F.cross_entropy(z, y, reduction="none")
    zy = z.gather(1, y[:, None])[:, 0]
    if kind == "targeted":
        return z.gather(1, target[:, None])[:, 0] - zy
    o = z.scatter(1, y[:, None], -float("inf")).max(1).values
    return o - zy


def gradient(mod, x, y, kind, target, samples):
    g = 0
    for _ in range(samples):
        xi = x.detach().clone().requires_grad_()
        z = mod(xi)
        if not z.requires_grad:
            return torch.zeros_like(x), z.detach()
        gi = torch.autograd.grad(loss_of(z, y, kind, target).sum(), xi, allow_unused=True)[0]
        g = g + (torch.zeros_like(x) if gi is None else torch.nan_to_num(gi, 0., 0., 0.))
    return g, z.detach()


@torch.no_grad()
def wrong(mod, x, y, randomised):
    if not randomised:
        return mod(x).argmax(1) != y
    return sum((mod(x).argmax(1) != y).int() for _ in range(12)) > 6


def unit(g, norm):
    if norm == "linf":
        return g.sign()
    m = g.abs().flatten(1).max(1).values.clamp_min(1e-38).view(-1, 1, 1, 1)
    g = g / m
    n = g.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    return g / n


def start(x0, norm, eps, gen):
    if norm == "linf":
        d = (torch.rand(x0.shape, generator=gen) * 2 - 1) * eps
    else:
        d = torch.randn(x0.shape, generator=gen)
        d = d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        d = d * eps * torch.rand(len(x0), 1, 1, 1, generator=gen)
    return project(x0 + d, x0, norm, eps)


def pgd(judge, mod, x0, y, norm, eps, kind, steps, schedule, gen, randomised, samples=1, target=None, check=0):
    """bool per image: broken. deterministic: at any iterate; randomised: last (and every `check` steps)."""
    n = len(x0)
    broken = torch.zeros(n, dtype=torch.bool)
    idx = torch.arange(n)
    x = start(x0, norm, eps, gen)
    own = mod is judge and samples == 1
    for t in range(steps + 1):
        q = to_grid(x, x0[idx], norm, eps)
        if t < steps:
            g, z = gradient(mod, q, y[idx], kind, None if target is None else target[idx], samples)
        if randomised:
            w = wrong(judge, q, y[idx], True) if (t == steps or (check and t and t % check == 0)) else None
        elif own and t < steps:
            w = z.argmax(1) != y[idx]
        else:
            w = wrong(judge, q, y[idx], False)
        if w is not None:
            broken[idx[w]] = True
        if t == steps:
            break
        x = project(x + schedule(t) * unit(g, norm), x0[idx], norm, eps)
        if own and not randomised and t % 5 == 0:      # no gradient at all: it will never move again
            k = (g != 0).flatten(1).any(1) & ~broken[idx]
            idx, x = idx[k], x[k]
            if not len(idx):
                break
            continue
        if t % 5 == 0:
            k = ~broken[idx]
            idx, x = idx[k], x[k]
            if not len(idx):
                break
    return broken


@torch.no_grad()
def margin(mod, x, y):
    return -loss_of(mod(x), y, "margin")


@torch.no_grad()
def square(judge, x0, y, norm, eps, queries, gen):
    n, _, H, W = x0.shape
    R = lambda *s: torch.rand(*s, generator=gen)
    if norm == "linf":
        d = eps * (R(n, 1, 1, W) * 2 - 1).sign().expand(n, 1, H, W)
    else:
        d = torch.randn(x0.shape, generator=gen)
    x = to_grid(project(x0 + (d if norm == "linf" else d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * eps), x0, norm, eps), x0, norm, eps)
    m = margin(judge, x, y)
    for i in range(queries):
        frac = 0.5 * (1 - i / queries) ** 2 + 0.02
        s = max(1, int(round(H * math.sqrt(frac))))
        r, c = int(R(1) * (H - s + 1)), int(R(1) * (W - s + 1))
        a = torch.nonzero(m > 0)[:, 0]
        if not len(a):
            break
        if i % 2:  # per image windows
            rr, cc = (R(len(a)) * (H - s + 1)).long(), (R(len(a)) * (W - s + 1)).long()
        else:
            rr, cc = torch.full((len(a),), r), torch.full((len(a),), c)
        I, J = torch.arange(H), torch.arange(W)
        mask = ((I[None] >= rr[:, None]) & (I[None] < rr[:, None] + s))[:, None, :, None] & ((J[None] >= cc[:, None]) & (J[None] < cc[:, None] + s))[:, None, None, :]
        sg = (R(len(a), 1, 1, 1) * 2 - 1).sign()
        if norm == "linf":
            xn = torch.where(mask, x0[a] + eps * sg, x[a])
        else:
            xn = x[a] + mask * sg * (eps / s) * (0.2 + R(len(a), 1, 1, 1))
        xn = to_grid(project(xn, x0[a], norm, eps), x0[a], norm, eps)
        mn = margin(judge, xn, y[a])
        up = mn < m[a]
        x[a[up]], m[a[up]] = xn[up], mn[up]
    return wrong(judge, x, y, False)


def measure(made, d, norm, eps):
    mod, rnd = made.module.eval(), made.randomised
    x, y = d.xte[:N], d.yte[:N]
    torch.manual_seed(1)
    gen = torch.Generator().manual_seed(1)
    bad = wrong(mod, x, y, rnd)
    res = {"clean": 1 - bad.float().mean().item()}
    if rnd:
        res["clean_single"] = (mod(x).argmax(1) == y).float().mean().item()
    step = 2.5 * eps / 40
    br = bad | pgd(mod, mod, x, y, norm, eps, "ce", 40, lambda t: step, gen, rnd)
    res["naive"] = 1 - br.float().mean().item()
    naive_ok = ~br

    def add(fn):
        k = torch.nonzero(~br)[:, 0]
        if len(k):
            br[k[fn(k)]] = True

    def tops(m, k, j):
        with torch.no_grad():
            z = m(x[k]).float().clone()
        z = torch.nan_to_num(z, -1e30)
        z.scatter_(1, y[k][:, None], -float("inf"))
        return z.argsort(1, descending=True)[:, j]
    const, big = (lambda t: 2.5 * eps / 100), (lambda t: eps * 0.2 * (1 - t / 100) + eps * 0.004)
    for s in range(3):
        for kind in ("margin", "ce", "targeted"):
            add(lambda k: pgd(mod, mod, x[k], y[k], norm, eps, kind, 100, const if s < 2 else big, gen, rnd,
                              target=tops(mod, k, s) if kind == "targeted" else None, check=25))
    res["plain"] = 1 - br.float().mean().item()
    for am in made.adaptive:
        S = made.samples if rnd else 1
        st = 60 if rnd else 100
        sched = lambda t: eps * 0.25 * (1 - t / st) ** 1.5 + eps * 0.003
        for s in range(3):
            for kind, j in [("margin", 0), ("ce", 0)] + [("targeted", j) for j in range(4)]:
                if rnd and kind == "targeted" and (s or j > 2):
                    continue
                add(lambda k: pgd(mod, am, x[k], y[k], norm, eps, kind, st, sched, gen, rnd, S,
                                  target=tops(am, k, j) if kind == "targeted" else None, check=20))
    if made.black_box and not rnd:
        res["gradient_adaptive"] = 1 - br.float().mean().item()
        add(lambda k: square(mod, x[k], y[k], norm, eps, 2000, gen))
    res["adaptive"] = 1 - br.float().mean().item()
    pair = (naive_ok & br).float()  # paired differences in {0,1}
    res["gap"] = pair.mean().item()
    boot = torch.Generator().manual_seed(2)
    b = pair[torch.randint(N, (4000, N), generator=boot)].mean(1)
    res["gap_low"] = b.quantile(0.025).item()
    return res


def save(row):
    path = os.path.join(HERE, "truth.json")
    with open(path + ".lock", "w") as lk:
        fcntl.flock(lk, fcntl.LOCK_EX)
        rows = json.load(open(path)) if os.path.exists(path) else []
        rows = [r for r in rows if (r["name"], r["data"], r["norm"]) != (row["name"], row["data"], row["norm"])] + [row]
        names = list(RECIPES)
        rows.sort(key=lambda r: (r["data"], names.index(r["name"]) if r["name"] in names else 99, r["norm"]))
        json.dump(rows, open(path + ".tmp", "w"), indent=1)
        os.replace(path + ".tmp", path)


def main():
    name, norms = sys.argv[1], sys.argv[2].split(",")
    d = load(name)
    for rn in sys.argv[3:] or list(RECIPES):
        r = RECIPES[rn]
        t0 = time.time()
        made = r.make(d)
        tm = time.time() - t0
        for norm in norms:
            t0 = time.time()
            eps = THREATS[name][norm]
            m = measure(made, d, norm, eps)
            if r.built == "masks":
                label = "masked" if m["gap"] > 0.10 and m["gap_low"] > 0.05 else "unclear"
            else:
                label = "honest"
            row = {"name": rn, "built": r.built, "data": name, "norm": norm, "eps": eps,
                   **{k: round(v, 4) for k, v in m.items()}, "label": label, "randomised": made.randomised}
            if label == "honest" and m["gap"] > 0.10:
                row["note"] = "weak loss"
            save(row)
            print(f"{rn:22s} {name} {norm:4s} clean {m['clean']:.3f} naive {m['naive']:.3f} plain {m['plain']:.3f} adaptive {m['adaptive']:.3f} "
                  f"(grad {m.get('gradient_adaptive', -1):.3f}) low {m['gap_low']:.3f} {label} train {tm:.0f}s measure {time.time() - t0:.0f}s", flush=True)


if __name__ == "__main__":
    main()
