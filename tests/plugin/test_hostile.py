"""Components that are clumsy or hostile: what each does stays its own, and is said by its name."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import robench
from robench.base.errors import InternalError
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.plugin import guest, process
from robench.plugin.registry import registry
from robench.plugin.scenario import Scenario
from robench.run import attacks, evaluate, keys
from robench.run.config import Places
from robench.training.recipe import TrainConfig

EPS = 0.1


@pytest.fixture(scope="module")
def digits() -> robench.Data:
    """A few digits."""
    data = registry().get("dataset", "digits").make().load(Path())  # type: ignore[attr-defined]
    train, test = (s.take(torch.arange(n)) for s, n in ((data.train, 300), (data.test, 40)))
    return robench.Data(train, test, data.classes, data.threat)


@pytest.fixture(scope="module")
def network(digits: robench.Data) -> nn.Module:
    """A small network, trained on them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten())
        net.append(nn.Linear(8 * digits.test.images[0].numel(), 10))
    images, labels = digits.train.float_images(), digits.train.labels
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(25):
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return net.eval()


@pytest.fixture(scope="module")
def honest(
    digits: robench.Data, network: nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> robench.Record:
    """The record that nobody interfered with."""
    return evaluated(digits, network, places_in(tmp_path_factory.mktemp("honest")))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test hears everything, and none reads the code of this long file for its keys."""
    guest._SAID.clear()
    monkeypatch.setattr(keys, "_code", lambda component, distribution: {})


def places_in(folder: Path) -> Places:
    return Places(results=folder / "results", cache=folder / "cache", threads=1)


def evaluated(data: Any, model: Any, places: Places, **given: Any) -> robench.Record:
    fgsm = registry().get("attack", "fgsm").make(eps=EPS)
    rows = {**given.pop("attack", {}), "fgsm": fgsm}
    parts = {"attack": rows, "audit": "off", "images": 30, **given}
    return robench.evaluate(model, data, places=places, **parts)


def numbers(record: robench.Record, attack: str = "fgsm") -> tuple[Any, ...]:
    """What nobody may move: accuracy, and that of the honest row."""
    return (
        record.get("clean_accuracy"),
        record.get("robust_accuracy", attack=attack),
        record.get("audited_accuracy"),
    )


# -- attacks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Hostile(robench.Attack):
    """An attack that does what its name in a table says, ten images at once."""

    batch = 10

    does: str = ""
    listed: list[int] = field(default_factory=lambda: [1])
    memory: ClassVar[list[float]] = []

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        sent = SimpleNamespace(twin=twin, labels=labels, threat=threat, rng=rng, attack=self)
        return {**INVALID, **HARMLESS, **STATE}[self.does][0](images, sent)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Liar(torch.Tensor):
    """Says of itself whatever is asked for."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return torch.Size([10, 1, 8, 8])
        return torch.ones(10, dtype=torch.bool)


class Wrapped(torch.Tensor):
    """Answers every operation, copying included, with nothing."""

    @staticmethod
    def __new__(cls, of: Tensor) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, of.shape, dtype=of.dtype)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if args else None


def fail(error: BaseException) -> Callable[..., Any]:
    def act(images: Tensor, sent: Any) -> Any:
        raise error

    return act


def deep(images: Tensor, sent: Any) -> Any:
    return deep(images, sent)


def quantized(images: Tensor, sent: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that they will go
        return torch.quantize_per_tensor(images, 0.1, 0, torch.quint8)


def edits_options(images: Tensor, sent: Any) -> Any:
    sent.attack.listed.append(2)
    return images


INVALID: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (fail(ValueError("two\nlines \x1b[2J")), r"^ValueError: two lines \\u001b\[2J$"),
    "raises without text": (fail(Silent()), r"^Silent: no words$"),
    "exits": (lambda x, s: sys.exit(0), "^SystemExit: 0; .* may not end the process$"),
    "exits in silence": (fail(SystemExit()), "^SystemExit"),
    "interrupts": (fail(KeyboardInterrupt()), "^KeyboardInterrupt"),
    "generator exit": (fail(GeneratorExit()), "^GeneratorExit"),
    "base exception": (fail(BaseException("bare")), "^BaseException: bare"),
    "recursion": (deep, "^RecursionError"),
    "no memory": (fail(MemoryError("much")), "^MemoryError: much"),
    "stops": (fail(StopIteration()), "^StopIteration"),
    "nothing": (lambda x, s: None, "shape .* got NoneType"),
    "numpy": (lambda x, s: x.numpy(), "got ndarray"),
    "list": (lambda x, s: [x], "got list"),
    "one image": (lambda x, s: x[:1], r"got \(1, 1, 8, 8\)"),
    "flat": (lambda x, s: x.flatten(1), r"got \(10, 64\)"),
    "nan": (lambda x, s: x * float("nan"), "finite candidates"),
    "infinite": (lambda x, s: x / 0, "finite candidates"),
    "overflow": (lambda x, s: x.double() + 1e300, "finite candidates"),
    "bytes": (lambda x, s: (x * 255).byte(), "floating numbers, got torch.uint8"),
    "booleans": (lambda x, s: x > 0.5, "floating numbers, got torch.bool"),
    "complex": (lambda x, s: x + 1j, "floating numbers, got torch.complex64"),
    "meta": (lambda x, s: x.to("meta"), "a tensor on meta"),
    "sparse": (lambda x, s: x.to_sparse(), "dense, got the layout torch.sparse_coo"),
    "nested": (lambda x, s: torch.nested.as_nested_tensor(list(x)), "dense|nested"),
    "quantized": (
        quantized,
        "floating numbers, got torch.quint8",
    ),
    "lies": (lambda x, s: torch.zeros(3).as_subclass(Liar), r"got \(3,\)"),
    "wrapped": (lambda x, s: Wrapped(x), "finite candidates|Error"),
    "mock": (lambda x, s: Mock(spec=torch.Tensor), "Error|candidates"),
    "edits its options": (edits_options, "options to stay as they were, got others for listed"),
}


