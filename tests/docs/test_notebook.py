"""The tutorial's notebook runs from its first cell to its last, and is kept without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import DOCS, ROOT

NOTEBOOK = DOCS / "tutorial/own-network.ipynb"


@pytest.fixture
def book() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-any-return]


def test_it_is_kept_without_outputs(book: nbformat.NotebookNode) -> None:
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.filterwarnings("ignore")  # the kernel's sockets are Jupyter's own
def test_it_runs_from_own_data_to_a_certified_record(
    book: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'plugins'}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "\n".join(
        str(output.get("text") or output.get("data", {}).get("text/plain", ""))
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "expected an option of evaluate, got 'atack'; did you mean 'attack'?" in said
    assert re.search(r"certified \d+% <= unbroken \d+%", said)
    assert re.search(r"^pass - ", said, re.MULTILINE)
    assert "not kept" in said
    assert len(list((tmp_path / "results").glob("*/record.json"))) == 1
