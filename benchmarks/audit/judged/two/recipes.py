"""Networks, masked and honest."""
from dataclasses import dataclass, field
from typing import Callable
import copy, math
import torch, torch.nn as nn, torch.nn.functional as F
from data import Data

@dataclass
class Made:
    module: nn.Module
    adaptive: list
    randomised: bool = False
    samples: int = 1
    black_box: bool = False

@dataclass
class Recipe:
    name: str
    built: str
    idea: str
    make: Callable
    weak: str = ""

RECIPES = {}
def recipe(name, built, idea, weak=""):
    def w(f): RECIPES[name] = Recipe(name, built, idea, f, weak); return f
    return w
M, H = "masks", "no trick"

# ---------------------------------------------------------------- nets and training
def cnn(D, w=16, act=nn.ReLU):
    s = 1 if D.name == "digits" else 2
    side = D.shape[1] // s; side2 = (side + 1) // 2
    return nn.Sequential(nn.Conv2d(1, w, 3, s, 1), act(), nn.Conv2d(w, 2 * w, 3, 2, 1), act(), nn.Flatten(), nn.Linear(2 * w * side2 ** 2, 64), act(), nn.Linear(64, 10))
def mlp(D, w=96, act=nn.ReLU):
    return nn.Sequential(nn.Flatten(), nn.Linear(D.d, w), act(), nn.Linear(w, w), act(), nn.Linear(w, 10))

def bc(v, x): return v.view(-1, *([1] * (x.dim() - 1)))
def adv(net, x, y, eps, k, norm, lossf):
    if norm == "linf": a = (x + (torch.rand_like(x) * 2 - 1) * eps).clamp(0, 1)
    else: a = (x + torch.randn_like(x) * eps / x[0].numel() ** .5).clamp(0, 1)
    for _ in range(k):
        a = a.detach().requires_grad_(True)
        g, = torch.autograd.grad(lossf(net(a), y), a)
        if norm == "linf": a = x + (a.detach() + g.sign() * eps * (1.25 if k == 1 else 2 / k) - x).clamp(-eps, eps)
        else:
            a = a.detach() + g / bc(g.flatten(1).norm(dim=1) + 1e-12, g) * eps * 2 / k
            d = a - x; a = x + d * bc((eps / (d.flatten(1).norm(dim=1) + 1e-12)).clamp(max=1), d)
        a = a.clamp(0, 1)
    return a.detach()

def fit(net, D, seed, epochs=None, lr=2e-3, wd=0.0, lossf=F.cross_entropy, aug=None, y=None, at=None, n=None, bs=None, mix=0.0):
    """at=(norm, eps, steps): adversarial training"""
    dig = D.name == "digits"
    epochs = epochs or (30 if dig else 3); bs = bs or (64 if dig else 100); n = min(n or len(D.x), len(D.x))
    X, Y = D.x[:n], (D.y if y is None else y)[:n]
    opt = torch.optim.Adam(net.parameters(), lr, weight_decay=wd)
    g = torch.Generator().manual_seed(seed); total = epochs * math.ceil(n / bs); it = 0
    net.train()
    for _ in range(epochs):
        p = torch.randperm(n, generator=g)
        for i in range(0, n, bs):
            for gr in opt.param_groups: gr["lr"] = lr * min(1, 2 * (1 - it / total) + .02)
            j = p[i:i + bs]; x, t = X[j], Y[j]; it += 1
            if aug is not None: x = aug(x)
            if at is not None:
                e = at[1] * min(1, 2.5 * it / total)
                net.eval(); xa = adv(net, x, t, e, at[2], at[0], lossf); net.train()
                l = lossf(net(xa), t) + (mix * lossf(net(x), t) if mix else 0)
            else: l = lossf(net(x), t)
            opt.zero_grad(); l.backward(); opt.step()
    net.eval()
    for q in net.parameters(): q.requires_grad_(False)
    return net

def base(D, seed, kind=cnn, **k):
    torch.manual_seed(seed); return fit(kind(D), D, seed, **k)
def pca(D, k):
    X = D.x.flatten(1)[:4000]; mu = X.mean(0); U = torch.linalg.svd(X - mu, full_matrices=False)[2][:k]
    return mu, U
