"""A collection of records: processor seconds and memory to build its page, to add one record, to
load all values, and to show and sort the table.

python -m benchmarks.leaderboard [--records 10000] [--large] [--work DIR] [--chromium FILE]

A tenth as many are measured too, and with `--large` ten times as many. Targets stand beside each
figure; they are of 10,000 records and, with `--large`, of 100,000. The records are published ones
with other answers (their making is not counted). Seconds are of the processor, of all processes
together, importing robench among them, which is told apart: as byte code, which an installed
robench has. The load is that of the system, when a command ends.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.made_records import copy_records, make_records

SMALL = {"build": "30 s, 300 MB", "page": "60 MB, 1,000 files", "add": "2 s"}
LARGE = {"build": "360 s, 1,000 MB", "load": "60 s, 500 MB", "again": "10 s, 500 MB"}
NONE = dict.fromkeys(("build", "page", "add", "load", "again"), "none")
ADDED = 10_000_001
"""The record that is added: of the protocol whose tab stands first, so that no tab moves."""
IMPORTS = "import robench.leaderboard.build"
BYTE_CODE = tempfile.TemporaryDirectory(prefix="robench-byte-code-")
LOAD = "import sys, robench; print(f'{len(robench.results.load(sys.argv[1])):,} values')"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--large", action="store_true", help="ten times as many, too")
    parser.add_argument("--work", type=Path, help="a folder to keep; what lies there is used again")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="empty: no browser")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="robench-leaderboard-"))
    records, few = work / "records", work / "few-records"
    for root, count in ((few, options.records // 10), (records, options.records)):
        if not root.exists():
            make_records(root, count)
    for name in ("writing byte code", "importing robench"):
        _run(name, ["-c", IMPORTS], work / "none", "none")
    measure(few, work / "few", NONE)
    measure(records, work / "small", {**NONE, **SMALL})
    if options.chromium:
        browse(work / "small" / "page", options.chromium)
    if options.large:
        large = work / "large-records"
        if not large.exists():
            for part in range(10):
                copy_records(records, large / str(part), 1_000_000 * part)
        measure(large, work / "large", {**NONE, **LARGE})


def measure(records: Path, work: Path, targets: dict[str, str]) -> None:
    """Everything but the browser, each in a process of its own with a cache of this run."""
    print(f"-- {sum(1 for _ in records.glob('**/record.json')):,} records")
    shutil.rmtree(work, ignore_errors=True)
    page, added = work / "page", records / "added"
    shutil.rmtree(added, ignore_errors=True)
    build = "-m", "robench", "leaderboard", str(records), "--out"
    _run("from nothing", [*build, str(page)], work / "cache", targets["build"])
    files = [path for path in page.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"page {size:.1f} MB in {len(files):,} files (target {targets['page']})")
    _run("nothing changed", [*build, str(page)], work / "cache", "none")
    make_records(added, 1, first=ADDED)
    _run("one record added", [*build, str(page)], work / "cache", targets["add"])
    _run("the same from nothing", [*build, str(work / "again")], work / "other", "none")
    print(f"page equal to one built from nothing: {_equal(page, work / 'again')}")
    shutil.rmtree(added)
    load = "-c", LOAD, str(records)
    _run("results.load from nothing", load, work / "loaded", targets["load"])
    _run("results.load with the store", load, work / "loaded", targets["again"])


def _run(name: str, command: Iterable[str], cache: Path, target: str) -> None:
    """In a process of its own, so that the peak memory is its own."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)"
    )
    settings = {**os.environ, "ROBENCH_CACHE": str(cache)}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    settings["PYTHONPYCACHEPREFIX"] = BYTE_CODE.name
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *command],
        check=True,
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
    )
    *said, last = done.stdout.strip().splitlines()
    cpu, peak = map(float, last.split())
    print(
        f"{name}: {cpu:.1f} s of processor, largest process {peak:,.0f} MB (target {target}; "
        f"{time.perf_counter() - start:.0f} s by the clock, load {os.getloadavg()[0]:.1f}; "
        f"{said[-1] if said else ''})",
        flush=True,
    )


def _equal(first: Path, second: Path) -> bool:
    names = [sorted(str(p.relative_to(at)) for p in at.rglob("*")) for at in (first, second)]
    files = [name for name in names[0] if (first / name).is_file()]
    return names[0] == names[1] and filecmp.cmpfiles(first, second, files, False)[0] == files


def browse(page: Path, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        first, ready, sorts = [], [], []
        for _ in range(3):
            tab = browser.new_page()
            start = time.perf_counter()
            tab.goto(f"file://{page.resolve()}/index.html#protocol=all", wait_until="commit")
            tab.wait_for_selector("table.board tbody tr td")
            first.append(time.perf_counter() - start)
            tab.wait_for_selector("#filters:not([hidden])")
            ready.append(time.perf_counter() - start)
            sorts += [tab.evaluate(SORT, name) for name in ("clean", "robust", "bits", "clean")]
            tab.close()
        browser.close()
    print(f"first rows after {_range(first)} (target 1.0), scripts ready after {_range(ready)}")
    print(f"sorted in {_range(sorts)} (target 0.2)")


# Click the heading, wait for the table to be drawn and for the next frame: what a reader sees.
SORT = """async (name) => {
  const heads = [...document.querySelectorAll("table.board thead th")];
  const head = heads.find((one) => one.textContent.startsWith(name));
  const drawn = new Promise((done) =>
    document.addEventListener("rowschange", done, { once: true }));
  const start = performance.now();
  head.click();
  await drawn;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return (performance.now() - start) / 1000;
}"""


def _range(seconds: list[float]) -> str:
    return f"{np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