@pytest.mark.parametrize("does", INVALID)
def test_a_row_whose_attack_fails_is_invalid_and_says_why(
    does: str,
    digits: robench.Data,
    network: nn.Module,
    honest: robench.Record,
    tmp_path: Path,
) -> None:
    rows = {"hostile": Hostile(does=does, eps=EPS)}
    record = evaluated(digits, network, places_in(tmp_path), attack=rows)
    row = record.rows[0]
    assert row.status == "invalid"
    assert re.search(INVALID[does][1], row.message), row.message
    assert record.config["attack"]["hostile"]["listed"] == [1]
    assert numbers(record) == numbers(honest)


def zero_weights(images: Tensor, sent: Any) -> Any:
    with torch.no_grad():
        for parameter in sent.twin.parameters():
            parameter.zero_()
    return images


def hook(images: Tensor, sent: Any) -> Any:
    sent.twin.register_forward_hook(lambda module, given, logits: -logits)
    return images


def trains(images: Tensor, sent: Any) -> Any:
    sent.twin.train().requires_grad_(True)
    sent.twin(images).sum().backward()
    return images


def widen(images: Tensor, sent: Any) -> Any:
    object.__setattr__(sent.threat, "eps", 1.0)
    object.__setattr__(sent.threat, "grid", False)
    return 1 - images


_BUFFER = torch.zeros(10, 1, 8, 8)


def reuses(images: Tensor, sent: Any) -> Any:
    """One buffer for all batches, spoilt after it was returned."""
    _BUFFER.copy_(images)
    return _BUFFER


def spoils(images: Tensor, sent: Any) -> Any:
    sent.labels.fill_(0)
    return images.fill_(float("inf")).zero_().add_(1)


HARMLESS: dict[str, tuple[Callable[..., Any], bool]] = {
    "spoils what it got": (spoils, False),
    "zeroes the twin": (zero_weights, True),
    "hooks the twin": (hook, True),
    "trains the twin": (trains, True),
    "freezes the twin": (lambda x, s: s.twin.requires_grad_(False) and x, True),
    "widens the threat": (widen, False),
    "reuses a buffer": (reuses, True),
    "returns a view": (lambda x, s: x[:, :, :1, :1].expand_as(x), False),
    "returns a parameter": (lambda x, s: nn.Parameter(x), True),
    "returns doubles": (lambda x, s: x.double(), True),
    "far outside": (lambda x, s: x + 1e38, False),
    "draws from numpy": (lambda x, s: x + float(np.random.rand()) * 0, True),
}
"""What it does, and whether its candidates are the clean images."""


