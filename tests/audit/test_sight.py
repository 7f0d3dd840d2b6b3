"""Whatever a network could keep is seen by a look, or the look says that it cannot tell."""

from __future__ import annotations

import builtins
import copyreg
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.overrides import TorchFunctionMode

from robench.audit import trial as trials
from robench.audit.reach import Reach
from robench.audit.sight import in_sight
from robench.audit.trial import SystemTrial
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat

Forward = Callable[[Any, Tensor], Tensor]
IMAGES = torch.linspace(0, 1, 12).view(3, 1, 2, 2)
OUTSIDE: list[Any] = []


def network(forward: Forward, base: type = nn.Module, **held: Any) -> Any:
    """A network of a class of its own, with a layer, a buffer and what it is given to hold."""
    made = type("Net", (base,), {"forward": forward})()
    made.layer = nn.Linear(4, 2)
    made.register_buffer("kept", torch.zeros(2, 4))
    for name, value in held.items():
        setattr(made, name, value)
    return made.eval()


def looked_at(root: object) -> bool:
    return in_sight(Reach(root))


def asked(root: Any) -> bool:
    """Whether a look shows that it was asked something."""
    before = Reach(root).marks
    with torch.no_grad():
        root(IMAGES)
    after = Reach(root).marks
    return len(before) != len(after) or any(
        one is not other or told != said
        for (one, told), (other, said) in zip(before, after, strict=True)
    )


# -- networks that keep nothing --------------------------------------------------------------------


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * (x > 0)


def noisy(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        noise = torch.randn_like(x)
    return self.layer((x + 0.1 * noise).clamp(0, 1).flatten(1))


def by_parts(self: Any, x: Tensor) -> Tensor:
    out = torch.zeros(len(x), 2)
    for i, part in enumerate(x.split(1)):
        out[i : i + 1] = self.layer(F.relu(part).flatten(1))
    parts = []
    parts.append(out)
    return sum(one * 1.0 for one in parts)


def rounded(self: Any, x: Tensor) -> Tensor:
    scale = 2.0
    levels = [torch.round(part * scale) for part in Rounded.apply(x).flatten(1).unbind(1)]
    return self.layer(self.act(torch.stack(levels, dim=1)))


@pytest.mark.parametrize("forward", [noisy, by_parts, rounded])
def test_a_network_that_keeps_nothing_is_in_sight(forward: Forward) -> None:
    plain = network(forward, act=torch.nn.functional.relu)
    assert looked_at(plain)
    assert not asked(plain)


# -- networks that keep what a look finds ----------------------------------------------------------


def into_a_list(self: Any, x: Tensor) -> Tensor:
    self.box.append(x.detach())
    return self.layer(x.flatten(1))


def into_a_default(self: Any, x: Tensor, kept: list[Tensor] = []) -> Tensor:  # noqa: B006
    kept.append(x.detach())
    return self.layer(x.flatten(1))


def into_a_global(self: Any, x: Tensor) -> Tensor:
    OUTSIDE.append(x.detach())
    return self.layer(x.flatten(1))


def into_a_closure() -> Forward:
    kept: dict[str, Tensor] = {}

    def forward(self: Any, x: Tensor) -> Tensor:
        kept["x"] = x.detach()
        return self.layer(x.flatten(1))

    return forward


def by_out(self: Any, x: Tensor) -> Tensor:
    torch.add(self.kept, x.sum(), out=self.kept)
    return self.layer(x.flatten(1))


def into_a_view(self: Any, x: Tensor) -> Tensor:
    row = self.kept.detach()[0].view(2, 2)
    row += 1
    return self.layer(x.flatten(1))


def exchanged(self: Any, x: Tensor) -> Tensor:
    self.array[:] = self.array[[1, 0]]
    return self.layer(x.flatten(1))


def by_precision(self: Any, x: Tensor) -> Tensor:
    return self.layer.double()(x.flatten(1).double())


def by_no_number(self: Any, x: Tensor) -> Tensor:
    self.box[0] = torch.tensor(0x7FF8000000000001).view(torch.float64).item()
    return self.layer(x.flatten(1))


def by_its_statistics(self: Any, x: Tensor) -> Tensor:
    return self.layer(self.norm(x.flatten(1)))


class Box:
    def __init__(self) -> None:
        self.box: list[Tensor] = []


def into_an_object(self: Any, x: Tensor) -> Tensor:
    self.held.box.append(x.detach())
    return self.layer(x.flatten(1))


def exchanging(self: Any, x: Tensor) -> Tensor:
    self.box[0] = self.box[1]
    return self.layer(x.flatten(1))


def into_a_hook(self: Any, x: Tensor) -> Tensor:
    self.layer._forward_hooks[len(self.layer._forward_hooks)] = lambda *given: None
    return self.layer(x.flatten(1))


SEEN: dict[str, Callable[[], Any]] = {
    "list": lambda: network(into_a_list, box=[]),
    "deque": lambda: network(into_a_list, box=deque()),
    "parameters": lambda: network(into_a_list, box=nn.ParameterList()),
    "default": lambda: network(into_a_default),
    "global": lambda: network(into_a_global),
    "closure": lambda: network(into_a_closure()),
    "out": lambda: network(by_out),
    "view": lambda: network(into_a_view),
    "array": lambda: network(exchanged, array=np.array([1.0, 2.0])),
    "precision": lambda: network(by_precision),
    "no number": lambda: network(by_no_number, box=[float("nan")]),
    "statistics": lambda: network(by_its_statistics, norm=nn.BatchNorm1d(4)).train(),
    "object of its own": lambda: network(into_an_object, held=Box()),
    "hook": lambda: network(into_a_hook),
    "functions": lambda: network(exchanging, box=[plain, noisy]),
    "listed functions": lambda: network(exchanging, box=[F.relu, F.gelu]),
    "tensors met before": lambda: network(exchanging, **met(torch.zeros(2), torch.zeros(2))),
    "a number and an object": lambda: network(exchanging, **met(0, torch.zeros(2))),
    "in another's hook": lambda: network(plain, layer=hooked()),
}


def met(one: Any, other: Any) -> dict[str, Any]:
    return {"one": one, "other": other, "box": [one, other]}


def hooked() -> nn.Module:
    layer = nn.Linear(4, 2)
    layer.register_forward_hook(lambda layer, given, found: OUTSIDE.append(1))
    return layer


def plain(self: Any, x: Tensor) -> Tensor:
    return self.layer(x.flatten(1))


@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_what_a_network_keeps_is_seen(make: Callable[[], Any]) -> None:
    OUTSIDE.clear()
    keeping = make()
    assert looked_at(keeping)
    assert asked(keeping)


def test_numbers_that_change_places_are_others() -> None:
    """Whatever writes them: `.data` counts no write, and their sum stays."""
    keeping = network(plain)
    keeping.kept[0] = 1
    before = Reach(keeping).marks
    keeping.kept.data.copy_(keeping.kept.flip(0))
    assert Reach(keeping).marks != before


# -- networks that could keep what no look finds ---------------------------------------------------


def by_data(self: Any, x: Tensor) -> Tensor:
    self.kept.data[0] = x[0, 0, 0, 0]
    return self.layer(x.flatten(1))


def by_layout(self: Any, x: Tensor) -> Tensor:
    return self.conv.to(memory_format=torch.channels_last)(x.expand(-1, 2, -1, -1))


def as_gradient(self: Any, x: Tensor) -> Tensor:
    self.layer.weight.grad = x.mean() * self.layer.weight
    return self.layer(x.flatten(1))


def on_a_parameter(self: Any, x: Tensor) -> Tensor:
    self.layer.weight.seen = x
    return self.layer(x.flatten(1))


def on_its_class(self: Any, x: Tensor) -> Tensor:
    type(self).seen = x
    return self.layer(x.flatten(1))


def on_its_class_by_name(self: Any, x: Tensor) -> Tensor:
    self.__class__.box.append(x)
    return self.layer(x.flatten(1))


def in_training(self: Any, x: Tensor) -> Tensor:
    self.layer.train()
    return self.layer(x.flatten(1))


def by_name(self: Any, x: Tensor) -> Tensor:
    setattr(self.layer.weight, "seen", x)  # noqa: B010
    return self.layer(x.flatten(1))


def by_text(self: Any, x: Tensor) -> Tensor:
    "{0.box}".format(self)  # noqa: UP030, UP032  # what is tested
    return self.layer(x.flatten(1))


def by_pattern(self: Any, x: Tensor) -> Tensor:
    match self.kept:
        case Tensor(data=hidden):
            hidden[0] = x[0, 0, 0, 0]
    return self.layer(x.flatten(1))


def by_import(self: Any, x: Tensor) -> Tensor:
    import torch as others

    others.seen = x  # type: ignore[attr-defined]
    return self.layer(x.flatten(1))


def by_module(self: Any, x: Tensor) -> Tensor:
    space = torch
    space.nn.seen = x  # type: ignore[assignment]
    return self.layer(x.flatten(1))


def by_its_own_module(self: Any, x: Tensor) -> Tensor:
    sys.seen = x  # type: ignore[attr-defined]
    return self.layer(x.flatten(1))


def by_turns(self: Any, x: Tensor) -> Tensor:
    kept = (self.layer.weight if len(x) else torch.autograd).grad
    return self.layer(x.flatten(1)) + (0 if kept is None else 1)


def by_held_name(self: Any, x: Tensor) -> Tensor:
    self.kept.data[0] = x[0, 0, 0, 0]
    return self.layer(x.flatten(1)) + self.data


def by_what_was_there(self: Any, x: Tensor) -> Tensor:
    return self.layer(x.flatten(1) + torch.empty(4))


def by_mode(self: Any, x: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    return self.layer(x.flatten(1))


def by_a_class_of_its_own(self: Any, x: Tensor) -> Tensor:
    class Made:
        seen = x

    return self.layer(x.flatten(1))


def by_making(self: Any, x: Tensor) -> Tensor:
    Hoard(x)
    return self.layer(x.flatten(1))


def by_made(self: Any, x: Tensor) -> Tensor:
    self.box[0](x)
    return self.layer(x.flatten(1))


def by_deleting(self: Any, x: Tensor) -> Tensor:
    del self.layer.weight.seen
    return self.layer(x.flatten(1))


def by_catching(self: Any, x: Tensor) -> Tensor:
    try:
        x.numel(1)  # type: ignore[call-arg]
    except TypeError as error:
        error.__traceback__.tb_frame.f_back.f_globals["seen"] = x  # type: ignore[union-attr]
    return self.layer(x.flatten(1))


def by_address(self: Any, x: Tensor) -> Tensor:
    return self.layer(x.flatten(1)) + id(x.clone()) % 2


def by_strides(self: Any, x: Tensor) -> Tensor:
    self.kept.as_strided((9,), (1,))[8] = x[0, 0, 0, 0]
    return self.layer(x.flatten(1))


def by_numpy(self: Any, x: Tensor) -> Tensor:
    self.kept.numpy().base.data[0] = 1
    return self.layer(x.flatten(1))


def by_box(self: Any, x: Tensor) -> Tensor:
    self.box(x)
    return self.layer(x.flatten(1))


def by_advance(self: Any, x: Tensor) -> Tensor:
    for one in self.box:
        return self.layer(x.flatten(1)) + one
    return self.layer(x.flatten(1))


def by_draws(self: Any, x: Tensor) -> Tensor:
    return self.layer(x.flatten(1)) + torch.rand(2, generator=self.box)


def by_adding(self: Any, x: Tensor) -> Tensor:
    self.box += x
    return self.layer(x.flatten(1))


def by_counting(self: Any, x: Tensor) -> Tensor:
    self.calls += 1
    return self.layer(x.flatten(1))


def by_globals(self: Any, x: Tensor) -> Tensor:
    globals()["SEEN_BY_A_NETWORK"] = x
    return self.layer(x.flatten(1))


def by_a_block(self: Any, x: Tensor) -> Tensor:
    def numbers() -> Iterator[int]:
        with torch.no_grad():
            yield 1

    for one in numbers():
        return self.layer(x.flatten(1)) + one
    return self.layer(x.flatten(1))


def from_nonlocal() -> Forward:
    calls = 0

    def forward(self: Any, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return self.layer(x.flatten(1))

    return forward


def from_a_class() -> Forward:
    Kept = Hoard  # a name before all others

    def forward(self: Any, x: Tensor) -> Tensor:
        Kept(x)
        return self.layer(x.flatten(1))

    return forward


def by_itself(self: Any, x: Tensor) -> Tensor:
    self.box.save_for_backward(x)
    return self.layer(x.flatten(1))


class Hoard:
    def __init__(self, x: Tensor) -> None:
        sys.seen = x  # type: ignore[attr-defined]


class Adding:
    def __iadd__(self, x: Tensor) -> Adding:
        return self


class Own(Tensor):
    """Its functions are its own."""


class Meta(type):
    """Its classes' attributes may be anything."""


class Slotted:
    __slots__ = ("held",)


class Described:
    held = SimpleNamespace()


class Answering:
    """Answers to any name."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Shared(nn.Module):
    """Says that it was copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


class Noted(nn.Module):
    __kept__: list[Tensor] = []  # noqa: RUF012  # what is tested


class Lying:
    """Says that it holds nothing."""

    __dict__ = property(lambda self: {})  # type: ignore[assignment]


class Unlooked:
    """Says of itself what raises."""

    @property
    def __class__(self) -> type:
        raise RuntimeError

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise RuntimeError


class Classy(nn.Module):
    @classmethod
    def made(cls) -> Any:
        return cls()


class Cached(nn.Module):
    @lru_cache  # noqa: B019  # what is tested
    def made(self) -> list[Tensor]:
        return []


def own(plain_values: Tensor) -> Tensor:
    return plain_values.as_subclass(Own)


def hooked_tensor() -> nn.Parameter:
    weight = nn.Parameter(torch.zeros(2))
    weight.register_hook(OUTSIDE.append)
    return weight


def inferred() -> Tensor:
    with torch.inference_mode():
        return torch.zeros(2)


def noted() -> nn.Parameter:
    weight = nn.Parameter(torch.zeros(2))
    weight.seen = []  # type: ignore[attr-defined]
    return weight


def elsewhere(forward: Forward, **names: Any) -> Forward:
    """The same function among other globals."""
    return FunctionType(forward.__code__, {**forward.__globals__, **names})  # type: ignore[attr-defined, return-value]


def unlike() -> Any:
    """Says that it is a library's."""
    made = network(by_globals)
    type(made).__module__ = "torch.nn.modules.linear"
    type(made).forward.__module__ = "torch.nn.modules.linear"
    return made


def fake() -> SimpleNamespace:
    return SimpleNamespace(**vars(torch))


def other_functions() -> SimpleNamespace:
    return SimpleNamespace(relu=OUTSIDE.append)


HIDDEN: dict[str, Callable[[], Any]] = {
    **{
        one.__name__: partial(network, one, box=[1], calls=0)
        for one in (
            *(by_data, by_layout, as_gradient, on_a_parameter, on_its_class, on_its_class_by_name),
            *(in_training, by_name, by_text, by_pattern, by_import, by_module, by_its_own_module),
            *(by_turns, by_what_was_there, by_mode, by_a_class_of_its_own, by_making, by_deleting),
            *(by_catching, by_address, by_strides, by_numpy, by_counting, by_globals, by_a_block),
        )
    },
    "held name": lambda: network(by_held_name, data=0),
    "held name of a text": lambda: network(by_text, format=0, box=[1]),
    "class in a closure": lambda: network(from_a_class()),
    "class attribute": lambda: network(plain, Noted),
    "attributes of its own": lambda: network(plain, box=Lying()),
    "what raises": lambda: network(elsewhere(by_parts, len=Unlooked())),
    "complex": lambda: network(plain, box=torch.zeros(2, dtype=torch.complex64)),
    "inference": lambda: network(plain, box=inferred()),
    "class in a list": lambda: network(by_made, box=[Hoard]),
    "class as attribute": lambda: network(by_box, box=Hoard),
    "module as attribute": lambda: network(plain, box=torch),
    "method of a list": lambda: network(by_box, box=OUTSIDE.append),
    "part of one": lambda: network(by_box, box=partial(OUTSIDE.append)),
    "method of a library": lambda: network(by_box, box=nn.Linear(2, 2).register_forward_hook),
    "iterator": lambda: network(by_advance, box=iter([1, 2])),
    "generator": lambda: network(by_advance, box=(one for one in (1, 2))),
    "draws": lambda: network(by_draws, box=torch.Generator()),
    "sum of its own": lambda: network(by_adding, box=Adding()),
    "nonlocal": lambda: network(from_nonlocal()),
    "context": lambda: network(by_itself, box=Rounded.__new__(Rounded)),
    "tensor of its own": lambda: network(plain, box=own(torch.zeros(2))),
    "hook of a tensor": lambda: network(plain, box=hooked_tensor()),
    "note on a tensor": lambda: network(plain, box=noted()),
    "graph": lambda: network(plain, box=Rounded.apply(torch.zeros(2, requires_grad=True))),
    "sparse": lambda: network(plain, box=torch.zeros(2).to_sparse()),
    "objects": lambda: network(plain, box=np.empty(1, object)),
    "metaclass": lambda: network(plain, box=Meta("Made", (), {})()),
    "slots": lambda: network(plain, box=Slotted()),
    "library's object": lambda: network(plain, box=Described()),
    "any name": lambda: network(plain, box=Answering()),
    "no copy": lambda: network(into_a_list, Shared, box=[]),
    "class method": lambda: network(plain, Classy),
    "cached method": lambda: network(plain, Cached),
    "parametrized": lambda: network(plain, layer=weight_norm(nn.Linear(4, 2))),
    "of a library": unlike,
    "another torch": lambda: network(elsewhere(noisy, torch=fake())),
    "another function": lambda: network(elsewhere(by_parts, F=other_functions())),
    "another builtin": lambda: network(elsewhere(by_parts, len=OUTSIDE.append)),
    "other builtins": lambda: network(elsewhere(by_parts, __builtins__={**vars(builtins)})),
}  # fmt: skip


@pytest.mark.parametrize("make", HIDDEN.values(), ids=HIDDEN)
def test_what_could_keep_more_is_out_of_sight(make: Callable[[], Any]) -> None:
    assert not looked_at(make())


def test_what_says_in_a_list_how_it_is_copied_is_out_of_sight() -> None:
    hiding = network(into_a_list, box=[])
    assert looked_at(hiding)
    copyreg.pickle(type(hiding), lambda hiding: "hiding")
    assert not looked_at(hiding)
    del copyreg.dispatch_table[type(hiding)]


def watch(self: Any, x: Tensor) -> Tensor:
    OUTSIDE.append(x)
    return x


@pytest.mark.parametrize(
    ("space", "name"),
    [
        *((torch, "relu"), (F, "relu"), (Tensor, "__len__")),
        *((nn.Linear, "forward"), (nn.Module, "__call__")),
    ],
)
def test_libraries_that_were_changed_are_out_of_sight(
    space: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network(plain)
    monkeypatch.setattr(space, name, watch)
    assert not looked_at(made)
    monkeypatch.undo()
    assert looked_at(made)


def test_a_librarys_function_with_other_code_is_out_of_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nn.Linear.forward, "__code__", watch.__code__)
    assert not looked_at(network(plain))


def test_whoever_watches_all_modules_is_out_of_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = network(plain)
    handle = nn.modules.module.register_module_forward_hook(lambda *given: None)
    assert not looked_at(made)
    handle.remove()
    with Functions():
        assert not looked_at(made)
    assert looked_at(made)
    # One that passes all on costs seconds to begin.
    monkeypatch.setattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
    assert not looked_at(made)


class Functions(TorchFunctionMode):
    """Meets every function of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


# -- whom a process is asked of --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "thrifty", "forks"),
    [(plain, True, 0), (plain, False, 1), (by_globals, True, 1), (by_globals, False, 1)],
)
def test_quick_asks_a_process_only_of_what_could_hide_something(
    forward: Forward, thrifty: bool, forks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[System] = []
    monkeypatch.setattr(trials, "Fork", made.append)
    asked_of = network(forward)
    system = System(FloatDeployed(asked_of), asked_of)
    labels = torch.zeros(3, dtype=torch.int64)
    SystemTrial(system, IMAGES, labels, Threat("linf", 0.1), 0, thrifty=thrifty)
    assert len(made) == forks
