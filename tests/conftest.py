"""Shared fixtures: tiny data, a tiny trained network, folders that leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from robench.base.hashing import digest
from robench.core.data import Data, Split
from robench.core.threat import UsualThreat
from robench.integer import engine
from robench.plugin.registry import Registry
from robench.run import compose
from robench.run.config import Places

torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """On a new machine ART writes a file into the home as it is imported, and fails where another
    process does so at the same moment, as two workers that collect tests do."""
    home = Path.home() / ".art"
    if not hasattr(config, "workerinput") and not (home / "config.json").exists():
        home.mkdir(exist_ok=True)
        (home / "config.json").write_text(json.dumps({"ART_DATA_PATH": str(home / "data")}))


USUAL = UsualThreat({"linf": (0.05, 0.1, 0.2), "l2": (0.25, 0.5, 1.0)}, 0.2)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the developer's results, cache or data by accident, nor folds lines
    at the width of the terminal that it was started from."""
    monkeypatch.setenv("ROBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ROBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("ROBENCH_DEBUG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Equal C sources are compiled once for all tests and workers, whatever cache each test has."""
    base, compile_anew = tmp_path_factory.getbasetemp(), engine.compile_source
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "engines"
    folder.mkdir(exist_ok=True)

    def compile_source(source: str, output: Path, flags: tuple[str, ...]) -> None:
        kept = folder / digest([source, flags, engine.find_compiler()])
        if not kept.exists():
            compile_anew(source, output, flags)
            own = kept.with_suffix(f".{os.getpid()}")
            shutil.copy(output, own)
            own.replace(kept)
        shutil.copy(kept, output)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "compile_source", compile_source)
        yield


@pytest.fixture(scope="session", autouse=True)
def _stored_once() -> Iterator[None]:
    """Hydra learns the components again only where they changed, not for every command."""
    store_nodes, last = compose.store_nodes, [()]

    def store(known: Registry) -> None:
        ids = ((kind, n, id(c)) for kind, own in known.choices.items() for n, c in own.items())
        if last[0] != (now := tuple(ids)):
            store_nodes(known)
            last[0] = now

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "store_nodes", store)
        yield


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(
        results=tmp_path / "results",
        cache=tmp_path / "cache",
        data_root=tmp_path / "data",
        threads=1,
    )


@pytest.fixture
def data_root() -> Path:
    """The folder of the real data sets; the test is skipped without one."""
    root = os.environ.get("ROBENCH_DATA")
    if not root:
        pytest.skip("real data: set ROBENCH_DATA")
    return Path(root)


def blobs(count: int, seed: int, classes: int = 3) -> Split:
    """Images of 1x6x6 pixels with one bright bar per class and noise: easy, not trivial."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = 40 * torch.rand(count, 1, 6, 6, generator=rng) + 60
    for label in range(classes):
        images[labels == label, 0, 2 * label] += 90
    return Split(images.round().to(torch.uint8), labels)


@pytest.fixture
def tiny_data() -> Data:
    """Three classes of 1x6x6 images: 120 to train on, 60 to test."""
    return Data(blobs(120, 0), blobs(60, 1), ("a", "b", "c"), USUAL)


def tiny_net() -> nn.Sequential:
    """A small convolutional network for 1x6x6 images and 3 classes."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )


@pytest.fixture
def trained_net(tiny_data: Data) -> nn.Module:
    """A tiny network trained to high accuracy, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = tiny_net()
    images, labels = tiny_data.train.float_images(), tiny_data.train.labels
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return net.eval()