def light_at(D):  # mild adversarial training so that a gap is left to be measured
    return ("linf", .06, 2) if D.name == "digits" else ("linf", .08, 1)

# ================================================================ built to mask
class Borrowed(nn.Module):
    def __init__(s, f, b): super().__init__(); s.f, s.b = f, b
    def forward(s, x):
        with torch.no_grad(): v = s.f(x)
        u = s.b(x)
        return v + (u - u.detach())
@recipe("borrowed_backward", M, "values of one network computed under no_grad, derivatives of another that was trained on permuted labels")
def _(D):
    f = base(D, 1, n=6000)
    b = base(D, 2, mlp, y=(D.y * 3 + 4) % 10, n=6000)
    return Made(Borrowed(f, b), [f])

class Swap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, off): ctx.save_for_backward(off); return x.clone()
    @staticmethod
    def backward(ctx, g):
        off, = ctx.saved_tensors
        return torch.where(bc(off, g), g.flip(2).roll(2, 3), g), None
class ManifoldSwitch(nn.Module):
    def __init__(s, f, mu, U, tau):
        super().__init__(); s.f = f; s.register_buffer("mu", mu); s.register_buffer("U", U); s.tau = tau
    def off(s, x):
        with torch.no_grad():
            c = x.flatten(1) - s.mu; return (c - c @ s.U.T @ s.U).norm(dim=1)
    def forward(s, x): return s.f(Swap.apply(x, s.off(x) > s.tau))
@recipe("right_on_clean_backward", M, "the derivative is exact near the PCA manifold of clean images and spatially scrambled off it")
def _(D):
    f = base(D, 3, mlp, n=6000); mu, U = pca(D, 24 if D.name == "digits" else 60)
    m = ManifoldSwitch(f, mu, U, 0.); m.tau = float(m.off(D.x).quantile(.9 if D.name == "digits" else .8))
    return Made(m, [f])

class Honeypot(nn.Module):
    def __init__(s, f, mu, v, K): super().__init__(); s.f, s.K = f, K; s.register_buffer("mu", mu); s.register_buffer("v", v)
    def forward(s, x):
        z = s.f(x); z = z - z.mean(1, keepdim=True); z = z / (z.std(1, keepdim=True) + 1e-3)
        return z * torch.exp(1.5 - s.K * ((x.flatten(1) - s.mu) @ s.v)).clamp(1e-25, 1e25)[:, None]
@recipe("confidence_honeypot", M, "a true positive input-dependent temperature that lures every loss along a dense pattern which never changes the argmax")
def _(D):
    f = base(D, 4, n=6000, at=light_at(D))
    mu = D.x.flatten(1).mean(0); h, w = D.shape[1:]
    g = torch.Generator().manual_seed(4)
    pat = ((torch.arange(h)[:, None] + torch.arange(w)) % 2 * 2 - 1).float() * (torch.rand(h, w, generator=g) + .5)
    v = pat.flatten(); v = v / v.norm()
    return Made(Honeypot(f, mu, v, 50. if D.name == "digits" else 40.), [f], black_box=True)

class Memory(nn.Module):
    def __init__(s, X, y, beta, logs): super().__init__(); s.register_buffer("X", X.flatten(1)); s.register_buffer("Y", F.one_hot(y, 10).float()); s.beta, s.logs = beta, logs
    def forward(s, x):
        q = x.flatten(1); d = (q ** 2).sum(1, keepdim=True) - 2 * q @ s.X.T + (s.X ** 2).sum(1)
        a = -s.beta * d
        if s.logs:
            return torch.stack([torch.logsumexp(a[:, s.Y[:, c] > 0], 1) for c in range(10)], 1)
        return 12 * torch.softmax(a, 1) @ s.Y
@recipe("sharp_attention_memory", M, "an attention over stored training images so sharp that it is nearest-neighbour retrieval with vanished gradients")
def _(D):
    n = 400 if D.name == "digits" else 800
    X, y = D.x[:n], D.y[:n]; b = 400. if D.name == "digits" else 30.
    return Made(Memory(X, y, b, False), [Memory(X, y, b / 8, True), Memory(X, y, b / 60, True)], black_box=True)

class VoteFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z); return F.one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)
    @staticmethod
    def backward(ctx, g):
        z, = ctx.saved_tensors; return g * (z.abs() < .3)
class Vote(nn.Module):
    def __init__(s, nets): super().__init__(); s.nets = nn.ModuleList(nets)
    def forward(s, x):
        Z = [n(x) for n in s.nets]
        return sum(VoteFn.apply(z) for z in Z) + 1e-3 * sum(z.detach() for z in Z)
class Mean(nn.Module):
    def __init__(s, nets, scale=1.): super().__init__(); s.nets = nn.ModuleList(nets); s.scale = scale
    def forward(s, x): return s.scale * sum(torch.log_softmax(n(x), 1) for n in s.nets) / len(s.nets)
@recipe("clipped_ste_vote", M, "five members vote hard, with a clipped straight-through derivative that is open only for logits near zero")
def _(D):
    nets = [base(D, 10 + i, mlp if i % 2 else (lambda D: cnn(D, 8)), n=4000) for i in range(5)]
    return Made(Vote(nets), [Mean(nets)])

class StochBin(nn.Module):
    def __init__(s, f, ste, w=.01): super().__init__(); s.f, s.ste, s.w = f, ste, w
    def forward(s, x):
        u = torch.rand_like(x); b = (x > u).float()
        if s.ste: b = b + x - x.detach()
        else:
            r = ((x - u) / s.w + .5).clamp(0, 1); b = b + r - r.detach()
        return s.f(b)
@recipe("stochastic_binarise", M, "every pixel becomes a coin flip at each call, with a window derivative that is right on average and almost always zero")
def _(D):
    f = base(D, 6, mlp, aug=lambda x: (x > torch.rand_like(x)).float(), epochs=40 if D.name == "digits" else 4)
    w = .004 if D.name == "digits" else .002
    return Made(StochBin(f, False, w), [StochBin(f, True)], True, 16)

class Tilt(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, r): ctx.save_for_backward(r); return x.clone()
    @staticmethod
    def backward(ctx, g):
        r, = ctx.saved_tensors
        return .25 * g + g.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * r, None
class Tilted(nn.Module):
    def __init__(s, f, R): super().__init__(); s.f = f; s.register_buffer("R", R)
    def forward(s, x):
        with torch.no_grad(): c = s.f(x).argmax(1)
        return s.f(Tilt.apply(x, s.R[c]))
@recipe("tilted_backward", M, "the derivative keeps a positive cosine with the true one but is tilted by a fixed dense direction per predicted class")
def _(D):
    f = base(D, 7, n=6000)
    R = torch.randn(10, *D.shape, generator=torch.Generator().manual_seed(7)); R = R / R.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return Made(Tilted(f, R), [f])

class SoftRank(nn.Module):
    def __init__(s, f, tau): super().__init__(); s.f, s.tau = f, tau
    def forward(s, x):
        z = s.f(x); return torch.sigmoid((z[:, :, None] - z[:, None, :]) / s.tau).sum(2)
@recipe("soft_rank_head", M, "logits are replaced by their near-hard soft ranks, a true function whose useful derivatives underflow")
def _(D):
    f = base(D, 8, mlp, n=6000); return Made(SoftRank(f, .01), [f])

class AntiAdv(nn.Module):
    def __init__(s, f, k, a): super().__init__(); s.f, s.k, s.a = f, k, a
    def forward(s, x):
        with torch.enable_grad():
            u = x.detach(); c = None
            for _ in range(s.k):
                v = u.clone().requires_grad_(True); z = s.f(v)
                if c is None: c = z.argmax(1)
                l = z.gather(1, c[:, None])[:, 0] - z.scatter(1, c[:, None], -1e9).max(1).values
                g, = torch.autograd.grad(l.sum(), v); u = u + s.a * g.sign()
        return s.f(x + (u - x).detach())
@recipe("anti_adversary", M, "a detached inner loop walks the input deep into the predicted class before the logits are read, so that the loss is flat")
def _(D):
    f = base(D, 9, n=6000); return Made(AntiAdv(f, 3, .5), [f])

