"""The page in a real browser, from disk."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.base.paths import shipped
from robench.base.stats import paired
from robench.core.record import Record
from robench.leaderboard.build import build
from robench.leaderboard.read import claims
from robench.leaderboard.table.site import make_site
from robench.records import store as results
from robench.records.preview import drawn, picture, strips
from robench.records.protocols import Protocol
from tests.leaderboard.made import protocol
from tests.leaderboard.pages import data, document, rows, texts
from tests.leaderboard.shelf import few, shelf_row, write_site
from tests.leaderboard.test_proof import attest


def column(tab: Any, name: str) -> list[str]:
    """The texts of a column of the shown rows, by the beginning of its heading."""
    found: list[str] = tab.evaluate(
        """(name) => {
          const heads = [...document.querySelectorAll("table.board thead th")];
          const at = heads.findIndex((one) => one.textContent.trim().startsWith(name));
          return [...document.querySelectorAll("table.board tbody tr:not(.group, .folded)")]
            .map((row) => row.children[at].innerText.trim());
        }""",
        name,
    )
    return found


def shown(tab: Any) -> list[str]:
    """The ids of the shown rows."""
    found: list[str] = tab.locator("table.board tbody tr:not(.folded) a").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('href').split('#')[1])"
    )
    return found


def heading(tab: Any, name: str) -> Any:
    return tab.locator("table.board thead th").filter(has_text=name).first


def named(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of the made records, two of which are taken as runs under a named protocol."""
    made = [results.read(folder) for folder in results.folders(source)]
    worst = next(v for one in made for v in one.values if v.metric == "worst_case_accuracy")
    eps = worst.axes["eps"]
    assert isinstance(eps, float)
    under = protocol("tiny_linf", title="tiny <i>data</i>", eps=eps)

    def chosen(record: Record) -> Protocol | None:
        return under if record.seed == 0 else None

    monkeypatch.setattr(claims, "protocol_of", chosen)
    monkeypatch.setattr(claims, "why_open", lambda record: "no protocol was chosen")
    build([source], root / "named")
    return root / "named"


