"""What a person reads of a record, on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robench.base.text import one_line, visible
from robench.cli.terminal import print_line, print_prose, print_text, width
from robench.core.record import Record
from robench.records.consistent import contradiction
from robench.records.headline import audit_table
from robench.records.sheet import sheet
from robench.records.store import read_outcomes


def print_red(text: str) -> None:
    """Print what no reader may miss, among what people read."""
    print_prose(text, "red")


def say_fault(record: Record, folder: Path, say: Callable[[str], None]) -> bool:
    """Say how a record contradicts itself, if it does; returns whether it does."""
    fault = contradiction(record, folder)
    if fault:
        say(f"{one_line(folder)} contradicts itself: {fault}")
    return bool(fault)


def print_record(record: Record, folder: Path, *, json: bool = False) -> None:
    """Print a record's sheet and folder, or its JSON.

    Raises UserError where its outcomes cannot be read.
    """
    if json:
        print(visible(record.model_dump_json(indent=1)))
        return
    for line in sheet(record, read_outcomes(folder), audit_table(folder), width()):
        print_text(line.text, line.style)
    print_line(f"record: {folder}")
