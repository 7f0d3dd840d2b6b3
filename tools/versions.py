"""Does the code behind a version still give the numbers that the version stands for?

    python tools/versions.py check              what changed behind an unchanged version
    python tools/versions.py accept NAME ...    write it down: same numbers, or a version raised

Versions, not code, decide whether a cached result holds (robench/run/versions.py, and `version` of
each component). `versions.lock` keeps a digest of the code behind each: of every definition that a
step or a component reaches through names and imports, and of the C below it. Docstrings, comments,
annotations, error messages, and where a definition lies do not count. Of a named protocol it keeps
a digest of all that the protocol fixes; accepting another one under the same version is refused.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

STEPS = {
    "data": ["robench.core.data", "robench.run.data_cache", "robench.run.stages:Stages.subset"],
    "train": [
        "robench.training.loop",
        "robench.training.loss",
        "robench.core.weights:save_weights",
        "robench.plugin.components:Defense.loss",
        "robench.plugin.components:Defense.fit",
        "robench.run.stages:Stages.untrained",
        "robench.run.stages:Stages.architecture",
        "robench.run.stages:Stages._train",
    ],
    "system": [
        "robench.run.stages:Stages.trained",
        "robench.run.stages:Stages.mapped",
        "robench.run.stages:Stages.finished",
        "robench.run.stages:Stages.system",
        "robench.core.system:FloatDeployed",
    ],
    "program": ["robench.integer.file", "robench.run.stages:Stages.program"],
    "file": ["robench.shipped.deployed:FileDeployed.save", "robench.run.stages:Stages.kept"],
    "agreement": ["robench.core.system:agreement", "robench.run.stages:Stages._agree"],
    "attack": ["robench.run.attacks:attack"],
    "judge": [
        "robench.run.attacks:judge",
        "robench.run.keys:images_hash",
        "robench.run.stages:Stages.content",
    ],
    "rejudge": ["robench.run.examination:rejudged"],
    "audit": ["robench.run.examination:examine"],
    "remaining": ["robench.run.remaining:searched"],
    "certificates": ["robench.run.certificates:attack_certificates"],
    "measure": ["robench.run.pipeline:_measured", "robench.core.outcomes"],
    "record": ["robench.run.standing:_inputs"],
}
"""Where the code of each step begins: modules, or definitions of them."""

RESOURCES = {
    ("robench.integer.codegen", "generate"): "robench/integer/kernels",
    ("robench.smoothing.compiled", "csrc"): "robench/smoothing/csrc",
}
"""Folders of C that a definition reads."""

SILENT = {
    "robench.base.errors",
    "robench.base.progress",
    "robench.plugin.registry",
    "robench.plugin.content",
    "robench.plugin.source",
    "robench.run.cache",
    "robench.run.keys:component_key",
    "robench.run.keys:made_on",
}
"""What cannot change a number: messages, the finding of plugins, the names of results."""

CONTAINERS = {
    "robench.core.record",
    "robench.plugin.components",
    "robench.plugin.evidence",
    "robench.run.config",
    "robench.run.evidence",
    "robench.run.stages",
}
"""Modules whose classes hold everything: a mere annotation with one of them reaches nothing."""

LOCK = "versions.lock"


@dataclass(frozen=True)
class Definition:
    """A top-level name of a module, or a method of a class."""

    module: str
    name: str


@dataclass
class Module:
    """The definitions and imports of one file."""

    name: str
    path: Path
    tree: ast.Module
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.tree.body:
            for name in _names(node):
                self.definitions.setdefault(name, []).append(node)

    @cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """What names of this module mean elsewhere: (module, name in it or None for itself)."""
        return dict(_imports(self.tree, self.package))

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


class Code:
    """The source of a checkout, read without importing it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, Module | None] = {}
        self._facts: dict[Definition, tuple[list[str], list[Definition]]] = {}

    def module(self, name: str) -> Module | None:
        """A module of this checkout, or None for any other."""
        if name not in self._modules:
            path = self._path(name)
            tree = _parsed(path.read_text(encoding="utf-8")) if path else None
            self._modules[name] = Module(name, path, tree) if path and tree else None
        return self._modules[name]

    def _path(self, name: str) -> Path | None:
        for base in (self.root, self.root / "plugins"):
            place = base.joinpath(*name.split("."))
            for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
                if path.is_file():
                    return path
        return None

    def behind(self, starts: Iterable[str]) -> dict[Path, list[str]]:
        """Digests of all definitions that the starts reach, by file; of their C as well."""
        seen: set[Definition] = set()
        waiting = [start for text in starts for start in self._starts(text)]
        digests: dict[Path, list[str]] = {}
        while waiting:
            one = waiting.pop()
            if one in seen or {one.module, f"{one.module}:{one.name}"} & SILENT:
                continue
            seen.add(one)
            module = self.module(one.module)
            assert module is not None
            own, reached = self._read(module, one)
            digests.setdefault(module.path, []).extend(own)
            waiting += reached
            for path in self._resources(one):
                digests[path] = [hashlib.sha256(path.read_bytes()).hexdigest()]
        return digests

    def _starts(self, text: str) -> list[Definition]:
        name, _, part = text.partition(":")
        module = self.module(name)
        if module is None or (part and not list(self._nodes(module, part))):
            raise SystemExit(f"versions: expected code at {text}, got none; mend tools/versions.py")
        return (
            [Definition(name, part)] if part else [Definition(name, n) for n in module.definitions]
        )

    def _read(self, module: Module, one: Definition) -> tuple[list[str], list[Definition]]:
        """A definition's own digests, and the definitions that it reaches."""
        if one not in self._facts:
            nodes = list(self._nodes(module, one.name))
            reached = [other for node in nodes for other in self._reached(module, node)]
            self._facts[one] = [_digest(node) for node in nodes], reached
        return self._facts[one]

    def _nodes(self, module: Module, name: str) -> Iterator[ast.stmt]:
        outer, _, inner = name.partition(".")
        for node in module.definitions.get(outer, ()):
            if not inner:
                yield node
            elif isinstance(node, ast.ClassDef):
                yield from (part for part in node.body if inner in _names(part))

    def _reached(self, module: Module, node: ast.stmt) -> Iterator[Definition]:
        """The definitions that a node names, here or where its imports lead."""
        imports = module.imports | dict(_imports(node, module.package))
        for part, annotates in _counting(node):
            if isinstance(part, ast.Name):
                found = self._found(module, imports, part.id)
                yield from (f for f in found if not annotates or f.module not in CONTAINERS)
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                target = imports.get(part.value.id)
                if target and target[1] is None:
                    yield from self._resolve(target[0], part.attr)
                elif target and self.module(f"{target[0]}.{target[1]}"):
                    yield from self._resolve(f"{target[0]}.{target[1]}", part.attr)

    def _found(
        self, module: Module, imports: dict[str, tuple[str, str | None]], name: str
    ) -> Iterator[Definition]:
        if name in imports:
            target, attribute = imports[name]
            if attribute:
                yield from self._resolve(target, attribute)
        elif name in module.definitions:
            yield Definition(module.name, name)

    def _resolve(self, target: str, name: str) -> Iterator[Definition]:
        module = self.module(target)
        if module is None:
            return
        if name in module.definitions:
            yield Definition(target, name)
        elif name in module.imports:
            further, attribute = module.imports[name]
            if attribute and (further, attribute) != (target, name):  # a module of the package
                yield from self._resolve(further, attribute)

    def _resources(self, one: Definition) -> list[Path]:
        folder = RESOURCES.get((one.module, one.name))
        return sorted((self.root / folder).glob("*.h")) if folder else []


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return [name.id for t in targets for name in ast.walk(t) if isinstance(name, ast.Name)]


