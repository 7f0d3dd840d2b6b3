"""Measures the truth: python truth.py DATA recipe [recipe ...]; merges into truth.json."""
import sys, json, time, fcntl, os, copy, math
import torch, torch.nn.functional as F
torch.set_num_threads(1)
from data import load, EPS
HERE = os.path.dirname(os.path.abspath(__file__))

def bc(v, x): return v.view(-1, *([1] * (x.dim() - 1)))
def ball(x0, x, norm, eps):
    if norm == "linf":
        e = math.floor(eps * 255 + 1e-6) / 255
        return (x0 + (x - x0).clamp(-e, e)).clamp(0, 1)
    d = x - x0; n = d.flatten(1).norm(dim=1).clamp_min(1e-12)
    return (x0 + d * bc((eps / n).clamp(max=1), d)).clamp(0, 1)
def grid(x0, x, norm, eps):
    k0 = (x0 * 255).round(); k = (x * 255).round()
    if norm == "l2":
        over = bc(((k - k0).flatten(1).norm(dim=1) / 255) > eps - 1e-5, x)
        k = torch.where(over, k0 + torch.trunc((x * 255 - k0) * 0.99999), k)
    return k / 255
def start(x0, norm, eps, g):
    if norm == "linf":
        return ball(x0, x0 + (torch.rand(x0.shape, generator=g) * 2 - 1) * eps, norm, eps)
    d = torch.randn(x0.shape, generator=g)
    r = torch.rand(len(x0), generator=g) * eps
    return ball(x0, x0 + d * bc(r / d.flatten(1).norm(dim=1), d), norm, eps)
def margin(z, y):
    t = z.gather(1, y[:, None])[:, 0]
    return z.scatter(1, y[:, None], -float("inf")).max(1).values - t
def loss(z, y, kind, t):
    if kind == "ce": return F.cross_entropy(z, y, reduction="none")
    if kind == "margin": return margin(z, y)
    return z.gather(1, t[:, None])[:, 0] - z.gather(1, y[:, None])[:, 0]

class Judge:
    def __init__(s, module, rnd): s.m, s.rnd = module, rnd
    @torch.no_grad()
    def wrong(s, x, y):
        if not len(x): return torch.zeros(0, dtype=torch.bool)
        if not s.rnd: return s.m(x).argmax(1) != y
        w = sum((s.m(x).argmax(1) != y).int() for _ in range(12))
        return w > 6
    def sure(s, x, y):
        w = s.wrong(x, y)
        if s.rnd and w.any(): w[w.clone()] = s.wrong(x[w], y[w])
        return w

def grads(mod, x, y, kind, t, samples):
    xx = x.detach().clone().requires_grad_(True)
    xr = xx.repeat(samples, *([1] * (x.dim() - 1))) if samples > 1 else xx
    z = mod(xr)
    l = loss(z, y.repeat(samples), kind, t.repeat(samples) if t is not None else None)
    g, = torch.autograd.grad(l.sum(), xx, allow_unused=True)
    if g is None: g = torch.zeros_like(x)
    return torch.nan_to_num(g.float()), z.detach()

def pgd(judge, mod, x0, y, norm, eps, kind, steps, step, gen, t=None, decay=False, samples=1, offgrid=False, last=False):
    """returns bool: broken"""
    own = mod is judge.m and not judge.rnd and samples == 1 and not offgrid
    n = len(x0); br = torch.zeros(n, dtype=torch.bool); live = torch.arange(n)
    if not n: return br
    X = start(x0, norm, eps, gen)
    for i in range(steps + 1):
        x0l, yl, x = x0[live], y[live], X[live]
        q = grid(x0l, x, norm, eps)
        if not own:
            if (not judge.rnd and i % 2 == 0) or (judge.rnd and not last and i and i % 25 == 0) or i == steps:
                w = judge.sure(q, yl)
                br[live[w]] = True; live = live[~w]; x0l, yl, x, q = x0l[~w], yl[~w], x[~w], q[~w]
                if not len(live) : break
        if i == steps and not own: break
        g, z = grads(mod, x if offgrid else q, yl, kind, t[live] if t is not None else None, samples)
        if own:
            w = z.argmax(1) != yl
            br[live[w]] = True; live = live[~w]; x0l, x, g = x0l[~w], x[~w], g[~w]
            if not len(live) or i == steps: break
        a = step
        if decay:
            f = i / steps; a = step * (1 if f < .3 else .4 if f < .6 else .15 if f < .85 else .05)
        d = g.sign() if norm == "linf" else g / bc(g.flatten(1).norm(dim=1).clamp_min(1e-20), g)
        X[live] = ball(x0l, x + a * d, norm, eps)
    return br