@pytest.fixture
def board(browser: Any, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An open first page with a named protocol and open runs."""
    page = named(records, tmp_path, monkeypatch)
    tab, said = opened(browser, f"file://{page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    yield tab
    assert said == []
    tab.context.close()


def choose(tab: Any, key: str) -> None:
    """Open a tab by its key; nothing is the tab of all rows."""
    tab.click(f"#tabs button[value='{key}']")
    settled(tab)


def loaded(tab: Any) -> set[str]:
    """The data files that the page has asked for."""
    sources = tab.evaluate("[...document.scripts].map((one) => one.src)")
    return {Path(one).stem for one in sources}


def scroll_to_the_end(tab: Any) -> None:
    """Scroll down the table until no more rows come."""
    before = -1
    while (count := len(shown(tab))) != before:
        before = count
        tab.evaluate(
            "() => { const all = document.getElementById('results'); "
            "all.scrollTop = all.scrollHeight; }"
        )
        tab.wait_for_timeout(120)
        settled(tab)


def settled(tab: Any) -> None:
    """Wait for the table to show what was asked for."""
    tab.wait_for_selector("#results[aria-busy=false]")


def test_opens_from_disk_sorts_and_follows_a_link(tab: Any, page: Path) -> None:
    assert "4 rows · open runs" in tab.inner_text("#count")
    tab.click("#more summary")
    tab.check("#chooser input[value^=latency]")
    settled(tab)
    tab.keyboard.press("Escape")
    # Less is better, so the first click brings the quickest up.
    for direction in ("asc", "desc"):
        heading(tab, "latency").click()
        tab.wait_for_url(lambda url, way=direction: way in url)
        texts = [text for text in column(tab, "latency") if text != "·"]
        shown = [float(text.split()[0]) for text in texts]
        assert shown == sorted(shown, reverse=direction == "desc")
        assert shown[0] != shown[1]
    assert set(column(tab, "rank")) == {"open run"}
    name = tab.locator("table.board tbody a").first.inner_text()
    tab.locator("table.board tbody a").first.click()
    tab.wait_for_selector("#provenance-title")
    assert tab.inner_text("h1").startswith(name)
    assert tab.title().startswith(name)
    assert "an open run: no protocol was chosen" in tab.inner_text("dl.about")


slow = pytest.mark.slow


@slow
def test_scripts_write_what_the_server_wrote(browser: Any, page: Path) -> None:
    texts = []
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts)
        tab = context.new_page()
        tab.goto(f"file://{page}/index.html")
        if scripts:
            tab.wait_for_selector("#filters:not([hidden])")
        cells = tab.locator("table.board tbody td.number").all_inner_texts()
        texts.append([text.split() for text in cells if text.strip()])
        context.close()
    assert texts[0] == texts[1]


@slow
def test_a_protocol_is_a_tab_and_open_runs_stand_apart(board: Any) -> None:
    """The page opens with the protocol; what it fixes stands above its table, as text."""
    tab = board
    assert re.search(r"2 rows · tiny <i>data</i> 0?[.\d/]+$", tab.inner_text("#count"))
    assert sorted(column(tab, "rank"))[0] == "1"
    tab.click("#about summary")
    about = tab.inner_text("#about")
    assert "tiny_linf version 1" in about
    assert "robust accuracy, L∞ ε = " in about
    choose(tab, "open")
    assert "protocol=open" in tab.url
    assert column(tab, "rank") == ["open run"] * 2
    assert "none of them has a rank" in tab.inner_text("#about")
    choose(tab, "")
    assert "4 rows" in tab.inner_text("#count")
    assert tab.locator("tr.group").count() >= 2
    again = tab.context.new_page()
    again.goto(tab.url)
    again.wait_for_selector("#filters:not([hidden])")
    assert "4 rows" in again.inner_text("#count")
    again.close()


@slow
def test_the_proof_of_a_row_is_a_mark_and_a_filter_that_the_address_keeps(
    browser: Any, records: Path, tmp_path: Path
) -> None:
    shutil.copytree(records, tmp_path / "records")
    folder = next(results.folders(tmp_path / "records"))
    name = attest(folder, tmp_path / "verified")
    build([tmp_path / "records"], tmp_path / "page", tmp_path / "verified")
    tab, said = opened(browser, f"file://{tmp_path}/page/index.html#level=verified")
    tab.wait_for_selector("#filters:not([hidden])")
    assert column(tab, "proof") == ["◆ verified"]
    assert name in tab.locator("table.board tbody a").first.get_attribute("href")
    tab.select_option("select[name=level]", "consistent")
    assert column(tab, "proof") == ["◇ consistent"] * 3
    assert "level=consistent" in tab.url
    again = tab.context.new_page()
    again.goto(tab.url)
    again.wait_for_selector("#filters:not([hidden])")
    assert "3 rows" in again.inner_text("#count")
    assert again.input_value("select[name=level]") == "consistent"
    again.click("#more summary")
    again.click("button[type=reset]")
    assert "level" not in again.url
    assert said == []
    tab.context.close()


@slow
def test_search_and_columns(tab: Any) -> None:
    tab.fill("#search", "no such row")
    assert "0 rows" in tab.inner_text("#count")
    tab.fill("#search", "")
    tab.click("#more summary")
    tab.uncheck("#chooser input[value=clean_accuracy]")
    settled(tab)
    assert heading(tab, "clean").count() == 0
    assert "columns=" in tab.url


@slow
def test_protocols_never_mix_when_sorted(board: Any, tmp_path: Path) -> None:
    tab = board
    choose(tab, "")
    place = {name: row["tab"] for name, row in rows(tmp_path / "named").items()}
    order = [tab["key"] for tab in data(tmp_path / "named", "site")["tabs"]]
    for _ in range(2):
        heading(tab, "clean").click()
        protocols = [order.index(place[name]) for name in shown(tab)]
        assert len(protocols) == 4
        assert protocols == sorted(protocols)


@slow
def test_words_are_those_of_the_records(tab: Any, records: Path) -> None:
    words = dict(zip(shown(tab), column(tab, "audit"), strict=True))
    for folder in results.folders(records):
        record = results.read(folder)
        word = words[record.id].split(maxsplit=1)[1]
        if any(audit.verdict == "fail" for audit in record.audit):
            assert word == "masked"
        elif not record.audit:
            assert word in {"not audited", "broken"}
        else:
            assert word in {"holds", "suspect", "broken"}


@slow
def test_two_rows_compare_as_in_python(board: Any) -> None:
    tab = board
    for box in tab.locator("table.board tbody input[type=checkbox]").all()[:2]:
        box.check()
    tab.click("#compare")
    tab.wait_for_selector("#comparison:not([hidden])")
    assert tab.locator("#comparison tbody tr").count() >= 4
    assert re.search(r"(do not tell|has the higher|different numbers)", tab.inner_text("#message"))
    rng = np.random.default_rng(0)
    for n, share in ((60, 0.5), (1000, 0.1), (1000, 0.999), (9, 0.0)):
        left, right = rng.random(n) < 0.7, rng.random(n) < 0.7 * share
        wanted = paired(left, right)
        arrays = [np.packbits(one).tolist() for one in (left, right)]
        found = tab.evaluate("([a, b, n]) => robench.paired(a, b, n)", [*arrays, n])
        assert found["p"] == pytest.approx(wanted.p_value, rel=1e-9, abs=1e-12)
        for name in ("difference", "low", "high"):
            assert found[name] == pytest.approx(getattr(wanted, name), abs=1e-12)


@slow
@pytest.mark.parametrize("query", ["a=0123456789abcdef&b={}", "a={}&b=x", "a=%2E%2E%2Fx"])
def test_rows_that_are_not_there_are_not_compared(browser: Any, page: Path, query: str) -> None:
    tab, said = opened(
        browser, f"file://{page}/compare.html?{query.format(next(iter(rows(page))))}"
    )
    tab.wait_for_selector("#pick:not([hidden])")
    assert tab.inner_text("#message").startswith("No such row")
    assert tab.locator("#comparison").is_hidden()
    assert tab.locator("#sides article").count() == 0
    assert said == []
    tab.context.close()


@slow
def test_pictures_follow_the_rows(tab: Any) -> None:
    tab.locator("#pictures").scroll_into_view_if_needed()
    tab.wait_for_selector("figure[data-chart=eps] svg")
    assert tab.locator("figure[data-chart=eps] .still").is_hidden()
    tab.emulate_media(media="print")
    assert tab.locator("figure[data-chart=eps] .still").is_visible()
    tab.emulate_media(media="screen")
    tab.fill("#search", "no such row")
    tab.wait_for_selector("#pictures .empty:not([hidden])")
    assert tab.locator("figure:visible").count() == 0


@slow
def test_numbers_are_written_alike(tab: Any) -> None:
    from robench.leaderboard.table.formats import number

    rng = np.random.default_rng(1)
    values = [
        0.0,
        1.0,
        0.5,
        0.12345,
        1e-7,
        999.96,
        1234567.0,
        *rng.random(50),
        *10 ** rng.uniform(-6, 9, 50),
    ]
    for unit in ("share", "s", "bytes", "img/s"):
        for value in map(float, values):
            wanted = number(value, unit)
            assert tab.evaluate("([v, u]) => robench.number(v, u)", [value, unit]) == wanted


def opened(browser: Any, address: str) -> tuple[Any, list[str]]:
    """A tab that lists each breach of its policy as `directive: what`."""
    context = browser.new_context()
    context.add_init_script(
        "window.breaches = []; document.addEventListener('securitypolicyviolation', (event) => "
        "breaches.push(`${event.effectiveDirective}: ${event.blockedURI}`))"
    )
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(address)
    tab.wait_for_load_state("load")
    return tab, said


@slow
def test_no_page_breaks_its_policy(browser: Any, page: Path) -> None:
    ids = sorted(rows(page))
    pages = ["index.html", f"compare.html?a={ids[0]}&b={ids[1]}"]
    for name in [*pages, *(f"row.html#{row}" for row in ids)]:
        tab, said = opened(browser, f"file://{page}/{name}")
        tab.click("#theme")
        if name.startswith("row.html"):
            tab.wait_for_selector("#provenance-title")
        if name == "index.html":
            tab.locator("#pictures").scroll_into_view_if_needed()
            tab.wait_for_selector("figure[data-chart=eps] svg")
            tab.locator("figure[data-chart=eps] path[aria-roledescription=point]").last.hover()
            tab.wait_for_selector(".tip:not([hidden])")
        assert tab.evaluate("breaches") == said == [], name
        tab.context.close()


@slow
@pytest.mark.parametrize(
    ("added", "directive"),
    [
        ("<script>document.title = 'mine'</script>", "script-src-elem"),
        ("<script src='https://example.org/x.js'></script>", "script-src-elem"),
        ("<img src='data:image/png;base64,AAAA'>", "img-src"),
        ("<img src='https://example.org/x.png'>", "img-src"),
        ("<p style='color: red'>x</p>", "style-src-attr"),
        ("<iframe src='https://example.org'></iframe>", "frame-src"),
    ],
)
def test_the_policy_holds_what_escaping_might_miss(
    added: str, directive: str, browser: Any, page: Path, tmp_path: Path
) -> None:
    shutil.copytree(page, tmp_path / "page")
    file = tmp_path / "page" / "index.html"
    file.write_text(file.read_text().replace("</main>", f"{added}</main>"))
    tab, _ = opened(browser, f"file://{file}")
    tab.wait_for_selector("#filters:not([hidden])")
    assert tab.evaluate("breaches.map((one) => one.split(':')[0])") == [directive]
    assert tab.title() != "mine"
    tab.context.close()


def violations(tab: Any) -> list[str]:
    """What axe finds, everything unfolded."""
    axe = pytest.importorskip("axe_playwright_python")
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    tab.add_script_tag(path=Path(axe.__file__).parent / "axe.min.js")
    found: list[str] = tab.evaluate(
        "axe.run().then((all) => all.violations.map((one) => "
        "one.id + ': ' + one.nodes.map((n) => n.target.join(' ')).join(', ')))"
    )
    return found


@slow
@pytest.mark.parametrize("width", [1440, 420])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible_and_inside_the_window(
    browser: Any, page: Path, width: int, theme: str, tmp_path: Path
) -> None:
    ids = sorted(rows(page))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True
    )
    for name in (
        "index.html",
        f"compare.html?a={ids[0]}&b={ids[1]}",
        f"row.html#{ids[0]}",
    ):
        tab = context.new_page()
        tab.goto(f"file://{page}/{name}")
        tab.wait_for_selector(
            {"i": "#filters", "c": "#comparison tbody tr", "r": "canvas"}[name[0]]
        )
        picture = tab.screenshot(path=tmp_path / "page.png", full_page=True)
        assert len(picture) > 10_000
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(tab) == [], name
        tab.close()
    context.close()


# -- many rows -------------------------------------------------------------------------------------


def many(records: Path, out: Path, count: int) -> None:
    """A page of `count` rows in several blocks: the made ones with other numbers; no documents."""
    made = build([records], out / "made").rows
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        row = made[number % len(made)]
        cells = {
            column: cell if cell.value is None else replace(cell, value=cell.value * rng.random())
            for column, cell in row.cells.items()
        }
        name = hashlib.sha256(str(number).encode()).hexdigest()[:16]
        bits = int(rng.choice([4, 8, 32]))
        found.append(replace(row, id=name, recipe=name, origin=name, bits=bits, cells=cells))
    write_site(make_site(found, []), out / "many", shipped("leaderboard/template"))


@slow
def test_many_rows_are_chosen_and_ordered_as_in_python(
    browser: Any, records: Path, tmp_path: Path
) -> None:
    many(records, tmp_path, 2300)
    page = tmp_path / "many"
    site, every = data(page, "site"), rows(page)
    assert len(list((page / "data").glob("open-[0-9].js"))) == 3
    groups = [
        number for number, one in enumerate(site["tabs"][0]["groups"]) for _ in range(one["rows"])
    ]
    clean = next(n for n, one in enumerate(site["columns"]) if one["key"] == "clean_accuracy")
    place = {name: (group, at) for at, (name, group) in enumerate(zip(every, groups, strict=True))}

    def wanted(sign: int, **fields: Any) -> list[str]:
        chosen = [n for n, row in every.items() if all(row[k] == v for k, v in fields.items())]

        def order(name: str) -> tuple[Any, ...]:
            value = every[name]["numbers"].get(clean)
            return place[name][0], value is None, sign * (value or 0.0), place[name][1]

        return sorted(chosen, key=order)

    tab, said = opened(browser, f"file://{page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    assert "open-0" in loaded(tab)
    assert "open-2" not in loaded(tab)
    assert shown(tab) == list(every)[: len(shown(tab))]
    for sign in (-1, 1):
        heading(tab, "clean").click()
        settled(tab)
        assert shown(tab) == wanted(sign)[: len(shown(tab))]
        assert 50 <= len(shown(tab)) <= 200
    scroll_to_the_end(tab)
    assert shown(tab) == wanted(1)
    assert "open-2" in loaded(tab)
    tab.select_option("select[name=bits]", "8")
    settled(tab)
    assert shown(tab) == wanted(1, bits=8)[: len(shown(tab))]
    assert f"{len(wanted(1, bits=8)):,} rows" in tab.inner_text("#count")
    label = every[shown(tab)[0]]["name"]
    tab.fill("#search", f'{label.upper()[:8]} "{label}"')
    settled(tab)
    assert shown(tab) == wanted(1, bits=8, name=label)[: len(shown(tab))]
    again = tab.context.new_page()
    again.goto(tab.url)
    again.wait_for_selector("#filters:not([hidden])")
    assert shown(again)[:50] == shown(tab)[:50]
    assert said == []
    tab.context.close()


# -- the page of a row -----------------------------------------------------------------------------


def row_of(browser: Any, page: Path, row: str) -> tuple[Any, list[str]]:
    tab, said = opened(browser, f"file://{page}/row.html#{row}")
    tab.wait_for_selector("#provenance-title")
    return tab, said


@slow
def test_the_page_of_a_row_shows_its_document_as_text(browser: Any, page: Path) -> None:
    for row in rows(page):
        found = document(page, row)
        tab, said = row_of(browser, page, row)
        main = tab.evaluate("document.querySelector('main').textContent").replace("\xa0", " ")
        told = [found["warnings"], found["facts"], found["again"], found["agreement"]]
        told += [[f"robench verify {row}"], found["unaudited"].split("`")[0]]
        told += [found["versions"]]
        for audit in found["audits"]:
            told += [[audit["about"], audit["weak"]], audit["findings"]]
        for text in texts(told).splitlines():
            assert text.replace("\xa0", " ") in main
        told += [found["believe"], found["cite"].splitlines()]
        lines = sum(len(its) for *_, its in found["values"]["groups"])
        assert tab.locator("table.values tbody tr").count() == lines
        assert tab.locator("figure canvas").count() == len(found["strips"])
        assert not tab.locator("#values").evaluate("(one) => one.open")
        assert tab.locator("main b, main i").count() == 0
        assert said == []
        tab.context.close()


@slow
def test_a_row_shows_the_pixels_of_its_preview(browser: Any, records: Path, page: Path) -> None:
    """Clean images, adversarial ones, and the difference, which the browser computes."""
    seen = 0
    for folder in results.folders(records):
        if not (data := picture(folder)):
            continue
        count = len(results.read_outcomes(folder).attacked)
        wanted = np.concatenate([drawn(one) for one in strips(data, count)])
        tab, _ = row_of(browser, page, results.read(folder).id)
        tab.wait_for_selector("canvas[height]")
        found = [
            np.array(pixels, np.uint8).reshape(height, -1, 4)
            for height, pixels in tab.locator("canvas").evaluate_all(
                """(all) => all.map((one) => [one.height,
                  [...one.getContext("2d").getImageData(0, 0, one.width, one.height).data]])"""
            )
        ]
        opaque = wanted[..., 3] == 255
        np.testing.assert_array_equal(np.concatenate(found)[opaque], wanted[opaque])
        seen += 1
        tab.context.close()
    assert seen


def test_an_id_made_longer_is_found_by_its_beginning(browser: Any, page: Path) -> None:
    tab, said = opened(browser, f"file://{page}/index.html")
    tab.locator("table.board tbody a").first.click()
    tab.wait_for_selector("#cite")
    whole = tab.evaluate("location.hash.slice(1)")
    tab.goto("about:blank")
    tab.goto(f"file://{page}/row.html#{whole[:-1]}")
    tab.wait_for_selector("h1")
    assert tab.inner_text("h1") == "Which row?"
    tab.get_by_role("link", name=whole).click()
    tab.wait_for_selector("#cite")
    assert tab.evaluate("breaches") == said == []
    tab.context.close()


@slow
@pytest.mark.parametrize("address", ["", "#", "#0123456789abcdef", "#../../x", "#<img src=x>"])
def test_an_id_that_no_row_has_is_told(browser: Any, page: Path, address: str) -> None:
    tab, said = opened(browser, f"file://{page}/row.html{address}")
    tab.wait_for_selector("h1")
    assert tab.inner_text("h1") == "No such row"
    sources = tab.evaluate("[...document.scripts].map((one) => one.getAttribute('src'))")
    assert all(re.fullmatch(r"(assets/\w+|data/(site|rows-\d+))\.js", one) for one in sources)
    assert tab.locator("main img").count() == 0
    assert tab.evaluate("breaches") == said == []
    tab.context.close()


@slow
def test_what_the_screen_shows_is_saved_as_csv(browser: Any, page: Path) -> None:
    import pandas as pd

    tab, said = opened(browser, f"file://{page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    heading(tab, "clean").click()
    settled(tab)
    tab.click("#more summary")
    with tab.expect_download() as download:
        tab.click("#csv")
    frame = pd.read_csv(download.value.path())
    assert frame.record.tolist() == shown(tab)
    clean = [float(text.split()[0]) for text in column(tab, "clean")]
    np.testing.assert_allclose(100 * frame["clean"], clean, atol=0.051)
    assert (frame["clean low"] <= frame["clean"]).all()
    row = frame.record[0]
    tab.goto(f"file://{page}/row.html#{row}")
    tab.wait_for_selector("#provenance-title")
    tab.click("#values summary")
    with tab.expect_download() as download:
        tab.click("#values button")
    saved = pd.read_csv(download.value.path())
    assert len(saved) == tab.locator("table.values tbody tr").count()
    assert saved[saved.metric == "clean accuracy"].value[0] == pytest.approx(frame["clean"][0])
    assert said == []
    tab.context.close()


# -- what a reader finds at once -------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a float network ahead, its int8 child, three seeds and one that broke."""
    out = tmp_path_factory.mktemp("shelf")
    write_site(make_site(few(), []), out, shipped("leaderboard/template"))
    return out


SIZES = [(1400, 900), (800, 900), (390, 844)]


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=slow)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_first_screen_answers(
    browser: Any, shelf_page: Path, size: tuple[int, int], theme: str
) -> None:
    """The best row of at most 8 bits, whether to trust it and what it costs, without scrolling."""
    context = browser.new_context(
        viewport=dict(zip(("width", "height"), size, strict=True)),
        color_scheme=theme,
        bypass_csp=True,
    )
    tab = context.new_page()
    tab.goto(f"file://{shelf_page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert tab.evaluate("results.scrollWidth") <= tab.evaluate("results.clientWidth")
    answer = tab.locator("article.answer").filter(has_text="at most 8 bits")
    row = tab.locator("table.board tbody tr").first
    for place, wanted in (
        (answer, ("36.0", "adversarial_training · qat_int8", "◆ verified", "● holds", "16 kB")),
        (row, ("36.0", "adversarial_training · qat_int8", "◆ verified", "● holds", "8")),
    ):
        box = place.bounding_box()
        assert box["y"] + box["height"] <= size[1]
        for text in wanted:
            one = place.get_by_text(text).locator("visible=true").first
            its = one.bounding_box()
            assert its["x"] >= 0, text
            assert its["x"] + its["width"] <= size[0], text
    assert violations(tab) == []
    context.close()


@pytest.mark.parametrize("width", [380, 700])
def test_a_narrow_window_ranks_and_compares_too(browser: Any, shelf_page: Path, width: int) -> None:
    """A telephone, and a screen at 200 %: nothing that a reader does there is gone."""
    tab, said = opened(browser, f"file://{shelf_page}/index.html")
    tab.set_viewport_size({"width": width, "height": 780})
    tab.wait_for_selector("#filters:not([hidden])")
    settled(tab)
    assert tab.evaluate("results.scrollWidth") <= tab.evaluate("results.clientWidth")
    first = tab.locator("table.board tbody tr").first.inner_text()
    assert re.search(r"\brank \d" if width < 560 else r"^\d", first.strip())
    boxes = tab.locator("table.board tbody input[type=checkbox]").locator("visible=true")
    ids = [boxes.nth(at).get_attribute("value") for at in (0, 1)]
    boxes.nth(0).check()
    boxes.nth(1).check()
    # The chooser tells what is shown, and brings what a narrow window leaves out.
    tab.click("#more summary")
    box = tab.locator("#chooser input[value=against_float]")
    assert not box.is_checked()
    box.check()
    settled(tab)
    assert heading(tab, "against float").is_visible()
    tab.keyboard.press("Escape")
    assert said == []
    # The shelf has no documents to compare.
    tab.click("#compare")
    tab.wait_for_url(f"**/compare.html?a={ids[0]}&b={ids[1]}")
    tab.context.close()


def test_back_undoes_a_choice(browser: Any, shelf_page: Path) -> None:
    tab, said = opened(browser, f"file://{shelf_page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    settled(tab)
    steps = [shown(tab)]
    heading(tab, "network").click()
    settled(tab)
    heading(tab, "network").click()
    settled(tab)
    steps.append(shown(tab))
    tab.select_option("select[name=word]", "broken")
    settled(tab)
    steps.append(shown(tab))
    assert len({*map(tuple, steps)}) == 3
    for letters in ("z", "zz", "zzz"):
        tab.fill("#search", letters)
        settled(tab)
    assert shown(tab) == []
    for wanted, back in zip(reversed(steps), (1, 1, 2), strict=True):
        tab.evaluate(f"history.go(-{back})")
        tab.wait_for_timeout(100)
        settled(tab)
        assert shown(tab) == wanted
    assert tab.input_value("#search") == ""
    assert said == []
    tab.context.close()


def test_one_network_is_compared_with_none(browser: Any, records: Path, tmp_path: Path) -> None:
    build([next(results.folders(records))], tmp_path / "alone")
    tab, said = opened(browser, f"file://{tmp_path}/alone/compare.html")
    tab.wait_for_function("document.getElementById('message').textContent")
    assert tab.inner_text("#message") == "This page has one network; a comparison takes two."
    assert tab.locator("#pick").is_hidden()
    assert said == []
    tab.context.close()


def test_float_parents_and_seeds_unfold_below_their_line(browser: Any, shelf_page: Path) -> None:
    tab, said = opened(browser, f"file://{shelf_page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    assert "3 rows, 7 networks" in tab.inner_text("#count")
    assert "ranks count folded float parents" in tab.inner_text("#count")
    assert shown(tab) == ["0000000b", "00000012", "0000000c"]
    assert column(tab, "against float")[0].split()[0] == "−6.0"
    buttons = tab.locator("button.unfold")
    assert buttons.all_inner_texts() == ["float parent", "3 networks", "float parent"]
    # The best of all is a float parent: nobody looks for it in vain.
    assert "42.0" in tab.inner_text("article.answer:last-child")
    assert "float parent" in tab.inner_text("tr.folded")
    assert tab.locator("tr.folded a").get_attribute("href") == "row.html#0000000a"
    buttons.nth(1).click()
    tab.wait_for_function("document.querySelectorAll('tr.folded').length === 4")
    seeds = [text for text in tab.locator("tr.folded a").all_inner_texts() if "seed" in text]
    assert seeds == ["seed 2", "seed 1", "seed 0"]
    assert column(tab, "robust")[1].split() == ["21.0", "20.0–22.0"]
    buttons.first.click()
    assert tab.locator("tr.folded").count() == 3
    # A float network that nothing shown was made of stands by itself.
    tab.select_option("select[name=bits]", "32")
    settled(tab)
    assert shown(tab) == ["0000000a", "0000000d"]
    tab.select_option("select[name=bits]", "8-")
    settled(tab)
    assert "0000000a" not in shown(tab)
    assert said == []
    tab.context.close()


def test_a_verified_float_parent_keeps_its_line_beside_a_child_that_proves_less(
    browser: Any, tmp_path: Path
) -> None:
    proven = shelf_row("0000000a", 0.5, level="verified")
    forged = shelf_row("0000000b", 0.4, compressor="ptq")
    write_site(make_site([proven, forged], []), tmp_path / "out", shipped("leaderboard/template"))
    tab, said = opened(browser, f"file://{tmp_path}/out/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    assert shown(tab) == ["0000000a", "0000000b"]
    assert tab.locator("button.unfold").count() == 0
    assert column(tab, "against float")[1].split()[0] == "−10.0"
    assert said == []
    tab.context.close()


@slow
def test_filters_offer_what_their_tab_has(browser: Any, tmp_path: Path) -> None:
    alone = shelf_row("000000ee", 0.3, word="suspect", level="reported", under=None)
    write_site(make_site([*few(), alone], []), tmp_path / "two", shipped("leaderboard/template"))
    tab, said = opened(browser, f"file://{tmp_path}/two/index.html#word=suspect")
    tab.wait_for_selector("#filters:not([hidden])")

    def offered(name: str) -> list[str]:
        options = tab.locator(f"select[name={name}] option").all()
        return [text for one in options if (text := one.get_attribute("value"))]

    # What is asked stands there although no row passes, and can be taken back.
    assert tab.input_value("select[name=word]") == "suspect"
    assert shown(tab) == []
    tab.select_option("select[name=word]", "")
    settled(tab)
    assert offered("word") == ["broken", "holds"]
    assert offered("bits") == ["8-", "8", "32"]
    assert "reported" not in offered("level")
    choose(tab, "open")
    assert [offered(name) for name in ("word", "bits", "level")] == [
        ["suspect"],
        ["32"],
        ["reported"],
    ]
    assert tab.evaluate("location.hash") == "#protocol=open"
    assert said == []
    tab.context.close()


@slow
def test_nothing_is_marked_good_that_is_not(browser: Any, shelf_page: Path) -> None:
    """Green stands beside a number that its audit bears out, and beside nothing else."""
    tab, _ = opened(browser, f"file://{shelf_page}/index.html")
    tab.wait_for_selector("#filters:not([hidden])")
    green = tab.evaluate(
        """() => { const probe = document.createElement("p"); probe.style.color = "var(--pass)";
          document.body.append(probe); const green = getComputedStyle(probe).color; probe.remove();
          return [...document.querySelectorAll("table.board tbody .verdict")]
            .filter((one) => getComputedStyle(one).color === green && one.offsetParent)
            .map((one) => one.textContent); }"""
    )
    assert set(green) == {"● holds"}
    # Two lines, and the float parent that answers for the best of all.
    assert len(green) == 3
    for text, word in zip(column(tab, "robust"), column(tab, "audit"), strict=True):
        assert (float(text.split()[0]) < 1) == word.startswith("✕ broken")
    tab.context.close()
