"""The documentation as tests read it: pages, their code blocks, links, headings and commands."""

from __future__ import annotations

import importlib.util
import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
TEXTS = [
    *(DOCS / page for page in PAGES),
    ROOT / "README.md",
    ROOT / "examples/robench-example/README.md",
]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def _hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generated = _hooks()


def written(page: str | Path) -> str:
    """A page as its author wrote it, without what the code generates."""
    return (DOCS / page).read_text(encoding="utf-8")


def filled(path: Path) -> str:
    """A page as a reader sees it, its generated parts filled in."""
    text: str = generated.on_page_markdown(path.read_text(encoding="utf-8"))
    return text


@dataclass(frozen=True)
class Block:
    """A block of code: its page, language and text."""

    path: Path
    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Fenced blocks, and paragraphs indented by four spaces."""
    text = path.read_text(encoding="utf-8")
    fenced = [
        Block(path, language, textwrap.dedent(code)) for _, language, code in FENCE.findall(text)
    ]
    rest = FENCE.sub("", text)
    indented = re.findall(r"(?:^    .+\n)+", rest, re.MULTILINE)
    return fenced + [Block(path, "", textwrap.dedent(code)) for code in indented]


def code_spans(path: Path) -> set[str]:
    """Everything between single backticks outside blocks."""
    return set(re.findall(r"`([^`\n]+)`", FENCE.sub("", path.read_text(encoding="utf-8"))))


def commands() -> list[tuple[str, list[str]]]:
    """Every `robench ...` line of every block: where it stands, and its arguments."""
    found = []
    for path in TEXTS:
        for block in blocks(path):
            for line in block.text.replace("\\\n", " ").splitlines():
                if match := re.match(r"(?:\$ )?robench (\S.*)", line):
                    where = f"{path.relative_to(ROOT)}: {line.strip()}"
                    found.append((where, shlex.split(match[1], comments=True)))
    return found


def anchors(path: Path) -> set[str]:
    """The ids of a page's headings, as mkdocs makes them."""
    text = FENCE.sub("", filled(path))
    given = set(re.findall(r"\{ #([\w.-]+) \}", text))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return given | {re.sub(r"[\s]+", "-", heading) for heading in plain}


def table(page: str, header: str) -> list[list[str]]:
    """The rows of the table whose header line starts so, as cells."""
    lines = written(page).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(header))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows
