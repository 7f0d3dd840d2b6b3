"""Open a file that ships: its runtime answers, and twins made of its operators search."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from robench.base.errors import ConfigError, UserError
from robench.base.machine import instruction_set
from robench.base.paths import expand_home
from robench.base.text import one_line, reason, suggestion
from robench.core.record import FileInfo
from robench.core.session import Port, Session
from robench.core.system import BlackBox, System
from robench.graph import whole
from robench.plugin.components import Runtime
from robench.plugin.registry import registry
from robench.shipped.contract import usual_contract
from robench.shipped.deployed import FileDeployed
from robench.shipped.twins import Twins, twins

SHOWN = 8
"""Names in a message, at most."""


def open_system(
    path: str | Path,
    *,
    shape: tuple[int, int, int],
    classes: int,
    runtime: str | Runtime | None = None,
    output: str | None = None,
    parent: str | Path | None = None,
    **contract: Any,
) -> System:
    """The system of a file for images (C, H, W): `deployed` is the file in its runtime.

    `runtime` is a registered one's name, or one itself; none given: the usual one of the file's
    ending. `output` names one of several outputs, `parent` the file of the float network that it
    was made from. `contract` are fields of `Contract` where they are not what the file's input
    says. Raises UserError for a file that cannot be judged.
    """
    sizes = shape if isinstance(shape, (tuple, list)) else ()
    if len(sizes) != 3 or not all(type(size) is int and size > 0 for size in sizes):
        raise ConfigError(
            f"expected shape to be (channels, height, width), got {one_line(repr(shape))[:80]}"
        )
    path = expand_home(path)
    name, chosen = runtime_of(path, runtime)
    content = _content(path)
    session = load(name, chosen, path)
    source, target = _only_input(session, path), _chosen_output(session, output, path)
    agreed = usual_contract(source, shape, **contract)
    found = twins(path, agreed, source, target, shape)
    facts = _facts(path, content, name, session, found)
    if parent is not None:
        facts = facts.model_copy(update={"parent": sha256(_content(expand_home(parent)))})
    deployed = FileDeployed(content, session, agreed, target, facts)
    _require_answers(deployed, shape, classes)
    return System(deployed, found.faithful or BlackBox(deployed), found.others, found.black_box)


def sha256(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _facts(path: Path, content: bytes, runtime: str, session: Session, found: Twins) -> FileInfo:
    about = session.describe()
    return FileInfo(
        format=path.suffix[1:].lower(),
        sha256=sha256(content),
        bytes=len(content),
        runtime=runtime,
        version=str(about.get("version", "")),
        provider=str(about.get("provider", "")),
        instructions=instruction_set(),
        black_box=found.black_box,
        bits=found.bits,
    )


def load(name: str, runtime: Runtime, path: Path) -> Session:
    """A file opened in a runtime; UserError for a missing package and for a file that fails."""
    try:
        return runtime.load(path)
    except ImportError as error:
        raise UserError(
            f"expected the package of runtime {name}, got none ({reason(error)}); "
            f"{runtime.requires}"
        ) from error
    except UserError:
        raise
    except Exception as error:  # what a runtime raises for a file is its own business
        raise UserError(
            f"expected a file that {name} runs at {one_line(path)}, got {reason(error)[:300]}"
        ) from error


def runtime_of(path: Path, given: str | Runtime | None) -> tuple[str, Runtime]:
    """The runtime that opens a file, and its name; raises ConfigError where there is none."""
    known = registry().choices["runtime"]
    if isinstance(given, Runtime):
        choice = registry().home(type(given))
        return choice.name if choice else type(given).__name__.lower(), given
    suffix = path.suffix.lower()
    if given is None:
        usual = [n for n, choice in sorted(known.items()) if suffix in choice.cls.suffixes]  # type: ignore[attr-defined]
        if not usual:
            endings = sorted({end for choice in known.values() for end in choice.cls.suffixes})  # type: ignore[attr-defined]
            raise ConfigError(
                f"expected a file that ends in {', '.join(endings)}, got {path.name!r}; name the "
                "runtime that opens it: model.file.runtime=..."
            )
        given = usual[0]
    made = registry().get("runtime", given).make()
    assert isinstance(made, Runtime)
    opens = made.opens or made.suffixes
    if opens and suffix not in opens:
        raise ConfigError(
            f"expected a file that ends in {', '.join(opens)} for runtime {given}, got "
            f"{path.name!r}"
        )
    return given, made


def _content(path: Path) -> bytes:
    try:
        _require_no_text(path)
        return whole(path)
    except OSError as error:
        raise UserError(
            f"expected a file at {one_line(path)}, got {error.strerror}; set model.file.path"
        ) from error


def _require_no_text(path: Path) -> None:
    """Name what a download often leaves in a file's place. Raises OSError for what cannot be read,
    and UserError."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(200).lstrip()[:60].lower()
    found = {
        b"": "an empty file",
        b"version https://git-lfs": "a Git LFS pointer: fetch the file itself (git lfs pull)",
        b"<!doctype": "a web page",
        b"<html": "a web page",
    }
    for start, words in found.items():
        if head == start or (start and head.startswith(start)):
            raise UserError(f"expected a network at {one_line(path)}, got {words}")


def _only_input(session: Session, path: Path) -> Port:
    if len(session.inputs) != 1:
        raise UserError(
            f"expected one input, for the images, in {path.name}, got {_names(session.inputs)}; "
            "export it with the others as constants"
        )
    return session.inputs[0]


def _chosen_output(session: Session, output: str | None, path: Path) -> Port:
    there = {port.name: port for port in session.outputs}
    if output is None and len(there) == 1:
        return session.outputs[0]
    if output in there:
        return there[output]
    got = "none named" if output is None else f"{output!r}{suggestion(output, there)}"
    raise ConfigError(
        f"expected output to be one of {_names(session.outputs)} of {path.name}, got {got}; set "
        "model.file.output"
    )


def _require_answers(deployed: FileDeployed, shape: tuple[int, int, int], classes: int) -> None:
    """Ask about one black image: refuse what fails, or cannot be the logits of so many classes."""
    try:
        there = deployed.answers(torch.zeros(1, *shape)).shape[1]
    except UserError:
        raise
    except Exception as error:  # what a runtime raises is its own business
        raise UserError(
            f"expected a file that answers images of {'x'.join(map(str, shape))}, got "
            f"{reason(error)[:300]}; export it for them"
        ) from error
    order = deployed.contract.order
    if order and len(order) != classes:
        raise ConfigError(
            f"expected order to name a position for each of {classes} classes, got {len(order)}"
        )
    if there <= max(order, default=0) or (there != classes and not order):
        raise ConfigError(
            f"expected {classes} outputs, one a class of the data set, got {there} of the output "
            f"{deployed.output.name!r}; choose the data set that the file was made for, or set "
            "model.file.order to the position of each class"
        )


def _names(ports: tuple[Port, ...]) -> str:
    more = f" and {len(ports) - SHOWN} more" if len(ports) > SHOWN else ""
    return ", ".join(repr(port.name) for port in ports[:SHOWN]) + more or "none"
