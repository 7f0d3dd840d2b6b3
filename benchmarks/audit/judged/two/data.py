"""The two data sets, every image on the 8-bit grid."""
import os
from dataclasses import dataclass
import numpy as np, torch

@dataclass
class Data:
    name: str
    x: torch.Tensor      # train
    y: torch.Tensor
    xt: torch.Tensor     # test
    yt: torch.Tensor
    test_images = property(lambda self: self.xt)
    test_labels = property(lambda self: self.yt)
    @property
    def shape(self): return tuple(self.x.shape[1:])
    @property
    def d(self): return int(np.prod(self.shape))

EPS = {("digits", "linf"): 0.15, ("digits", "l2"): 0.8, ("mnist", "linf"): 0.2, ("mnist", "l2"): 2.0}

def _idx(p):
    b = open(p, "rb").read(); n = b[3]
    dims = [int.from_bytes(b[4 + 4 * i:8 + 4 * i], "big") for i in range(n)]
    return np.frombuffer(b, np.uint8, offset=4 + 4 * n).reshape(dims)

def load(name):
    if name == "digits":
        from sklearn.datasets import load_digits
        D = load_digits()
        x = np.round(D.images / 16 * 255).astype(np.float32)[:, None] / np.float32(255); y = D.target
        p = np.random.RandomState(11).permutation(len(x)); a, b = p[:1297], p[1297:]
        f = lambda i: (torch.tensor(x[i]), torch.tensor(y[i]).long())
        return Data(name, *f(a), *f(b))
    r = os.environ.get("ROBENCH_DATA", "data") + "/MNIST/raw/"
    X, Y = _idx(r + "train-images-idx3-ubyte"), _idx(r + "train-labels-idx1-ubyte")
    T, U = _idx(r + "t10k-images-idx3-ubyte"), _idx(r + "t10k-labels-idx1-ubyte")
    a = np.random.RandomState(12).permutation(len(X))[:10000]; b = np.random.RandomState(13).permutation(len(T))[:500]
    f = lambda X, Y, i: (torch.tensor(X[i].astype(np.float32)[:, None] / np.float32(255)), torch.tensor(Y[i].astype(np.int64)))
    return Data(name, *f(X, Y, a), *f(T, U, b))