@torch.no_grad()
def square(judge, x0, y, norm, eps, queries, gen):
    """random search in patches on the module's own answers (deterministic modules)"""
    n = len(x0); br = torch.zeros(n, dtype=torch.bool)
    if not n: return br
    R = lambda *s: torch.rand(*s, generator=gen)
    H, W = x0.shape[2:]; e = math.floor(eps * 255 + 1e-6) / 255
    live = torch.arange(n)
    if norm == "linf": X = (x0 + e * (2 * (R(n, x0.shape[1], 1, W) > .5).float() - 1)).clamp(0, 1)
    else: X = start(x0, norm, eps, gen)
    X = grid(x0, X, norm, eps); best = margin(judge.m(X).double(), y)
    for q in range(queries):
        x0l, yl, x = x0[live], y[live], X[live]
        fr = .5 * (1 - q / queries) ** 2 + .01
        h = max(1, round(math.sqrt(fr) * H)); r = int(R(1) * (H - h + 1)); c = int(R(1) * (W - h + 1))
        x = x.clone()
        s = 2 * (R(len(live), x.shape[1], 1, 1) > .5).float() - 1
        if norm == "linf":
            x[:, :, r:r + h, c:c + h] = x0l[:, :, r:r + h, c:c + h] + e * s
            x = x.clamp(0, 1)
        else:
            r2 = int(R(1) * (H - h + 1)); c2 = int(R(1) * (W - h + 1))
            x[:, :, r2:r2 + h, c2:c2 + h] = x0l[:, :, r2:r2 + h, c2:c2 + h]
            x[:, :, r:r + h, c:c + h] += s * (R(len(live), 1, 1, 1) * eps * 1.5 / h)
            x = ball(x0l, x.clamp(0, 1), norm, eps)
        x = grid(x0l, x, norm, eps)
        z = judge.m(x); m = margin(z.double(), yl); up = m >= best[live]
        X[live[up]] = x[up]; best[live[up]] = m[up]
        w = z.argmax(1) != yl
        br[live[w]] = True; live = live[~w]
        if not len(live): break
    return br

def battery(judge, mod, x, y, norm, eps, alive, gen, decay, samples, targets=3, starts=3):
    step0 = (2 * eps if decay else 2.5 * eps) / (10 if decay else 40)
    with torch.no_grad():
        z = sum(mod(x).float() for _ in range(4 if judge.rnd else 1))
        top = z.scatter(1, y[:, None], -float("inf")).topk(targets, 1).indices
    for k in ["margin", "ce"] + list(range(targets)):
        for s in range(starts):
            i = alive.nonzero()[:, 0]
            if not len(i): return
            kind = k if isinstance(k, str) else "t"
            b = pgd(judge, mod, x[i], y[i], norm, eps, kind, 100, step0, gen, t=None if kind != "t" else top[i, k],
                    decay=decay, samples=samples, offgrid=(s == 2))
            alive[i[b]] = False

def measure(D, rec, made, norm, seed=5):
    eps = EPS[D.name, norm]; x, y = D.xt[:200], D.yt[:200]
    J = Judge(made.module, made.randomised)
    torch.manual_seed(seed); gen = torch.Generator().manual_seed(seed)
    alive = ~J.wrong(x, y); clean = alive.clone(); T = [time.time()]
    i = alive.nonzero()[:, 0]
    b = pgd(J, made.module, x[i], y[i], norm, eps, "ce", 40, 2.5 * eps / 40, gen, last=made.randomised); alive[i[b]] = False
    naive = alive.clone(); T.append(time.time())
    battery(J, made.module, x, y, norm, eps, alive, gen, False, 1)
    plain = alive.clone(); T.append(time.time())
    for m in made.adaptive:
        battery(J, m, x, y, norm, eps, alive, gen, True, made.samples if made.randomised else 1, targets=4 if D.name == "digits" else 3,
                starts=3 if D.name == "digits" else 2)
    if made.black_box and not made.randomised:
        i = alive.nonzero()[:, 0]; b = square(J, x[i], y[i], norm, eps, 3000 if D.name == "digits" else 2000, gen); alive[i[b]] = False
    T.append(time.time())
    d = naive.double() - alive.double(); lo = float(d.mean() - 1.96 * d.std() / len(d) ** .5); gap = float(d.mean())
    lab = "honest" if rec.built == "no trick" else ("masked" if gap > .10 and lo > .05 else "unclear")
    f = lambda a: round(float(a.double().mean()), 4)
    r = dict(name=rec.name, built=rec.built, data=D.name, norm=norm, eps=eps, clean=f(clean), naive=f(naive), plain=f(plain), adaptive=f(alive),
             label=lab, gap_low95=round(lo, 4), randomised=made.randomised)
    if lab == "honest" and gap > .10: r["note"] = "weak loss: " + getattr(rec, "weak", "")
    print(D.name, norm, rec.name, {k: r[k] for k in ("clean", "naive", "plain", "adaptive", "label")}, [round(b - a, 1) for a, b in zip(T, T[1:])], flush=True)
    return r

def save(r):
    p = os.path.join(HERE, "truth.json")
    with open(p + ".lock", "w") as L:
        fcntl.flock(L, fcntl.LOCK_EX)
        A = json.load(open(p)) if os.path.exists(p) else []
        A = [a for a in A if (a["name"], a["data"], a["norm"]) != (r["name"], r["data"], r["norm"])] + [r]
        A.sort(key=lambda a: (a["data"], a["norm"] != "linf", a["built"], a["name"]))
        json.dump(A, open(p, "w"), indent=1)

if __name__ == "__main__":
    from recipes import RECIPES
    D = load(sys.argv[1]); names = sys.argv[2:]; norms = ["linf", "l2"]
    if names and names[0] in norms: norms = [names.pop(0)]
    for nme in names or RECIPES:
        t = time.time(); rec = RECIPES[nme]
        try:
            made = rec.make(D); made.module.eval(); copy.deepcopy(made.module)
            print(nme, "trained", round(time.time() - t, 1), "s", flush=True)
            for n in norms: save(measure(D, rec, made, n))
        except Exception as e:
            import traceback; traceback.print_exc(); print("FAILED", nme, e, flush=True)