@pytest.mark.parametrize("does", HARMLESS)
def test_what_an_attack_does_to_what_it_got_moves_no_number(
    does: str,
    digits: robench.Data,
    network: nn.Module,
    honest: robench.Record,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = {"hostile": Hostile(does=does, eps=EPS)}
    record = evaluated(digits, network, places_in(tmp_path), attack=rows)
    assert [row.status for row in record.rows] == ["ok", "ok"]
    assert [row.eps for row in record.rows] == [EPS, EPS]
    assert numbers(record) == numbers(honest)
    if HARMLESS[does][1]:
        own = record.find("robust_accuracy", attack="hostile")
        clean = record.find("clean_accuracy")
        assert own is not None
        assert clean is not None
        assert own.value == clean.value
    assert "was put back" not in capsys.readouterr().err


class Zeros(TorchFunctionMode):
    """Names the first class whatever is asked."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") == "argmax":
            return torch.zeros(len(args[0]), dtype=torch.int64)
        return func(*args, **(kwargs or {}))


class Halves(TorchDispatchMode):
    """Halves what a convolution answers."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        return found / 2 if func is torch.ops.aten.convolution.default else found


_ENTERED: list[Any] = []


def _kept(guard: Any) -> None:
    guard.__enter__()
    _ENTERED.append(guard)


def then(act: Callable[[], object]) -> Callable[..., Any]:
    def run(images: Tensor, sent: Any) -> Any:
        act()
        return images

    return run


STATE: dict[str, tuple[Callable[..., Any], str]] = {
    "default dtype": (
        then(lambda: torch.set_default_dtype(torch.float64)),
        "torch's default dtype",
    ),
    "default device": (then(lambda: torch.set_default_device("meta")), "torch's default device"),
    "grad mode": (then(lambda: torch.set_grad_enabled(False)), "grad mode"),
    "deterministic": (
        then(lambda: torch.use_deterministic_algorithms(True)),
        "deterministic algorithms",
    ),
    "cudnn": (
        then(lambda: setattr(torch.backends.cudnn, "benchmark", True)),
        "flags of torch's backends",
    ),
    "autocast": (then(lambda: torch.set_autocast_enabled("cpu", True)), "autocast"),
    "threads": (then(lambda: torch.set_num_threads(2)), "torch's number of threads"),
    "denormals": (then(lambda: torch.set_flush_denormal(True)), "denormal numbers"),
    "anomaly": (then(lambda: torch.autograd.set_detect_anomaly(True)), "anomaly mode"),
    "global hook": (
        then(
            lambda: nn.modules.module.register_module_forward_hook(
                lambda m, x, y: torch.flip(y, (0,))
            )
        ),
        "torch's hooks of all modules",
    ),
    "environment": (then(lambda: os.environ.update(HOME="/x", OMP_NEW="1")), "os.environ"),
    "unset environment": (then(os.environ.clear), "os.environ"),
    "folder": (then(lambda: os.chdir("/")), "the working directory"),
    "stdout": (then(lambda: setattr(sys, "stdout", None)), "sys.stdout, sys.stderr or sys.stdin"),
    "stderr": (then(lambda: setattr(sys, "stderr", None)), "sys.stdout, sys.stderr or sys.stdin"),
    "handler": (
        then(lambda: signal.signal(signal.SIGTERM, lambda number, frame: None)),
        "the handler of SIGTERM",
    ),
    "errstate": (then(lambda: np.seterr(all="raise")), "numpy's errstate"),
    "warnings": (then(lambda: warnings.simplefilter("error")), "filters of warnings"),
    "function mode": (then(lambda: Zeros().__enter__()), "torch's function modes"),
    "dispatch mode": (then(lambda: Halves().__enter__()), "torch's dispatch modes"),
    "tensor hooks": (
        then(lambda: saved_tensors_hooks(lambda x: x * 0, lambda x: x).__enter__()),
        "torch's hooks on saved tensors",
    ),
    "inference": (then(lambda: _kept(torch._C._InferenceMode(True))), "inference mode"),
    "precision": (
        then(lambda: setattr(torch.backends, "fp32_precision", "bf16")),
        "flags of torch's backends",
    ),
    "umask": (then(lambda: os.umask(0o777)), "the umask"),
    "limit of recursion": (
        then(lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 7)),
        "python's limit of recursion",
    ),
    "class": (then(lambda: Hostile.memory.append(0.5)), "Hostile.memory"),
    "class attribute": (then(lambda: setattr(Hostile, "batch", 3)), "Hostile.batch"),
}


