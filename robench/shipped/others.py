"""A file in the other runtimes that open it: whether it is the same network there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from robench.base.errors import UserError
from robench.core.session import Session
from robench.plugin.registry import registry
from robench.shipped.deployed import FileDeployed
from robench.shipped.system import load, runtime_of


@contextmanager
def elsewhere(deployed: FileDeployed) -> Iterator[dict[str, FileDeployed | None]]:
    """The same file in every other installed runtime that opens its ending, by name.

    None stands for a runtime that is installed and refuses the file. They answer inside the
    context only.
    """
    with TemporaryDirectory() as folder:
        deployed.save(Path(folder))
        (path,) = Path(folder).iterdir()
        sessions = {name: _session(name, path) for name in _others(deployed)}
        yield {name: _answering(deployed, found[0]) for name, found in sessions.items() if found}


def _others(deployed: FileDeployed) -> list[str]:
    suffix = f".{deployed.facts.format}"
    known = registry().choices["runtime"].items()
    opening = [name for name, one in known if suffix in (one.cls.opens or one.cls.suffixes)]  # type: ignore[attr-defined]
    return sorted(name for name in opening if name != deployed.facts.runtime)


def _session(name: str, path: Path) -> tuple[Session | None] | None:
    """A file opened in a runtime; None inside for one that refuses it, and outside without its
    package."""
    try:
        return (load(name, runtime_of(path, name)[1], path),)
    except UserError as error:
        return None if isinstance(error.__cause__, ImportError) else (None,)


def _answering(deployed: FileDeployed, session: Session | None) -> FileDeployed | None:
    ports = {port.name: port for port in session.outputs} if session else {}
    if session is None or deployed.output.name not in ports:
        return None
    port = ports[deployed.output.name]
    return FileDeployed(deployed.content, session, deployed.contract, port, deployed.facts)
