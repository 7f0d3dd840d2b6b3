"""The architecture page, its pictures and the import contracts say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.docs.pages import DOCS, ROOT, table

PAGE = "explanation/architecture.md"
SVG = "{http://www.w3.org/2000/svg}"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def contract(name: str) -> dict[str, Any]:
    (found,) = [c for c in project()["tool"]["importlinter"]["contracts"] if c["id"] == name]
    result: dict[str, Any] = found
    return result


def floors() -> list[set[str]]:
    """Of the contract, the top floor first."""
    return [set(re.findall(r"\w+", layer)) for layer in contract("floors")["layers"]]


def texts(picture: str) -> list[tuple[float, str]]:
    """Every bold text of a picture, with its height; the top one first."""
    tree = ElementTree.parse(DOCS / "images" / picture)
    bold = [t for t in tree.iter(f"{SVG}text") if t.get("font-weight") == "600"]
    return sorted((float(t.attrib["y"]), t.text or "") for t in bold)


def test_the_pages_floors_are_the_contracts() -> None:
    rows = table(PAGE, "| floor |")
    assert [set(re.findall(r"`(\w+)`", row[1])) for row in rows] == floors()
    assert [int(row[0]) for row in rows] == [*range(len(rows), 0, -1)]


def test_the_pictures_floors_are_the_contracts() -> None:
    drawn: dict[float, set[str]] = {}
    names = set.union(*floors())
    for height, name in texts("floors.svg"):
        if name in names:
            drawn.setdefault(height, set()).add(name)
    assert [drawn[height] for height in sorted(drawn)] == floors()


def test_every_package_stands_on_a_floor_and_the_contract_minds_new_ones() -> None:
    packages = {path.parent.name for path in (ROOT / "robench").glob("*/__init__.py")}
    assert packages == set.union(*floors())
    assert contract("floors")["exhaustive"] is True


def test_no_contract_has_an_exception() -> None:
    linter = project()["tool"]["importlinter"]
    assert "exclude_type_checking_imports" not in linter
    for found in linter["contracts"]:
        assert "ignore_imports" not in found, found["name"]
    indirect = [c["id"] for c in linter["contracts"] if c.get("allow_indirect_imports")]
    assert indirect == ["public"], "a plugin may use what robench's public names use"


def test_every_plugin_is_under_contract() -> None:
    plugins = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    linter = project()["tool"]["importlinter"]
    assert set(linter["root_packages"]) == plugins | {"robench"}
    assert set(contract("core")["forbidden_modules"]) == plugins
    assert set(contract("plugins")["modules"]) == plugins
    assert set(contract("public")["source_modules"]) == plugins
    assert set(contract("circles")["ancestors"]) == plugins | {"robench"}
    assert set(project()["project"]["entry-points"]["robench"]) == plugins


def test_the_steps_are_the_same_on_the_page_in_the_picture_and_in_the_code() -> None:
    steps = [row[0] for row in table(PAGE, "| step |")]
    drawn = [name for _, name in texts("data-flow.svg")]
    assert set(steps) | {"record", "twin", "deployed"} == set(drawn)
    assert len(steps) == 10
    assert sorted(drawn) == sorted(set(drawn))


def test_where_to_look_is_there() -> None:
    for _, place in table(PAGE, "| question |"):
        assert Path(ROOT, place.strip("`")).is_file(), place
