"""Two data sets on the 8-bit grid, fixed splits."""
import dataclasses, functools, os
import numpy as np, torch

THREATS = {"digits": {"linf": 0.15, "l2": 0.8}, "mnist": {"linf": 0.2, "l2": 2.0}}


@dataclasses.dataclass
class Data:
    name: str
    xtr: torch.Tensor
    ytr: torch.Tensor
    xte: torch.Tensor
    yte: torch.Tensor
    seed: int = 0

    test_images = property(lambda self: self.xte)
    test_labels = property(lambda self: self.yte)

    @property
    def side(self):
        return self.xtr.shape[-1]

    @property
    def dim(self):
        return self.side * self.side


def _grid(a):
    return torch.from_numpy((np.round(a * 255) / 255).astype("float32"))


@functools.lru_cache(None)
def load(name, seed=0):
    if name == "digits":
        from sklearn.datasets import load_digits
        d = load_digits()
        x = _grid(d.images[:, None] / 16.0)
        y = torch.from_numpy(d.target.astype("int64"))
        p = torch.from_numpy(np.random.RandomState(7).permutation(len(x)))
        x, y = x[p], y[p]
        return Data(name, x[:1297], y[:1297], x[1297:], y[1297:], seed)
    raw = os.path.join(os.environ.get("ROBENCH_DATA", "data"), "MNIST", "raw")

    def images(f):
        b = np.fromfile(os.path.join(raw, f), dtype=np.uint8)[16:]
        return b.reshape(-1, 1, 28, 28)

    def labels(f):
        return torch.from_numpy(np.fromfile(os.path.join(raw, f), dtype=np.uint8)[8:].astype("int64"))
    xtr, ytr = images("train-images-idx3-ubyte"), labels("train-labels-idx1-ubyte")
    xte, yte = images("t10k-images-idx3-ubyte"), labels("t10k-labels-idx1-ubyte")
    r = np.random.RandomState(7)
    p, q = r.permutation(len(xtr))[:12000], r.permutation(len(xte))[:1000]
    return Data(name, _grid(xtr[p] / 255.0), ytr[torch.from_numpy(p)], _grid(xte[q] / 255.0), yte[torch.from_numpy(q)], seed)
