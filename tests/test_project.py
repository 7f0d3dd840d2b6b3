"""pyproject.toml, constraints.txt and the Makefile agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLED = ("test", "lint", "docs")


def pins() -> dict[str, str]:
    """Package -> version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def required() -> list[Requirement]:
    """What CI and `make` ask for by name."""
    extras = [text for name in INSTALLED for text in PROJECT["optional-dependencies"][name]]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *extras]]


def test_every_direct_dependency_is_pinned_within_its_bounds() -> None:
    for requirement in required():
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_every_dependency_has_a_lower_bound_but_stubs() -> None:
    for requirement in required():
        stubs = re.search(r"stubs|^types-", requirement.name)
        assert stubs or ">=" in str(requirement.specifier), requirement


def test_the_constraints_name_no_place_and_no_companion_of_one_build_of_torch() -> None:
    assert len(pins()) > 60
    for name, version in pins().items():
        assert re.fullmatch(r"[a-z0-9-]+ [\w.]+", f"{name} {version}"), name
        assert not name.startswith(("nvidia", "cuda", "triton")), name


def test_make_installs_under_the_constraints() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "-c $(CONSTRAINTS)" in makefile
    installs = re.findall(r"^\t.*pip install.*|^\t\$\(PIP\).*", makefile, re.MULTILINE)
    free = [line for line in installs if "$(PIP)" not in line]
    own = ("constraints-mlflow.txt", "$(VENV)-cluster/constraints.txt", "$(CONSTRAINTS)")
    bound = ("-lowest", *(f"-c {one}" for one in own))
    assert all(any(words in line for words in bound) for line in free), free
    for extra in INSTALLED:
        assert extra in "".join(line for line in installs if "$(PIP)" in line)


def test_make_check_runs_every_contract() -> None:
    check = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "mkdocs build"):
        assert tool in check