def _imports(tree: ast.AST, package: str) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """Names that a tree imports, its functions' own imports left to them when it is a module."""
    for node in ast.walk(tree) if not isinstance(tree, ast.Module) else _outer(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname or alias.name.partition(".")[0]), (alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}" if base else parent
            for alias in node.names:
                yield (alias.asname or alias.name), (base, alias.name)


def _outer(tree: ast.Module) -> Iterator[ast.stmt]:
    """A module's own statements, those below `if TYPE_CHECKING` included: they are names too."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If):
            yield from node.body


def _counting(node: ast.AST, annotates: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes that can change a number, and whether they stand in an annotation.

    The message of an error changes none. An annotation names the class whose methods are called.
    """
    if isinstance(node, ast.Raise):
        return
    yield node, annotates
    for name, value in ast.iter_fields(node):
        below = annotates or name in ("annotation", "returns")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _counting(child, below)


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


class _Bare(ast.NodeTransformer):
    """Leaves out what cannot change a number."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(exc=None, cause=None)

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)


@cache
def _digest(node: ast.stmt) -> str:
    copy = ast.parse(ast.unparse(node))
    return hashlib.sha256(ast.dump(_Bare().visit(copy)).encode()).hexdigest()


def versions(root: Path) -> dict[str, tuple[str, list[str]]]:
    """Every step and component of this checkout: its version, and where its code begins."""
    sys.path[:0] = [str(root), str(root / "plugins")]
    from robench.plugin.registry import registry
    from robench.run.versions import STEPS as NUMBERS

    if set(NUMBERS) != set(STEPS):
        raise SystemExit(f"versions: expected code for {sorted(set(NUMBERS) ^ set(STEPS))} here")
    result = {name: (str(NUMBERS[name]), starts) for name, starts in STEPS.items()}
    for kind, choices in registry().choices.items():
        for choice in choices.values():
            home = registry().home(choice.cls)
            if home == choice and choice.distribution == "robench":
                start = f"{choice.cls.__module__}:{choice.cls.__qualname__}"
                result[f"{kind}.{choice.name}"] = (choice.cls.version, [start])
    return result


def locked(root: Path) -> dict[str, dict[str, dict[str, str]]]:
    """The lock of a checkout as it should be now."""
    code, files = Code(root), {}
    names: dict[str, dict[str, str]] = {}
    for name, (version, starts) in sorted(versions(root).items()):
        behind = code.behind(starts)
        parts = sorted({digest for digests in behind.values() for digest in digests})
        names[name] = {"version": version, "code": _joined(parts)}
        for path, digests in behind.items():
            files.setdefault(path, set()).update(digests)
    names = dict(sorted({**names, **protocols(root)}.items()))
    kept = {
        str(p.relative_to(root)): {"code": _joined(sorted(d))} for p, d in sorted(files.items())
    }
    return {"names": names, "files": kept}


def protocols(root: Path) -> dict[str, dict[str, str]]:
    """Every protocol of this checkout: its version, and a digest of all that it fixes."""
    sys.path[:0] = [str(root), str(root / "plugins")]
    from robench.base.hashing import digest
    from robench.records.protocols import read

    found = {}
    for path in sorted((root / "conf" / "protocol").glob("*.yaml")):
        one = read(path, "robench")
        found[f"protocol.{one.name}"] = {"version": str(one.version), "code": digest(one.fixes())}
    return found


def _joined(digests: list[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def check(root: Path) -> list[str]:
    """One line for what changed, none where all is as the lock says."""
    now = locked(root)
    before = json.loads((root / LOCK).read_text(encoding="utf-8"))
    changed = [name for name in now["names"] if now["names"][name] != before["names"].get(name)]
    gone = sorted(set(before["names"]) - set(now["names"]))
    if not changed and not gone:
        return []
    raised = [
        n
        for n in changed
        if now["names"][n]["version"] != before["names"].get(n, {}).get("version")
    ]
    files = [p for p, d in now["files"].items() if d != before["files"].get(p)]
    why = f"changed in {', '.join(files)}" if files else "changed"
    todo = "raise the version of what gives other numbers now, then"
    if set(raised) == set(changed):
        todo = "to write the new versions down,"
    names = " ".join([*changed, *gone])
    return [f"versions: the code behind {names} {why}; {todo} make accept STEP='{names}'"]


def accept(root: Path, names: list[str]) -> None:
    """Write the present code of steps and components, or of `all`, into the lock."""
    now = locked(root)
    path = root / LOCK
    before = json.loads(path.read_text("utf-8")) if path.exists() else {"names": {}}
    known = set(now["names"]) | set(before["names"])
    if unknown := sorted(set(names) - known - {"all"}):
        raise SystemExit(
            f"versions: expected names among {', '.join(sorted(known))}, got {unknown}"
        )
    if changed := _same_version(now["names"], before["names"], names):
        raise SystemExit(
            f"versions: expected a new version of {', '.join(changed)}, which fixes other things "
            f"now; of a protocol that no record is under yet, take its lines out of {LOCK}"
        )
    if "all" not in names:
        kept = {n: v for n, v in before["names"].items() if n not in names}
        now["names"] = kept | {n: v for n, v in now["names"].items() if n in names}
        now["names"] = dict(sorted(now["names"].items()))
    path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def _same_version(
    now: dict[str, dict[str, str]], before: dict[str, dict[str, str]], names: list[str]
) -> list[str]:
    """The protocols to accept whose content is another one under the version of the lock."""
    asked = [name for name in now if name.startswith("protocol.") and {name, "all"} & set(names)]
    both = [name for name in asked if name in before and now[name] != before[name]]
    return [name for name in both if now[name]["version"] == before[name]["version"]]


def main(arguments: list[str]) -> int:
    """Run a command; 1 when the check fails."""
    root = Path(__file__).resolve().parents[1]
    if arguments[:1] == ["accept"] and len(arguments) > 1:
        accept(root, arguments[1:])
        return 0
    if arguments != ["check"]:
        raise SystemExit(__doc__)
    lines = check(root)
    print("\n".join(lines) or "versions: as the lock says")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