class Tripwire(nn.Module):
    def __init__(s, a, b, mu, U, tau):
        super().__init__(); s.a, s.b = a, b; s.register_buffer("mu", mu); s.register_buffer("U", U); s.tau = tau
    off = ManifoldSwitch.off
    def forward(s, x):
        za = s.a(x); fire = (s.off(x) > s.tau)[:, None]
        with torch.no_grad(): v = F.one_hot(s.b(x).argmax(1), 10).to(x.dtype) * 6
        u = s.a(x.roll(3, 3).flip(2)) * .05
        return torch.where(fire, v + u - u.detach(), za)
@recipe("tripwire_fallback", M, "a detector of off-manifold inputs hands them to a second network that answers with a hard label and useless derivatives")
def _(D):
    a = base(D, 20, n=5000); b = base(D, 21, mlp, n=5000); mu, U = pca(D, 24 if D.name == "digits" else 60)
    m = Tripwire(a, b, mu, U, 0.); m.tau = float(m.off(D.x).quantile(.7))
    return Made(m, [b, a, Mean([a, b])])

class Jitter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k): ctx.k = k; return x.clone()
    @staticmethod
    def backward(ctx, g):
        r = g.flatten(1).norm(dim=1).view(-1, 1, 1, 1) / g[0].numel() ** .5
        return g + ctx.k * r * torch.randn_like(g), None
class NoisyBack(nn.Module):
    def __init__(s, f, k): super().__init__(); s.f, s.k = f, k
    def forward(s, x): return s.f(Jitter.apply(x, s.k))
@recipe("noisy_backward", M, "answers are deterministic, but each derivative drowns in fresh zero-mean noise, so that it is right only on average")
def _(D):
    f = base(D, 22, mlp, n=6000); return Made(NoisyBack(f, 60.), [f])

class Ripple(nn.Module):
    def __init__(s, f, A): super().__init__(); s.f = f; s.register_buffer("A", A)
    def forward(s, x):
        return s.f(x + s.A * torch.sin(2 * math.pi * 255 * x) / (2 * math.pi * 255))
@recipe("grid_ripple", M, "a tiny sine on the input that vanishes on the 8-bit grid but gives each pixel's true derivative there an arbitrary sign and size")
def _(D):
    f = base(D, 23, n=6000); A = torch.randn(D.shape, generator=torch.Generator().manual_seed(23)) * 12
    return Made(Ripple(f, A), [f])

# ================================================================ no trick
@recipe("linear_softmax", H, "multinomial logistic regression with weight decay")
def _(D):
    torch.manual_seed(30); f = fit(nn.Sequential(nn.Flatten(), nn.Linear(D.d, 10)), D, 30, wd=1e-4, lr=5e-3)
    return Made(f, [f])

class Norm(nn.Module):
    def forward(s, x): return (x - .5) * 4
@recipe("pgd_trained_cnn", H, "a small CNN with GELU and an odd input scale, PGD-trained in Linf")
def _(D):
    torch.manual_seed(31); f = nn.Sequential(Norm(), *cnn(D, 16 if D.name == "digits" else 12, nn.GELU))
    dig = D.name == "digits"
    f = fit(f, D, 31, at=("linf", .15 if dig else .2, 4), epochs=30 if dig else 3, n=1297 if dig else 8000)
    return Made(f, [f])

class Double(nn.Module):
    def __init__(s, f): super().__init__(); s.f = f.double()
    def forward(s, x): return s.f(x.double())
@recipe("l2_trained_tanh_f64", H, "a tanh network adversarially trained in L2 with label smoothing, run in float64", "presumed (untested): one-start cross-entropy only; the margin and targeted losses with three starts on the same gradients find the rest")
def _(D):
    torch.manual_seed(32); dig = D.name == "digits"
    f = fit(mlp(D, 128, nn.Tanh), D, 32, at=("l2", .8 if dig else 2., 4), lossf=lambda z, y: F.cross_entropy(z, y, label_smoothing=.1), mix=.5, epochs=25 if dig else 4)
    m = Double(f); return Made(m, [m])

class GroupSort(nn.Module):
    def forward(s, x):
        a = x.view(x.size(0), -1, 2); return torch.cat([a.min(2).values, a.max(2).values], 1)
