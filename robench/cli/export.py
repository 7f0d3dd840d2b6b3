"""`robench export`: a deployed model as a file to ship."""

from __future__ import annotations

import argparse
from pathlib import Path

from robench.base.files import require_writable
from robench.base.machine import resume_collector
from robench.cli.main import report_broken

HELP = "the deployed model as a file to ship"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record", help="its folder or the beginning of its id")
    parser.add_argument("--format", choices=("c", "onnx"), default="c")
    parser.add_argument("--out", type=Path, default=Path(), help="where the file goes")


def run(options: argparse.Namespace) -> int:
    """Print the file's path, and how far ONNX runtimes agree with the program."""
    from robench.cli.terminal import print_line, print_text
    from robench.records.store import find
    from robench.replay.export import export
    from robench.run.config import Places

    require_writable(options.out, "--out")
    resume_collector()
    report_broken()
    places = Places.from_environment()
    exported = export(find(options.record, places.results), options.format, options.out, places)
    print_line(str(exported.path))
    if exported.path.suffix == ".onnx":
        print_text("not bit-exact: runtimes requantise in floats, the integer program does not")
        print_text("it takes pixels from 0 to 255: model=file model.file.scale=byte judges it")
        for runtime, share in exported.agreement.items():
            of = f"{share:.2%} of {exported.images:,} images"
            print_text(f"{runtime}: the program's label on {of}")
    return 0
