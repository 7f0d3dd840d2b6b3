"""Templates to HTML: autoescaped, so that nothing in a record can become markup."""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import cache, lru_cache
from typing import Any

import jinja2
import markupsafe

from robench.base.paths import shipped
from robench.base.text import visible
from robench.leaderboard.table import formats
from robench.records.words import CALLED

BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


@cache
def environment() -> jinja2.Environment:
    """The Jinja environment of the shipped templates."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("leaderboard/template")),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        number=formats.number,
        interval=formats.interval,
        points=formats.points,
        breakable=breakable,
    )
    found.globals.update(words=formats.WORDS, called=CALLED, levels=formats.LEVEL_MARKS)
    return found


def _shown(value: Any) -> Any:
    """A text without hidden characters; what is markup was made of such texts."""
    return visible(value) if type(value) is str else value


def page(name: str, root: str = "", **values: Any) -> str:
    """A filled template; `root` leads back to the site's first page."""
    return environment().get_template(name).render(root=root, **values)


def breakable(name: str) -> markupsafe.Markup:
    """A name that a narrow column may break after an underscore."""
    return markupsafe.escape(visible(name)).replace("_", markupsafe.Markup("_<wbr>"))


def script(name: str, value: Any) -> tuple[str, str]:
    """A data file, its path and text: pages may not fetch, so a script hands the value over."""
    return f"data/{name}.js", f"robench.take({compact(name)}, {compact(value)});\n"


def packed(name: str, text: str) -> tuple[str, str]:
    """A data file of JSON, deflated: a fifth of its bytes; a page reads it when it is asked for."""
    deflated = base64.b64encode(zlib.compress(text.encode())).decode()
    return f"data/{name}.js", f'robench.packed({compact(name)}, "{deflated}");\n'


def compact(value: Any) -> str:
    """JSON in ASCII without spaces; raises ValueError for NaN."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def in_ascii(text: str) -> str:
    """The same JSON with every character beyond ASCII escaped."""
    return BEYOND_ASCII.sub(lambda found: _escaped(found[0]), text)


@lru_cache(4096)
def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]