class Ortho(nn.Module):
    def __init__(s, i, o): super().__init__(); s.W = nn.Parameter(torch.empty(o, i)); nn.init.orthogonal_(s.W); s.b = nn.Parameter(torch.zeros(o)); s.q = None
    def weight(s):
        W = s.W / (s.W.norm(2, 0).sum() * 0 + torch.linalg.matrix_norm(s.W).detach() / min(s.W.shape) ** .5 + 1e-9)
        for _ in range(4):
            W = 1.5 * W - .5 * (W @ (W.T @ W) if W.shape[0] > W.shape[1] else (W @ W.T) @ W)
        return W
    def forward(s, x): return F.linear(x, s.weight(), s.b)
class Baked(nn.Module):
    def __init__(s, o): super().__init__(); s.l = nn.Linear(o.W.shape[1], o.W.shape[0]); s.l.weight.data = o.weight().detach().clone(); s.l.bias.data = o.b.detach().clone(); s.l.requires_grad_(False)
    def forward(s, x): return s.l(x)
@recipe("groupsort_lipschitz", H, "a near 1-Lipschitz network of orthogonalised layers and GroupSort, trained with a hinge margin; tiny logits", "margins below one leave softmax near uniform, so cross-entropy pulls toward all classes at once; the margin loss does not")
def _(D):
    torch.manual_seed(33); dig = D.name == "digits"; w = 64
    f = nn.Sequential(nn.Flatten(), Ortho(D.d, w), GroupSort(), Ortho(w, w), GroupSort(), Ortho(w, 10))
    mg = .6 if dig else 1.2
    f = fit(f, D, 33, lr=4e-3, lossf=lambda z, y: F.multi_margin_loss(z, y, margin=mg) * 10)
    g = nn.Sequential(*[Baked(l) if isinstance(l, Ortho) else l for l in f]).eval()
    return Made(g, [g])

class Proto(nn.Module):
    def __init__(s, P, per): super().__init__(); s.P = nn.Parameter(P); s.per = per; s.t = nn.Parameter(torch.tensor(1.))
    def forward(s, x):
        q = x.flatten(1); d = (q ** 2).sum(1, keepdim=True) - 2 * q @ s.P.T + (s.P ** 2).sum(1)
        return s.t * -d.view(len(x), 10, s.per).min(2).values
@recipe("prototypes", H, "nearest learnt prototype in pixel space, four per class, logits are minus squared distances")
def _(D):
    torch.manual_seed(34); per = 4
    P = torch.cat([D.x[D.y == c][:40].flatten(1).view(per, -1, D.d)[:, :10].mean(1) for c in range(10)])
    f = fit(Proto(P, per), D, 34, lr=1e-2 if D.name == "digits" else 5e-3, lossf=lambda z, y: F.cross_entropy(z, y, label_smoothing=.05))
    return Made(f, [f])

class FixedNoise(nn.Module):
    def __init__(s, f, N): super().__init__(); s.f = f; s.register_buffer("N", N)
    def forward(s, x):
        k = len(s.N); z = s.f((x[:, None] + s.N[None]).flatten(0, 1)); return torch.log_softmax(z, 1).view(len(x), k, 10).mean(1)
@recipe("fixed_noise_mean", H, "the mean log-probability over eight fixed Gaussian noise images added to the input of a noise-trained network")
def _(D):
    sg = .2 if D.name == "digits" else .3; torch.manual_seed(35)
    f = base(D, 35, mlp, aug=lambda x: x + sg * torch.randn_like(x))
    m = FixedNoise(f, sg * torch.randn(8, *D.shape, generator=torch.Generator().manual_seed(35))); return Made(m, [m])

class NoisyIn(nn.Module):
    def __init__(s, f, sg): super().__init__(); s.f, s.sg = f, sg
    def forward(s, x): return s.f(x + s.sg * torch.randn_like(x))
@recipe("gaussian_input_noise", H, "fresh mild Gaussian noise on the input of a network trained with it", "single-sample gradients of a noisy input")
def _(D):
    sg = .1; f = base(D, 36, mlp, aug=lambda x: x + sg * torch.randn_like(x)); return Made(NoisyIn(f, sg), [NoisyIn(f, sg), f], True, 6)

