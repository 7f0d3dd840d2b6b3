"""Records of the embedded data, made once: an int8 program, a float network, certificates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import robench
from robench.core.record import Record
from robench.run.config import Places
from robench.training.recipe import TrainConfig


def evaluated(places: Places, **options: object) -> Record:
    """A small record of digits."""
    given: dict[str, object] = {
        "attack": ["fgsm", "pgd"],
        "images": 120,
        "train": TrainConfig(epochs=3),
        "audit": "quick",
        "places": places,
        **options,
    }
    return robench.evaluate("small_cnn", "digits", **given)


def made_places(root: Path) -> Places:
    return Places(results=root / "results", cache=root / "cache", threads=1)


@pytest.fixture(scope="session")
def program_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an audited int8 record."""
    places = made_places(tmp_path_factory.mktemp("program"))
    return places.results / evaluated(places, compressor="qat_int8").id


@pytest.fixture(scope="session")
def other_record(program_record: Path) -> Path:
    """The same from another seed."""
    places = made_places(program_record.parents[1])
    return places.results / evaluated(places, compressor="qat_int8", seed=1).id


@pytest.fixture(scope="session")
def float_record(program_record: Path) -> Path:
    """The folder of an audited float record."""
    places = made_places(program_record.parents[1])
    return places.results / evaluated(places, attack="pgd").id


@pytest.fixture(scope="session")
def unaudited_record(program_record: Path) -> Path:
    """The folder of an int8 record without an audit."""
    places = made_places(program_record.parents[1])
    return places.results / evaluated(places, compressor="qat_int8", audit="off").id


@pytest.fixture(scope="session")
def small_record(program_record: Path) -> Path:
    """The folder of a record of 20 images, one of whose threats is audited."""
    places = made_places(program_record.parents[1])
    return (
        places.results
        / evaluated(places, compressor="qat_int8", attack=["pgd", "cw"], images=20).id
    )


@pytest.fixture(scope="session")
def certified_record(program_record: Path) -> Path:
    """The folder of a record of certificates alone."""
    places = made_places(program_record.parents[1])
    record = evaluated(
        places,
        attack=[],
        audit="off",
        images=12,
        compressor="qat_int8",
        defense="intrs",
        metric=["accuracy", "certified"],
        certifier=robench.registry().get("certifier", "sequential").make(n1=20, n2=300, alpha=0.01),
    )
    return places.results / record.id


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a record to a folder of the test's own."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy" / folder.name))

    return copy