@pytest.mark.parametrize("does", STATE)
def test_the_state_of_the_process_is_put_back_and_said_once(
    does: str,
    digits: robench.Data,
    network: nn.Module,
    honest: robench.Record,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [part.get() for part in process.PARTS]
    handler = signal.getsignal(signal.SIGTERM)
    rows = {"hostile": Hostile(does=does, eps=EPS)}
    record = evaluated(digits, network, places_in(tmp_path), attack=rows)
    assert [part.get() for part in process.PARTS] == before
    assert signal.getsignal(signal.SIGTERM) == handler
    said = [line for line in capsys.readouterr().err.splitlines() if "put back" in line]
    assert said == [f"robench: Hostile changed {STATE[does][1]}; it was put back"]
    assert record.rows[0].status == "ok"
    assert numbers(record) == numbers(honest)


@pytest.mark.parametrize("operator", ["argmax", "special_erf"])
def test_a_change_that_cannot_be_put_back_ends_every_run_of_the_process(
    operator: str,
    digits: robench.Data,
    network: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libraries: list[Any] = []

    def replace(images: Tensor, sent: Any) -> Tensor:
        libraries.append(torch.library.Library("aten", "IMPL"))
        libraries[0].impl(operator, lambda x, *more: torch.zeros(len(x), dtype=torch.int64), "CPU")
        return images

    monkeypatch.setitem(STATE, "library", (replace, ""))
    rows = {"hostile": Hostile(does="library", eps=EPS)}
    # Torch 2.9 does not list it: there what it computes tells.
    what = "(torch's operators|what torch computes)"
    words = f"^Hostile changed .*{what}.*, which cannot be put back: nothing of it is"
    try:
        with pytest.raises(robench.PluginError, match=words):
            evaluated(digits, network, places_in(tmp_path), attack=rows)
        libraries[0]._destroy()
        assert not list(tmp_path.glob("cache/attack/*/manifest.json"))
        assert not (tmp_path / "results").exists()
        with pytest.raises(robench.PluginError, match=words):
            evaluated(digits, network, places_in(tmp_path))
    finally:
        libraries[0]._destroy()
        guest._LOST.clear()


def test_operators_that_a_module_of_torch_registers_late_are_no_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, library = process.ProcessState(), torch.library.Library("aten", "IMPL")
    try:
        library.impl("special_erf", lambda x: x, "CPU")
        with monkeypatch.context() as late:
            late.setattr(torch.library, "_late", library, raising=False)
            state.put_back()
            assert state.lost == []
        process._OPERATORS = (0, frozenset())
        state.put_back()
        assert state.lost == ["torch's operators"]
    finally:
        library._destroy()


@pytest.mark.slow
def test_an_attack_may_be_the_first_to_map_a_function() -> None:
    script = """
import torch
from robench.plugin import guest

def run():
    return torch.func.vmap(lambda one: 2 * one)(torch.ones(3))

known = len(torch.library._impls)
for _ in range(2):
    assert guest.call("an attack", run).sum() == 6
assert len(torch.library._impls) > known, "torch registers nothing late any more"
print(guest._LOST)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_closed_streams_are_opened_again() -> None:
    script = """
import os, sys
from robench.plugin import guest
guest.call("it", lambda: (sys.stdout.close(), sys.stderr.close()))
print("said")
try:
    guest.call("it", os.close, 1)
except Exception as error:
    print(error, file=sys.stderr)
    os._exit(3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout == "said\n"
    first, second = done.stderr.splitlines()
    assert first == (
        "robench: it changed whether sys.stdout and sys.stderr are open; it was put back"
    )
    assert second.startswith("it changed the files behind input, output and errors, which cannot")


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: random.seed(1), "python's global generator"),
        (lambda: np.random.seed(1), "numpy's global generator"),
        (lambda: torch.manual_seed(1), "torch's global generator"),
    ],
)
def test_generators_are_put_back_outside_a_seed_scope(
    draw: Callable[[], object], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    guest.call("it", draw)
    before = [part.get() for part in process.GENERATORS]
    capsys.readouterr()
    guest._SAID.clear()
    random.random(), np.random.rand(), torch.rand(())
    states = [part.get() for part in process.GENERATORS]
    assert states != before
    guest.call("it", draw)
    assert [part.get() for part in process.GENERATORS] == states
    assert capsys.readouterr().err == f"robench: it changed {name}; it was put back\n"


def test_robenchs_own_components_leave_the_process_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = {name: registry().get("attack", name).make() for name in ("pgd", "normal_noise")}
    parts = {"compressor": "ptq", "defense": "adversarial_training", "audit": "quick"}
    train = TrainConfig(epochs=1)
    evaluated("digits", "small_cnn", places_in(tmp_path), attack=attack, train=train, **parts)
    assert "put back" not in capsys.readouterr().err


def test_two_metrics_of_one_class_may_share_their_names(
    digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    metric = {"one": Gauge(act=lambda e: [value()]), "two": Gauge(act=lambda e: [value()])}
    record = evaluated(digits, network, places_in(tmp_path), metric=metric)
    assert [v.metric for v in record.values] == ["own", "own"]


def test_a_users_error_of_an_attack_names_it(
    digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Refuses(Hostile):
        def run(self, *given: Any) -> Any:
            raise robench.ConfigError("expected something else")

    with pytest.raises(robench.ConfigError, match=r"Refuses: expected something else"):
        evaluated(digits, network, places_in(tmp_path), attack={"refuses": Refuses()})


# -- signals ---------------------------------------------------------------------------------------


def send(number: int, swallow: bool) -> Callable[..., Any]:
    def run(images: Tensor, sent: Any) -> Any:
        try:
            os.kill(os.getpid(), number)
            for _ in range(1000):
                pass
        except BaseException:
            if not swallow:
                raise
        return images

    return run


@pytest.fixture
def handled() -> Iterator[Callable[[int, Any], None]]:
    """Set handlers that are put back afterwards."""
    before: dict[int, Any] = {}

    def set_handler(number: int, handler: Any) -> None:
        before[number] = signal.signal(number, handler)

    yield set_handler
    for number, handler in before.items():
        signal.signal(number, handler)


def raiser(error: BaseException) -> Callable[..., None]:
    def handle(number: int, frame: Any) -> None:
        raise error

    return handle


@pytest.mark.parametrize("swallow", [False, True], ids=["passed on", "swallowed"])
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGINT, None),
        (signal.SIGTERM, SystemExit(143)),
        (signal.SIGUSR1, TimeoutError("time is up")),
        (signal.SIGUSR2, KeyboardInterrupt()),
        (signal.SIGALRM, TimeoutError("alarm")),
    ],
)
def test_a_signal_ends_the_run_and_is_no_attacks_failure(
    number: int,
    error: BaseException | None,
    swallow: bool,
    handled: Callable[[int, Any], None],
    digits: robench.Data,
    network: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handled(number, signal.default_int_handler if error is None else raiser(error))
    monkeypatch.setitem(INVALID, "signal", (send(number, swallow), ""))
    kind = KeyboardInterrupt if error is None else type(error)
    rows = {"hostile": Hostile(does="signal", eps=EPS)}
    with pytest.raises(kind) as raised:
        evaluated(digits, network, places_in(tmp_path), attack=rows)
    assert error is None or raised.value is error
    assert not list((tmp_path / "results").glob("*/record.json"))


def test_a_signal_whose_handler_returns_changes_nothing(
    handled: Callable[[int, Any], None],
    digits: robench.Data,
    network: nn.Module,
    honest: robench.Record,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived: list[int] = []
    handled(signal.SIGUSR1, lambda number, frame: arrived.append(number))
    monkeypatch.setitem(INVALID, "signal", (send(signal.SIGUSR1, swallow=False), ""))
    rows = {"hostile": Hostile(does="signal", eps=EPS)}
    record = evaluated(digits, network, places_in(tmp_path), attack=rows)
    assert arrived == [signal.SIGUSR1] * 3, "one a batch"
    assert [row.status for row in record.rows] == ["ok", "ok"]
    assert numbers(record) == numbers(honest)


# -- other kinds -----------------------------------------------------------------------------------


class Answering(FloatDeployed):
    """A deployed model whose answer is what a function makes of the right one."""

    def __init__(self, model: nn.Module, change: Callable[..., Any]) -> None:
        super().__init__(model)
        self.change = change

    def predict(self, images: Tensor) -> Any:  # type: ignore[override]
        """Changed labels."""
        labels = super().predict(images)
        return self.change(labels, images)


class Stuck(nn.Module):
    """A network that refuses to be copied."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle 'Session' object")

    def forward(self, images: Tensor) -> Any:
        """The network's answer."""
        return self.net(images)


@dataclass(frozen=True, kw_only=True)
class Squeeze(robench.Compressor):
    """A compressor that does what its name in a table says."""

    does: str = ""

    def finish(self, model: nn.Module, data: robench.Data) -> Any:
        """A system, more or less."""
        return FINISH[self.does][0](model, data)


def answering(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda model, data: System(Answering(model, change), model)


def blanks(model: nn.Module, data: robench.Data) -> Any:
    for split in (data.train, data.test):
        split.images.zero_()
        split.labels.zero_()
    return System(FloatDeployed(model), model)


def blanks_images(labels: Tensor, images: Tensor) -> Tensor:
    images.zero_()
    return labels


FINISH: dict[str, tuple[Callable[..., Any], str]] = {
    "a tuple": (lambda m, d: (m, m), "finish of Squeeze to return a System, got tuple"),
    "no twin": (lambda m, d: System(FloatDeployed(m), None), "to return a Module, got NoneType"),  # type: ignore[arg-type]
    "raises": (fail(KeyError("k")), "Squeeze failed: KeyError: 'k'"),
    "exits": (fail(SystemExit(0)), "Squeeze failed: SystemExit: 0"),
    "floats": (answering(lambda y, x: y.float()), "Squeeze.*int64 labels, got torch.float32"),
    "short": (answering(lambda y, x: y[1:]), r"30 int64 labels, got torch.int64 \(29,\)"),
    "numpy": (answering(lambda y, x: y.numpy()), "int64 labels, got ndarray"),
    "other labels": (answering(lambda y, x: y + 90), r"labels from 0\.\.9, or -1 to abstain"),
    "negative": (answering(lambda y, x: y - 90), r"labels from 0\.\.9, or -1 to abstain"),
    "predict exits": (answering(lambda y, x: sys.exit(1)), "Squeeze failed: SystemExit: 1"),
    "stuck": (
        lambda m, d: System(FloatDeployed(m), Stuck(m)),
        "cannot pickle 'Session' object; give the layer that refuses a __deepcopy__",
    ),
}


@pytest.mark.parametrize("does", FINISH)
def test_a_compressor_that_breaks_its_contract_is_named(
    does: str, digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(robench.PluginError, match=FINISH[does][1]):
        evaluated(digits, network, places_in(tmp_path), compressor=Squeeze(does=does))


@pytest.mark.parametrize("make", [blanks, answering(blanks_images)], ids=["data", "images"])
def test_a_compressor_that_spoils_data_moves_no_number(
    make: Any,
    digits: robench.Data,
    network: nn.Module,
    honest: robench.Record,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FINISH, "spoils", (make, ""))
    record = evaluated(digits, network, places_in(tmp_path), compressor=Squeeze(does="spoils"))
    assert numbers(record) == numbers(honest)


@dataclass(frozen=True, kw_only=True)
class Ward(robench.Defense):
    """A defense whose steps do what it was given."""

    step: str = ""
    act: Any = field(default=None, metadata={"plain": False})

    def transform(self, model: nn.Module) -> Any:
        """Acts when told to."""
        return self.act(model) if self.step == "transform" else model

    def deploy(self, system: System, context: robench.DeployContext) -> Any:
        """Acts when told to."""
        return self.act(system, context) if self.step == "deploy" else system

    def adapt(self, compressor: robench.Compressor) -> Any:
        """Acts when told to."""
        return self.act(compressor) if self.step == "adapt" else compressor


def exits(*given: Any) -> None:
    sys.exit(3)


@pytest.mark.parametrize(
    ("step", "act", "words"),
    [
        ("transform", lambda m: None, "transform of Ward to return a Module, got NoneType"),
        ("transform", exits, "Ward failed: SystemExit: 3"),
        ("deploy", lambda s, c: s.twin, "deploy of Ward to return a System, got"),
        ("deploy", exits, "Ward failed: SystemExit: 3"),
        ("adapt", lambda c: None, "adapt of Ward to return a Compressor, got NoneType"),
    ],
)
def test_a_defense_that_breaks_its_contract_is_named(
    step: str, act: Any, words: str, digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(robench.PluginError, match=words):
        evaluated(digits, network, places_in(tmp_path), defense=Ward(step=step, act=act))


def test_a_defense_that_keeps_and_spoils_the_data_moves_no_number(
    digits: robench.Data, network: nn.Module, honest: robench.Record, tmp_path: Path
) -> None:
    kept: list[robench.Data] = []

    def keep(system: System, context: robench.DeployContext) -> System:
        kept.append(context.data)
        context.data.threat.levels.clear()  # type: ignore[attr-defined]

        def spoil(labels: Tensor, images: Tensor) -> Tensor:
            kept[0].test.images.zero_()
            kept[0].test.labels.zero_()
            return labels

        return System(Answering(system.twin, spoil), system.twin)

    ward = Ward(step="deploy", act=keep)
    record = evaluated(digits, network, places_in(tmp_path), defense=ward)
    assert kept
    assert numbers(record) == numbers(honest)


def test_a_transform_in_place_leaves_the_trained_network_alone(
    digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    def zero(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return model

    seen: list[bool] = []

    @dataclass(frozen=True, kw_only=True)
    class Peeks(robench.Metric):
        def measure(self, evidence: robench.Evidence) -> Any:
            seen.append(all(bool(p.any()) for p in evidence.trained.parameters()))
            seen.append(any(bool(p.any()) for p in evidence.mapped.parameters()))
            return ()

    ward = Ward(step="transform", act=zero)
    evaluated(digits, network, places_in(tmp_path), defense=ward, metric=Peeks())
    assert seen == [True, False]


@dataclass(frozen=True, kw_only=True)
class Pictures(robench.Dataset):
    """A data set that loads what it was given."""

    act: Any = field(default=None, metadata={"plain": False})

    def load(self, root: Path) -> Any:
        """Whatever that is."""
        return self.act()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: None, "Pictures: expected load to return a Data, got NoneType"),
        (lambda: sys.exit("bye"), "Pictures failed: SystemExit: bye"),
        (lambda: 1 / 0, "Pictures failed: ZeroDivisionError"),
    ],
)
def test_a_data_set_that_breaks_its_contract_is_named(
    act: Any, words: str, network: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(robench.PluginError, match=words):
        evaluated(Pictures(act=act), network, places_in(tmp_path))


def test_data_is_named_by_its_pixels_not_by_the_name_it_came_with(
    digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    named = robench.Data(digits.train, digits.test, digits.classes, digits.threat, hash="same")
    record = evaluated(Pictures(act=lambda: named), network, places_in(tmp_path))
    assert record.data.hash == digits.hash


# -- metrics and checks ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Gauge(robench.Metric):
    """A metric that measures what it was given."""

    act: Any = field(default=None, metadata={"plain": False})

    def measure(self, evidence: robench.Evidence) -> Any:
        """Whatever that is."""
        return self.act(evidence)


def value(name: str = "own", **given: Any) -> robench.Value:
    return robench.Value(metric=name, **{"value": 1.0, **given})


def forge(evidence: Any) -> Any:
    evidence.outcomes.rows[-1].right[:] = True
    return ()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda e: sys.exit(0), "Gauge failed: SystemExit: 0"),
        (lambda e: [1.0], "values of Gauge: expected a Value, got float"),
        (lambda e: None, "expected Gauge to yield what it finds, got NoneType"),
        (
            lambda e: [robench.Value.model_construct(metric="own", value=float("nan"))],
            "values of Gauge: .*finite number",
        ),
        (lambda e: [value("clean_accuracy")], "names of their own, got 'clean_accuracy'"),
        (lambda e: [value("audited_accuracy")], "names of their own, got 'audited_accuracy'"),
        (lambda e: [value("Clean-Accuracy")], "names of their own, got 'Clean-Accuracy'"),
        (lambda e: [value("headline")], "names of their own, got 'headline'"),
        (forge, "Gauge failed: ValueError: .*read-only"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_named(
    act: Any, words: str, digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    metrics = ["accuracy", Gauge(act=act)]
    with pytest.raises(robench.PluginError, match=words):
        evaluated(digits, network, places_in(tmp_path), metric=metrics)


def ruin(evidence: Any) -> Any:
    for network in (evidence.system.twin, evidence.trained, evidence.system.deployed.model):
        network.register_forward_hook(lambda module, given, logits: -logits)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
    for split in (evidence.test, evidence.data.test):
        split.images.zero_()
    for _, examples in evidence.examples:
        examples.images.zero_()
    evidence.tables["audit"] = {"a": [1]}
    evidence.tables.pop("audit")
    evidence.numbers[:] = 0
    return [value()]


def test_a_metric_that_ruins_its_evidence_leaves_audit_and_record_alone(
    digits: robench.Data, network: nn.Module, tmp_path: Path
) -> None:
    plain, ruined = (places_in(tmp_path / name) for name in ("plain", "ruined"))
    expected = evaluated(digits, network, plain, audit="quick")
    metrics = [Gauge(act=ruin), "accuracy"]
    record = evaluated(digits, network, ruined, audit="quick", metric=metrics)
    assert numbers(record) == numbers(expected)
    timeless = [
        [audit.model_copy(update={"seconds": None}) for audit in one.audit]
        for one in (record, expected)
    ]
    assert timeless[0] == timeless[1]
    for name in ("outcomes.parquet", "audit.parquet"):
        ours, theirs = (next(p.results.glob(f"*/{name}")) for p in (plain, ruined))
        assert ours.read_bytes() == theirs.read_bytes()


@dataclass(frozen=True, kw_only=True)
class Look(robench.Check):
    """A check that does what its name in a table says."""

    does: str = ""

    def look(self, trial: Any) -> Any:
        """Whatever that is."""
        return LOOK[self.does][0](trial)


def finding(**given: Any) -> robench.Finding:
    plain = {"check": "own", "value": 0.0, "verdict": "pass", "sentence": "Nothing."}
    return robench.Finding(**{**plain, **given})


def attempt(trial: Any, candidates: Any, index: Any = None) -> Any:
    trial.attempt("mine", candidates, torch.arange(len(trial)) if index is None else index)
    return [finding()]


LOOK: dict[str, tuple[Callable[..., Any], str]] = {
    "outside": (lambda t: attempt(t, 1 - t.images), "outside; bring them back"),
    "off the grid": (lambda t: attempt(t, (t.images + 1e-3).clamp(0, 1)), "outside"),
    "nan": (lambda t: attempt(t, t.images * float("nan")), "finite candidates"),
    "short": (lambda t: attempt(t, t.images[:1]), "candidates of shape"),
    "no tensor": (lambda t: attempt(t, None), "candidates of shape .* got NoneType"),
    "twice": (lambda t: attempt(t, t.images[:2], torch.zeros(2, dtype=torch.int64)), "positions"),
    "beyond": (lambda t: attempt(t, t.images[:1], torch.tensor([999])), "positions in 0..29"),
    "mask": (lambda t: attempt(t, t.images, t.held), "index of int64 positions"),
    "no finding": (lambda t: ["fine"], "findings of check=look of t 0, got str"),
    "nonsense": (
        lambda t: [robench.Finding.model_construct(check="own", value="much")],
        "findings of check=look of t 0, got",
    ),
    "another's name": (lambda t: [finding(check="gradients")], "names of their own"),
    "raises": (lambda t: 1 / 0, "check=look of t 0 failed: ZeroDivisionError"),
    "exits": (lambda t: sys.exit(0), "check=look of t 0 failed: SystemExit"),
    "weights": (lambda t: t.system.deployed.model, "no attribute 'model'"),
}


@pytest.fixture(scope="module")
def looked(digits: robench.Data, network: nn.Module, tmp_path_factory: Any) -> Any:
    """Audit with a check registered for the occasion; the cache keeps what it can."""
    from robench.plugin.registry import Choice

    folder = tmp_path_factory.mktemp("looked")

    def run(does: str | None) -> robench.Record:
        known = registry().choices["check"]
        if does is None:
            return evaluated(digits, network, places_in(folder), audit="quick")
        known["look"] = Choice("check", "look", Look(does=does), "t", "t", "0")
        audit = evaluate.AuditConfig(level="quick", checks=["look"])
        original, evaluate.joined = evaluate.joined, lambda _: audit
        try:
            return evaluated(digits, network, places_in(folder / does), audit="quick")
        finally:
            evaluate.joined = original
            del known["look"]

    return run


@pytest.mark.parametrize("does", LOOK)
def test_a_check_that_breaks_its_contract_is_named(does: str, looked: Any) -> None:
    if does == "another's name":
        own = looked(None).audit[0].findings[0].check
        LOOK[does] = (lambda t: [finding(check=own)], LOOK[does][1])
    with pytest.raises(robench.PluginError, match=LOOK[does][1]) as raised:
        looked(does)
    assert "check=look of t 0" in str(raised.value)


def ruin_trial(trial: Any) -> Any:
    trial.images.zero_()
    trial.labels.zero_()
    trial.held[:] = False
    trial.clean[:] = False
    trial.tried["reference"][:] = True
    trial.alone.clear()
    object.__setattr__(trial.threat, "eps", 1.0)
    trial.reference.candidates.zero_()
    with torch.no_grad():
        for parameter in trial.system.twin.parameters():
            parameter.zero_()
    trial.system.deployed.predict(trial.images)
    trial.wrong(trial.images, torch.arange(len(trial)))
    return [finding()]


def test_a_check_that_ruins_its_trial_moves_no_number(
    looked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOOK, "ruins", (ruin_trial, ""))
    expected, record = looked(None), looked("ruins")
    assert numbers(record) == numbers(expected)
    assert record.audit[0].findings[: len(expected.audit[0].findings)][0].check
    own = [f for f in record.audit[0].findings if f.check != "own"]
    assert own == list(expected.audit[0].findings)


def test_legal_candidates_of_a_check_count(looked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def legal(trial: Any) -> Any:
        index = trial.left
        found = trial.search("mine", trial.system.twin, trial.usual, index)
        wrong = trial.attempt("mine", found, index)
        return [finding(value=float(wrong.sum()))]

    monkeypatch.setitem(LOOK, "legal", (legal, ""))
    record = looked("legal")
    assert "own" in [f.check for f in record.audit[0].findings]


# -- the judge -------------------------------------------------------------------------------------


def test_examples_outside_the_ball_stop_the_run_as_a_bug(
    digits: robench.Data,
    network: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Threat, "project", lambda self, candidates, images: 1 - images)
    with pytest.raises(InternalError, match="30 outside, the first at position 0; report this"):
        evaluated(digits, network, places_in(tmp_path))
    assert not issubclass(InternalError, robench.UserError)


DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8)


@st.composite
def outputs(draw: Any) -> Any:
    """Whatever an attack on six images of 1x8x8 pixels may return."""
    shape = draw(st.sampled_from([(6, 1, 8, 8), (6, 1, 8, 8), (6, 1, 8, 8), (6, 64), (1, 8, 8)]))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 300.0, 1e30, 1e38, 1e300]))
    found = torch.randn(shape, generator=rng, dtype=torch.float64) * scale
    for _ in range(draw(st.integers(0, 2))):
        special = [float("nan"), float("inf"), -0.0, 3.4e38, -3.4e38, 1e-45]
        found.view(-1)[draw(st.integers(0, 63))] = draw(st.sampled_from(special))
    if not draw(st.booleans()):
        found = found.nan_to_num(0.0, 3e38, -3e38)
    return found.to(draw(st.sampled_from(DTYPES)))


@dataclass(frozen=True, kw_only=True)
class Returns(robench.Attack):
    """Returns what it was given."""

    what: Any = field(default=None, metadata={"plain": False})

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """As it is."""
        images.zero_()
        return self.what


@settings(max_examples=150, deadline=None)
@given(
    what=outputs(),
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.sampled_from([0.0, 1 / 255, 0.03, 0.1, 0.5, 1.0, 3.0, None]),
    grid=st.booleans(),
    search=st.sampled_from(["ball", "ball", "noise"]),
)
def test_whatever_an_attack_returns_its_examples_lie_in_the_ball(
    what: Any, norm: str, eps: float | None, grid: bool, search: Any
) -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 1, 8, 8), generator=rng, dtype=torch.uint8)
    test = robench.Split(images, torch.zeros(6, dtype=torch.int64))
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    scenario = Scenario("returns", search, "white_box", Threat(norm, eps, grid))
    system = System(FloatDeployed(net), net)
    try:
        found = attacks.search(Returns(what=what), scenario, system, test, 0).images
    except attacks.AttackFailed:
        sound = what.shape == images.shape and what.dtype.is_floating_point
        assert not (sound and bool(torch.isfinite(what.float()).all()))
        return
    attacks.require_legal(found, test.float_images(), scenario)
    clean = images.double() / 255
    if search == "ball" and eps is not None:
        delta = (found.double() - clean).flatten(1)
        size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
        assert float(size.max()) <= eps + 2e-6
    if grid:
        pixels = found.double() * 255
        assert float((pixels - pixels.round()).abs().max()) < 1e-3
    assert bool(((found >= 0) & (found <= 1)).all())