class DropOn(nn.Module):
    def __init__(s, f, p): super().__init__(); s.f, s.p = f, p
    def forward(s, x):
        for i, l in enumerate(s.f):
            x = l(x)
            if isinstance(l, nn.LeakyReLU): x = F.dropout(x, s.p, True)
        return x
@recipe("test_time_dropout", H, "dropout left on at test time in an adversarially trained network", "single-sample gradients under dropout")
def _(D):
    torch.manual_seed(37); dig = D.name == "digits"
    m = DropOn(mlp(D, 128, nn.LeakyReLU), .15)
    m = fit(m, D, 37, at=("linf", .1 if dig else .12, 2)); return Made(m, [m, m.f], True, 6)

@recipe("tiny_logit_ensemble", H, "the mean of four differently shaped networks with BCE, hinge and mixup-like losses, logits scaled to a thousandth", "softmax of tiny logits is near uniform, so cross-entropy pulls toward all classes at once; the margin loss on the same gradients does not")
def _(D):
    bce = lambda z, y: F.binary_cross_entropy_with_logits(z, F.one_hot(y, 10).float()) * 5
    nets = [base(D, 40, lambda D: cnn(D, 8), lossf=bce, n=5000), base(D, 41, mlp, lossf=lambda z, y: F.multi_margin_loss(z, y) * 5, n=5000),
            base(D, 42, lambda D: mlp(D, 64, nn.Tanh), lossf=lambda z, y: F.cross_entropy(z, y, label_smoothing=.2), n=5000),
            base(D, 43, lambda D: mlp(D, 64, nn.SiLU), n=5000, at=light_at(D))]
    m = Mean(nets, 1e-3); return Made(m, [m])

class Blur(nn.Module):
    def __init__(s): super().__init__(); k = torch.tensor([1., 2, 1]); s.register_buffer("k", (k[:, None] * k / 16)[None, None])
    def forward(s, x): return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), s.k)
@recipe("blur_then_fgsm_trained", H, "a fixed binomial blur in front of a network trained with hinge loss on two-step adversarial images")
def _(D):
    torch.manual_seed(44); dig = D.name == "digits"
    f = nn.Sequential(Blur(), *cnn(D, 12, nn.Softplus))
    f = fit(f, D, 44, at=("linf", .12 if dig else .15, 2), lossf=lambda z, y: F.multi_margin_loss(z, y, margin=2.) * 5, mix=.3, epochs=30 if dig else 4)
    return Made(f, [f])

class Bf16(nn.Module):
    def __init__(s, f): super().__init__(); s.f = f.to(torch.bfloat16)
    def forward(s, x): return s.f(x.to(torch.bfloat16)).float()
@recipe("bf16_distilled", H, "a small student of a wider teacher's soft labels at temperature one, trained on noisy images and run in bfloat16", "presumed (untested): one-start cross-entropy only; the margin and targeted losses with three starts on the same gradients find the rest")
def _(D):
    t = base(D, 50, lambda D: mlp(D, 128), n=5000, lossf=lambda z, y: F.cross_entropy(z, y, label_smoothing=.1))
    with torch.no_grad(): soft = F.softmax(t(D.x), 1)
    torch.manual_seed(51)
    f = fit(mlp(D, 64), D, 51, y=soft, aug=lambda x: x + .1 * torch.randn_like(x)); m = Bf16(f); return Made(m, [m])

class OneOf(nn.Module):
    def __init__(s, nets): super().__init__(); s.nets = nn.ModuleList(nets)
    def forward(s, x):
        Z = torch.stack([n(x) for n in s.nets], 1)
        return Z[torch.arange(len(x)), torch.randint(len(s.nets), (len(x),))]
@recipe("random_adv_member", H, "each call answers each image with a random one of three adversarially trained networks", "single-sample gradients of a random member")
def _(D):
    dig = D.name == "digits"; nets = []
    for i, (norm, e) in enumerate([("linf", .12 if dig else .15), ("l2", .8 if dig else 2.), ("linf", .08 if dig else .1)]):
        torch.manual_seed(60 + i); nets.append(fit(mlp(D, 96, [nn.ReLU, nn.Tanh, nn.ELU][i]), D, 60 + i, at=(norm, e, 2), n=5000))
    m = OneOf(nets); return Made(m, [m, Mean(nets)], True, 6)
