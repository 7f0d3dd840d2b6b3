"""A record shows itself: text, HTML, frame, CSV, LaTeX, figure; and what is not there is said."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

import robench
from robench.base.errors import UserError
from robench.core.record import Record
from robench.records.sheet import sheet
from robench.records.shown import ShownRecord, shown
from robench.run.config import Places
from robench.testing.tiny import tiny_data, tiny_network
from tests.cli.command import command


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> ShownRecord:
    """A record of two attacks at two eps, which lies in a folder."""
    root = tmp_path_factory.mktemp("kept")
    return robench.evaluate(
        tiny_network(),
        tiny_data(),
        attack={"fgsm": {}, "pgd": {"steps": 2}},
        threat=robench.ThreatConfig(norm="linf", eps=["8/255", 0.1]),
        images=20,
        audit="off",
        places=Places(results=root / "results", cache=root / "cache", threads=1),
    )


def test_it_prints_as_a_table_and_says_where_it_lies(kept: ShownRecord) -> None:
    text = str(kept)
    assert repr(kept) == text
    assert "linf 8/255" in text
    assert "worst case" in text
    assert text.endswith(f"record: {kept.folder}")
    assert "network: as given, not trained in this run" in text


def test_it_is_the_record_that_was_kept(kept: ShownRecord) -> None:
    assert kept.folder is not None
    again = robench.results.read(kept.id[:6], kept.folder.parent)
    plain = Record.model_validate_json(kept.model_dump_json())
    assert again == kept == plain == again
    assert str(again) == str(kept)
    assert pickle.loads(pickle.dumps(kept)) == kept
    assert set(robench.results.load(kept.folder.parent)["record"]) == {kept.id}
    assert kept != plain.model_copy(update={"seed": 9})


def test_what_was_not_kept_says_so(kept: ShownRecord) -> None:
    assert kept.folder is not None
    loose = shown(kept, kept.folder, kept=False)
    assert loose.folder is None
    assert "not kept: evaluate keeps a record with places=" in str(loose)


def test_a_folder_without_records_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected records below .*nope.*, got none; evaluate"):
        robench.results.load(tmp_path / "nope")


@pytest.mark.parametrize("given", [None, 3, b"x"])
def test_what_is_no_path_is_one_line(given: Any) -> None:
    for read in (robench.results.load, robench.results.read):
        with pytest.raises(UserError, match=r"expected a folder as text or a Path, got \S+$"):
            read(given)


def test_one_image_is_one_and_an_attack_without_a_gradient_is_said() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny_network()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.network(images.detach())
            return logits

    given: dict[str, Any] = {"attack": ["pgd", "square"], "audit": "off"}
    told = str(robench.evaluate(Detached(), tiny_data(), images=20, **given))
    assert "\npgd got no gradient of the network: " in told
    assert "got no gradient" not in str(robench.evaluate(tiny_network(), tiny_data(), **given))
    few = str(robench.evaluate(tiny_network(), tiny_data(), images=1, **given))
    assert few.startswith("given, 1 test image: ")
    assert few.count("too few images (1) to tell the model from chance") == 1


def test_a_notebook_shows_it_escaped_and_with_pictures(kept: ShownRecord) -> None:
    page = kept._repr_html_()
    assert "<th>linf 8/255</th>" in page
    assert 'src="data:image/png;base64,iVBOR' in page
    assert "difference (scaled): pgd linf 0.1<" in page
    nasty = shown(
        kept.model_copy(
            update={
                "data": kept.data.model_copy(update={"name": "<script>x</script>"}),
                "notes": {"<b>": "<img src=x>"},
            }
        ),
        kept.folder or Path(),
    )
    told = nasty._repr_html_()
    assert "&lt;script&gt;" in told
    assert "&lt;img src=x&gt;" in told
    assert "<script>" not in told
    assert told.count("<img") == 1


def test_it_gives_a_frame_csv_and_latex(kept: ShownRecord) -> None:
    frame = kept.to_frame()
    assert len(frame) == len(kept.values) + 2
    assert (frame.metric == "headline").sum() == 2
    assert "\nheadline,,,linf,0.1," in kept.to_csv()
    assert {"metric", "attack", "eps", "value", "record"} <= set(frame.columns)
    assert kept.to_csv().startswith("metric,attack,access,norm,eps,value,low,high,n,unit\n")
    assert "pgd & " in kept.to_latex()


def test_its_headline_is_found(kept: ShownRecord, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an audit it is the worst case; what an audit broke is none of it."""
    for eps in ("8/255", 0.1):
        assert (
            kept.find("headline", eps=eps).value == kept.find("worst_case_accuracy", eps=eps).value
        )
    right = kept.find("headline", eps=0.1)
    audited = shown(kept, kept.folder or Path())
    about = {"norm": np.array(["linf"] * 20), "eps": np.full(20, 0.1), "position": np.arange(20)}
    audited._audited = {**about, "held": np.zeros(20, bool)}
    assert (right.value or 0) > 0 == audited.find("headline", eps=0.1).value
    assert kept.get("headline", norm="l2") is None
    assert "headline" not in {value.metric for value in kept.values}
    assert command(["show", str(kept.folder), "--csv"], capsys)[1] == kept.to_csv()


def test_it_plots_what_there_is(kept: ShownRecord) -> None:
    pytest.importorskip("matplotlib")
    panels = kept.plot().axes
    assert [panel.get_xlabel() for panel in panels] == ["eps (linf)", ""]
    lines = {line.get_label(): line.get_xdata() for line in panels[0].get_lines()}
    assert {name: len(points) for name, points in lines.items()} == {"fgsm": 3, "pgd": 3}
    radius = robench.share("certified_accuracy", 5, 20, {"certifier": "cohen", "radius": 0.5})
    more = shown(kept.model_copy(update={"values": (*kept.values, radius)}), kept.folder or Path())
    assert more.plot().axes[1].get_xlabel() == "radius (l2)"


def test_without_matplotlib_a_plot_is_one_line(
    kept: ShownRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_it = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return import_it(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UserError, match="expected matplotlib for a plot, got none; pip install"):
        kept.plot()


@pytest.mark.parametrize(
    ("metric", "axes", "words"),
    [
        ("robust_acuracy", {}, "got robust_acuracy; did you mean 'robust_accuracy'?"),
        ("robust_accuracy", {"attack": "pdg"}, "among fgsm, pgd, got pdg; did you mean 'pgd'?"),
        ("robust_accuracy", {"atack": "pgd"}, "got atack; did you mean 'attack'?"),
        ("robust_accuracy", {"attack": "pgd", "eps": 0.3}, "eps among 0.1, 8/255, got 0.3"),
        ("", {}, "got an empty text"),
        ("robust_accuracy", {"eps": "8/0"}, "expected eps to be a number"),
    ],
)
def test_what_is_not_found_is_said_with_what_is(
    kept: ShownRecord, metric: str, axes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as absent:
        kept.find(metric, **axes)
    assert words in str(absent.value)
    assert "\n" not in str(absent.value)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (
            {"attack": "pgd"},
            "expected one value of robust_accuracy, got 2 that differ by eps (8/255, 0.1), "
            "say which; find_all gives all of them",
        ),
        ({"eps": 0.1}, "got 2 that differ by attack (fgsm, pgd), say which"),
        ({}, "got 4 that differ by attack (fgsm, pgd), eps (8/255, 0.1), say which"),
    ],
)
def test_where_several_fit_none_is_taken(
    kept: ShownRecord, axes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as several:
        kept.find("robust_accuracy", **axes)
    assert words in str(several.value)
    every = kept.find_all("robust_accuracy", **axes)
    assert len(every) == (4 if not axes else 2)
    assert kept.find_all("robust_accuracy", attack="pdg") == ()


def test_of_several_the_one_without_other_axes_is_meant(kept: ShownRecord) -> None:
    values = [
        robench.Value(metric="m", value=at, axes=axes)
        for at, axes in ((1.0, {"attack": "pgd"}), (2.0, {}))
    ]
    record = kept.model_copy(update={"values": tuple(values)})
    assert record.find("m").value == 2.0
    twice = kept.model_copy(update={"values": (values[0], values[0])})
    with pytest.raises(UserError, match="got 2; find_all gives all of them"):
        twice.find("m")


def test_eps_is_found_as_it_is_typed(kept: ShownRecord) -> None:
    one = kept.find("robust_accuracy", attack="pgd", eps="8/255")
    assert one == kept.get("robust_accuracy", attack="pgd", eps=8 / 255)
    assert kept.get("robust_accuracy", attack="pdg") is None


def test_a_metric_that_was_not_measured_is_none_and_one_that_is_none_is_refused(
    kept: ShownRecord,
) -> None:
    for known in ("audited_accuracy", "certified_accuracy", "latency_p95", "macs"):
        assert not kept.find_all(known)
        assert kept.get(known) is None
    with pytest.raises(UserError, match="acuracy; did you mean 'worst_case_accuracy'"):
        kept.get("worst_case_acuracy")


def test_the_package_lists_its_names_alone() -> None:
    names = dir(robench)
    assert {"evaluate", "results", "search", "__version__"} <= set(names)
    assert not {"Any", "TYPE_CHECKING", "import_module", "annotations"} & set(names)
    assert all(hasattr(robench, name) for name in names)
    assert robench.__version__[0].isdigit()


def test_costs_that_are_means_say_so(kept: ShownRecord) -> None:
    assert "gradients, queries and seconds an image: the mean over the threats" in str(kept)
    alone = kept.model_copy(update={"rows": kept.rows[:1]})
    text = " ".join(line.text for line in sheet(alone))
    assert "Wilson" in text
    assert "mean over" not in text
