"""Records that lie, each by one lie: refused with a reason, named as unfounded, or, where a forger
made everything agree, left to a verification that has the model."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import robench
from robench.base.errors import UserError
from robench.cli.main import main
from robench.core.data import Data
from robench.core.record import run_id
from robench.leaderboard.build import build
from robench.leaderboard.check import check
from robench.leaderboard.read import private
from robench.leaderboard.read.intake import find_records, take
from robench.leaderboard.read.refusals import find_refusals
from robench.records.store import OUTCOMES, RECORD, folders
from robench.records.support.values import check_accuracies
from robench.run.config import Places
from robench.testing import tiny_data
from robench_certifiers.certifiers import Sequential
from robench_metrics.certified import Certified
from tests.leaderboard.forger import Forgery, perfect
from tests.leaderboard.made import blurred, claim

REFUSED, UNFOUNDED, AGREES = "refused", "unfounded", "agrees"
"""Where a lie is found; what agrees with itself only a verification can find."""
Tell = Callable[[Forgery], None]
PLAIN_ROW = {"attack": "pgd", "access": "white_box", "norm": "linf", "eps": 0.1}


@dataclass(frozen=True)
class Lie:
    tell: Tell
    text: str
    found: str = REFUSED


def mislabelled() -> Data:
    """The tiny data, five of its test images under another label, so that nothing is perfect."""
    data = tiny_data()
    labels = data.test.labels.clone()
    labels[:5] = (labels[:5] + 1) % 3
    return replace(data, test=replace(data.test, labels=labels))


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of every kind of row, audited."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("good")
    places = Places(results=root / "results", cache=root / "cache", threads=1)
    record = robench.evaluate(
        blurred(),
        mislabelled(),
        attack=("fgsm", "pgd", "cw", "normal_noise"),
        metric=("accuracy", "size"),
        places=places,
    )
    return places.results / record.id


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with certificates."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("certified")
    places = Places(results=root / "results", cache=root / "cache", threads=1)
    record = robench.evaluate(
        blurred(),
        mislabelled(),
        attack="fgsm",
        metric=("accuracy", Certified(images=20)),
        defense="float_rs",
        fit=True,
        certifier=Sequential(n2=1000),
        audit="off",
        places=places,
    )
    return places.results / record.id


# -- lies ------------------------------------------------------------------------------------------


def put(path: str, value: Any) -> Tell:
    """One place of the record, the rest as it was but for its id."""

    def tell(forgery: Forgery) -> None:
        forgery.set(path, value)
        forgery.seal()

    return tell


def change(alter: Callable[[dict[str, Any]], Any]) -> Tell:
    """The record's JSON, made to agree with its id."""

    def tell(forgery: Forgery) -> None:
        alter(forgery.record)
        forgery.seal()

    return tell


def raw(path: str, value: Any) -> Tell:
    """One place of the record, and nothing made to agree with it."""

    def tell(forgery: Forgery) -> None:
        forgery.set(path, value)
        forgery.seal(name=False)

    return tell


def text(change: Callable[[bytes], bytes]) -> Tell:
    """The bytes of record.json."""

    def tell(forgery: Forgery) -> None:
        path = forgery.folder / RECORD
        path.write_bytes(change(path.read_bytes()))

    return tell


def column(name: str, make: Callable[[pd.DataFrame], Any]) -> Tell:
    """A column of the outcomes, of whatever type; digests are made anew."""

    def tell(forgery: Forgery) -> None:
        frame = forgery.outcomes
        table = pa.Table.from_pandas(frame, preserve_index=False)
        place = table.column_names.index(name)
        changed = table.set_column(place, name, pa.array(make(frame)))
        forgery.seal()
        pq.write_table(changed, forgery.folder / OUTCOMES)
        forgery.name_again()

    return tell


def outcome(attack: str, name: str, value: Any, *, agree: bool = True) -> Tell:
    """A column of one row of the outcomes, or of all, and all numbers after it."""

    def tell(forgery: Forgery) -> None:
        forgery.outcomes.loc[forgery.of(attack) | (attack == ""), name] = value
        forgery.agree() if agree else forgery.seal()

    return tell


def number(metric: str, change: dict[str, Any], **axes: Any) -> Tell:
    """A value's number, interval or n."""

    def tell(forgery: Forgery) -> None:
        forgery.values(metric, **axes)[0].update(change)
        forgery.seal()

    return tell


def without(metric: str, **axes: Any) -> Tell:
    """A value left out."""

    def tell(forgery: Forgery) -> None:
        forgery.drop(metric, **axes)
        forgery.seal()

    return tell


def twice(metric: str) -> Tell:
    def tell(forgery: Forgery) -> None:
        forgery.record["values"].append(dict(forgery.values(metric)[0]))
        forgery.seal()

    return tell


def besides(value: dict[str, Any]) -> Tell:
    def tell(forgery: Forgery) -> None:
        forgery.record["values"].append({"unit": "share", "n": 60, **value})
        forgery.seal()

    return tell


def audited(name: str | list[str], value: Any) -> Tell:
    """A column of the audit's table, or several."""

    def tell(forgery: Forgery) -> None:
        assert forgery.audit is not None
        forgery.audit[name] = value(forgery.audit) if callable(value) else value
        forgery.seal()

    return tell


def certificate(name: str, change: Callable[[pd.Series[Any]], Any]) -> Tell:
    def tell(forgery: Forgery) -> None:
        assert forgery.certificates is not None
        forgery.certificates[name] = change(forgery.certificates[name])
        forgery.seal()

    return tell


def gone(name: str) -> Tell:
    """A file left out, and nothing said of it."""

    def tell(forgery: Forgery) -> None:
        forgery.seal()
        (forgery.folder / name).unlink()
        forgery.name_again()

    return tell


def instead(name: str, make: Callable[[Path], None]) -> Tell:
    """Something else in the place of a file."""

    def tell(forgery: Forgery) -> None:
        path = forgery.folder / name
        path.unlink(missing_ok=True)
        make(path)

    return tell


def swapped(name: str, make: Callable[[Path], None]) -> Tell:
    """Something else in the place of a file, and its digest in the record."""

    def tell(forgery: Forgery) -> None:
        instead(name, make)(forgery)
        forgery.name_again()

    return tell


def both(*lies: Tell) -> Tell:
    def tell(forgery: Forgery) -> None:
        for one in lies:
            one(forgery)

    return tell


def rename(forgery: Forgery) -> None:
    """An attack under a harmless name, in every place but the configuration."""
    forgery.outcomes["attack"] = forgery.outcomes.attack.replace("pgd", "mild")
    for row in forgery.record["rows"]:
        row["attack"] = row["attack"].replace("pgd", "mild")
    forgery.seal(name=False)


def unasked(forgery: Forgery) -> None:
    """An attack's rows without the attack in the configuration."""
    del forgery.record["config"]["attack"]["fgsm"]
    del forgery.record["provenance"]["components"]["attack.fgsm"]
    forgery.record["queries_only"] = ["normal_noise"]
    forgery.record["id"] = run_id(forgery.record["config"])
    forgery.seal(name=False)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 * 2**30)


def file_outside(forgery: Forgery) -> None:
    forgery.record["files"]["../x"] = "0" * 64
    forgery.seal(name=False)


def row_gone(forgery: Forgery) -> None:
    """The strongest row left out, while the configuration names its attack."""
    forgery.outcomes = forgery.outcomes[~forgery.of("pgd")].reset_index(drop=True)
    forgery.record["rows"] = [r for r in forgery.record["rows"] if r["attack"] != "pgd"]
    forgery.agree()


def as_noise(forgery: Forgery) -> None:
    """An attack said to be noise, which no worst case counts."""
    forgery.outcomes.loc[forgery.of("pgd"), ["search", "access"]] = ["noise", "none"]
    for row in forgery.record["rows"]:
        row["access"] = "none" if row["attack"] == "pgd" else row["access"]
    forgery.agree()


def larger_eps(forgery: Forgery) -> None:
    """The row's eps raised, the configuration's kept."""
    forgery.record["config"]["threat"]["eps"] = 0.2
    forgery.agree()
    forgery.outcomes.loc[forgery.of("fgsm") | forgery.of("pgd"), "eps"] = 0.3
    for row in forgery.record["rows"]:
        row["eps"] = 0.3 if row["attack"] in ("fgsm", "pgd") else row["eps"]
    forgery.agree()


def outside(forgery: Forgery) -> None:
    """One example a step of the grid outside the ball."""
    at = forgery.outcomes.index[forgery.of("pgd")][3]
    forgery.outcomes.loc[at, ["linf", "l2"]] = [52 / 255, 1.0]
    forgery.agree()


def no_audit(forgery: Forgery) -> None:
    """The audit left out, though the configuration asks for one."""
    forgery.record["audit"] = []
    for metric in ("audited_accuracy", "gained_by_masking"):
        forgery.drop(metric)
    forgery.audit = None
    (forgery.folder / "audit.parquet").unlink()
    forgery.seal()


def invented(forgery: Forgery) -> None:
    """An audited accuracy without an audit."""
    forgery.record["config"]["audit"]["level"] = "off"
    forgery.record["audit"] = []
    forgery.drop("gained_by_masking")
    forgery.seal()


def perfect_without_table(forgery: Forgery) -> None:
    """Nothing attacked, all numbers in agreement, the audit's table left out."""
    perfect(forgery)
    gone("audit.parquet")(forgery)


def masked(forgery: Forgery) -> None:
    """A finding that fails, and a verdict that does not."""
    finding = forgery.record["audit"][0]["findings"][-1]
    finding |= {"low": 0.9, "value": 0.95, "high": 1.0, "threshold": 0.02, "verdict": "fail"}
    forgery.record["audit"][0]["verdict"] = "pass"
    forgery.seal()


def excused(forgery: Forgery) -> None:
    """A finding above its threshold that passes."""
    finding = forgery.record["audit"][0]["findings"][-1]
    finding |= {"low": 0.9, "value": 0.95, "high": 1.0, "threshold": 0.02, "verdict": "pass"}
    forgery.seal()


def praised(check: str) -> Tell:
    """A finding that says what it likes, under the name of a check."""

    def tell(forgery: Forgery) -> None:
        finding = forgery.record["audit"][0]["findings"][0]
        finding |= {"check": check, "sentence": "no attack can break this network"}
        forgery.seal()

    return tell


def held_all(forgery: Forgery) -> None:
    """Everything that the rows leave stood the audit, it says."""
    assert forgery.audit is not None
    forgery.audit["held"] = forgery.audit["rows"]
    forgery.agree()


def another_answer(forgery: Forgery) -> None:
    """Two answers of a deterministic model to one image."""
    at = forgery.outcomes.index[forgery.of("normal_noise")][5]
    label = (forgery.outcomes.loc[at, "clean_prediction"] + 1) % 3
    forgery.outcomes.loc[at, ["linf", "l2", "prediction"]] = [0.0, 0.0, label]
    forgery.agree()


def half_valid(forgery: Forgery) -> None:
    at = forgery.outcomes.index[forgery.of("pgd")][:5]
    forgery.outcomes.loc[at, "valid"] = False
    forgery.seal()


def crashed(forgery: Forgery) -> None:
    """A strong row said to have crashed, its answers kept."""
    forgery.outcomes.loc[forgery.of("pgd"), "valid"] = False
    for row in forgery.record["rows"]:
        row["status"] = "invalid" if row["attack"] == "pgd" else row["status"]
    forgery.agree()


def other_sigma(forgery: Forgery) -> None:
    """Certified values under more noise than the system has."""
    for value in forgery.record["values"]:
        if "sigma" in value["axes"]:
            value["axes"]["sigma"] = 0.5
    forgery.seal()


def huge_text(forgery: Forgery) -> None:
    forgery.record["notes"] = {"x": ["y" * 3000] * 4000}
    forgery.seal()


def noted(data: bytes, note: bytes) -> bytes:
    """A record's text with one more note."""
    place = data.index(b'"notes":{') + len(b'"notes":{')
    more = b"" if data[place:].lstrip().startswith(b"}") else b","
    return data[:place] + note + more + data[place:]


def deep(data: bytes) -> bytes:
    return noted(data, b'"x": ' + b"[" * 90 + b"]" * 90)


def many(data: bytes) -> bytes:
    return noted(data, b'"x": [' + b"1," * 500_000 + b"1]")


def many_lists(data: bytes) -> bytes:
    return noted(data, b'"x": [' + b"[]," * 20_000 + b"[]]")


def keys(count: int) -> bytes:
    return b",".join(b'"k%d":0' % number for number in range(count))


def bomb(path: Path) -> None:
    """12 GB of zeros, as its directory says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in range(3):
            archive.writestr(f"row{name}.npy", b"\0" * 1000)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 1000), struct.pack("<I", 4_000_000_000)))


def many_arrays(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in range(5000):
            archive.writestr(f"row{name}.npy", b"")


def climbing(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.npy", b"")


def hidden_array(path: Path, name: str = "row99") -> None:
    """An array beside those that the record speaks of."""
    np.savez_compressed(path, allow_pickle=False, **{name: np.zeros(3, np.uint8)})


def huge_picture(path: Path) -> None:
    """A PNG of four billion pixels in a hundred bytes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 65_535, 65_535, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)


def long_table(path: Path) -> None:
    """Nearly nothing on the disk, millions of lines in memory."""
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_000, np.int8)), ["clean"])
    pq.write_table(pa.table(dict.fromkeys(("attack", "access", "search", "norm"), word)), path)


def long_words(path: Path) -> None:
    """Nearly nothing on the disk, 80 MB of one word in memory before it is known to be one."""
    words = {name: ["clean"] * 40 for name in ("attack", "access", "search")}
    table = pa.table({**words, "norm": ["x" * 2_000_000] * 40})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def long_account(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}, metadata={"x": "y" * 1_000_000}), path)


def wide_table(path: Path) -> None:
    words = {name: ["clean"] for name in ("attack", "access", "search", "norm")}
    pq.write_table(pa.table({**words, **{f"c{i}": [1] for i in range(300)}}), path)


def column_twice(path: Path) -> None:
    names = ["attack", "access", "search", "norm", "image", "image"]
    arrays = [pa.array(["clean"])] * 4 + [pa.array([1])] * 2
    pq.write_table(pa.Table.from_arrays(arrays, names=names), path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # names of sockets are short
        made.bind(path.name)
        os.chdir(here)


AT = {"eps": 0.2, "norm": "linf"}
NAMED = {
    "which robench computes": (
        *("robust", "certified", "cost", "headline", "agreement", "file_bytes", "rank", "clean"),
        *("largest_perturbation", "worst_case", "Robust", "worst-case", "_robust_"),
        *("robust.0.2.linf", "cost.gradients", "robust_linf", "robust:0.2", "ro_bust", "robust5"),
        *("verified", "proof", "audit.verdict", "bits", "level", "disputed", "holds"),
    ),
    "do not begin as robench's own": (
        *("Robust_Accuracy", "clean-accuracy", "worst_case_accuracy_", "CLEAN_ACCURACY_2"),
        *("audited_accuracy.x", "HEADLINE", "x.robust_accuracy", "rob_ust-accuracy"),
    ),
}
"""Names of values that would pass as what robench computes, by why they are refused."""
A_FILE = {"format": "onnx", "sha256": "0" * 64, "bytes": 9, "runtime": "torch", "version": "1"}
LIES: dict[str, Lie] = {
    # Form.
    "a_number_that_is_none": Lie(raw("values.0.value", float("nan")), "values.0.value"),
    "an_infinite_end": Lie(raw("values.0.high", float("inf")), "values.0.high"),
    "a_list_as_seed": Lie(raw("seed", [1]), "seed"),
    "a_seed_below_zero": Lie(both(raw("seed", -1), raw("config.seed", -1)), "seed of at least 0"),
    "a_file_that_says_more_than_it_is": Lie(
        raw("file", {**A_FILE, "version": "1.3\n\n## Retracted\n\nWithdrawn."}), "plain words"
    ),
    "a_file_with_cells_of_its_own": Lie(
        raw("file", {**A_FILE, "runtime": "x | 99 %"}), "plain words"
    ),
    "another_schema": Lie(raw("schema_version", 2), "schema"),
    "an_unknown_field": Lie(raw("trusted", True), "trusted"),
    "cut_off": Lie(text(lambda data: data[: len(data) // 2]), "record"),
    "no_text": Lie(text(lambda data: b"\xff\xfe" + data), "record"),
    "nothing": Lie(text(lambda data: b""), "record"),
    "huge": Lie(huge_text, "bytes in record.json"),
    "a_long_text": Lie(raw("provenance.machine", "x" * 5000), "texts of at most"),
    "deep_lists": Lie(text(deep), "inside each other|recursion"),
    "a_number_whose_double_is_none": Lie(raw("rows.0.gradients", 1e308), "numbers below 1e100"),
    "a_number_of_many_digits": Lie(raw("rows.0.gradients", 10**200), "texts of at most"),
    "many_values": Lie(text(many), "values in record.json"),
    "many_keys": Lie(text(lambda data: noted(data, keys(60_000))), "at most 50000 keys"),
    "many_rows": Lie(raw("rows", [PLAIN_ROW] * 2_001), "at most 2000 rows"),
    "many_lists": Lie(text(many_lists), "at most 20000 lists and mappings"),
    "a_key_twice": Lie(text(lambda data: data.replace(b"{", b'{"id":"0",', 1)), "key once"),
    "a_value_with_two_numbers": Lie(
        text(lambda data: data.replace(b'{"metric":"', b'{"value":0.5,"metric":"', 1)), "key once"
    ),
    "a_note_with_two_texts": Lie(
        text(lambda data: noted(data, b'"a":{"b":"1","b":"1"}')), "key once .* got 1 again"
    ),
    "no_attacks": Lie(raw("config.attack", None), "config.attack to map"),
    "options_that_are_none": Lie(put("config.model", {"given": 3}), "config.model to map"),
    "a_name_with_markup": Lie(raw("config.attack", {"<b>": {}}), "name of letters"),
    "a_metric_that_turns_the_line": Lie(raw("values.0.metric", "\u202egnp.exe"), "name of letters"),
    "a_message_that_turns_the_line": Lie(raw("rows.0.message", "a\u202eb"), "plain characters"),
    "a_note_for_the_terminal": Lie(raw("notes", {"x": "\x1b]52;c;YQ==\x07"}), "plain characters"),
    "an_option_nobody_reads": Lie(put("config.train.magic", 1), "options of train.*magic"),
    "a_text_as_optimizer": Lie(put("config.train.optimizer", "a" * 900), "train.optimizer to be"),
    "a_text_as_epochs": Lie(put("config.train.epochs", "many"), "train.epochs to be a whole"),
    "a_number_in_quotes": Lie(put("config.train.lr", "0.1"), 'train.lr to be 0.1, got "0.1"'),
    "a_norm_of_its_own": Lie(put("config.threat.norm", "l7"), "norm to be one of"),
    "an_option_that_no_component_has": Lie(
        put("config.compressor.none.magic", 1), "option of compressor.none, got 'magic'", UNFOUNDED
    ),
    "an_option_of_another_type": Lie(
        put("config.metric.accuracy", {"x": 1}), "option of metric.accuracy, got 'x'", UNFOUNDED
    ),
    "an_option_in_quotes": Lie(
        put("config.attack.cw.steps", "40"), "attack.cw.steps to be 40", UNFOUNDED
    ),
    "an_option_of_another_version": Lie(
        both(
            change(
                lambda r: r["provenance"]["components"].update({"compressor.none": "robench 1 / 9"})
            ),
            put("config.compressor.none.magic", 1),
        ),
        "",
        AGREES,
    ),
    "an_option_of_what_is_not_installed": Lie(
        change(
            lambda r: (
                r["config"].update(compressor={"squeeze": {"magic": 1}}),
                r["provenance"]["components"].update({"compressor.squeeze": "squeeze 1 / 1"}),
                r["provenance"]["components"].pop("compressor.none"),
            )
        ),
        "",
        AGREES,
    ),
    "an_unknown_access": Lie(put("config.access", {"grey_box": {}}), "access white_box or"),
    "an_unknown_setting": Lie(put("config.judge", "me"), "settings of a run"),
    "no_number_of_images": Lie(put("config.images", "all"), "number of images"),
    # Files.
    "a_link": Lie(instead("examples.npz", lambda p: p.symlink_to("/etc/passwd")), "link"),
    "a_linked_record": Lie(instead(RECORD, lambda p: p.symlink_to("/dev/zero")), "link"),
    "a_pipe": Lie(instead(OUTCOMES, lambda p: os.mkfifo(p)), "pipe"),
    "a_pipe_as_record": Lie(instead(RECORD, lambda p: os.mkfifo(p)), "pipe"),
    "a_folder_as_record": Lie(instead(RECORD, lambda p: p.mkdir()), "folder"),
    "a_sparse_record": Lie(instead(RECORD, sparse), "bytes in record.json"),
    "a_socket": Lie(instead("s", bound_socket), "device or socket"),
    "a_folder": Lie(instead(OUTCOMES, lambda p: p.mkdir()), "folder"),
    "an_expanding_archive": Lie(instead("examples.npz", bomb), "bytes of arrays"),
    "an_archive_of_many": Lie(instead("examples.npz", many_arrays), "arrays, each once"),
    "an_archive_that_climbs": Lie(instead("examples.npz", climbing), "arrays, each once"),
    "an_archive_that_is_none": Lie(
        instead("examples.npz", lambda p: p.write_bytes(b"PK\5\6" * 9) and None), "archive"
    ),
    "an_array_of_no_row": Lie(swapped("examples.npz", hidden_array), "rows and audits alone"),
    "an_array_of_no_audit": Lie(
        swapped("examples.npz", lambda p: hidden_array(p, "audit7")), "got 'audit7'"
    ),
    "a_network_it_does_not_name": Lie(
        instead("network.onnx", lambda p: p.write_bytes(b"x") and None), "files that the record"
    ),
    "a_picture_of_gigapixels": Lie(instead("preview.webp", huge_picture), "65535 x 65535"),
    "a_picture_that_is_none": Lie(
        instead("preview.webp", lambda p: p.write_bytes(b"<svg onload=x>") and None), "PNG"
    ),
    "a_table_of_many_lines": Lie(swapped(OUTCOMES, long_table), "at most 300 rows in"),
    "a_table_of_long_words": Lie(swapped(OUTCOMES, long_words), "bytes, expanded, in"),
    "a_table_of_a_long_account": Lie(swapped(OUTCOMES, long_account), "an account of at most"),
    "a_wide_table": Lie(swapped(OUTCOMES, wide_table), "at most 200 columns in"),
    "a_file_it_does_not_name": Lie(
        instead("more.parquet", lambda p: p.write_bytes(b"x") and None), "files that the record"
    ),
    "a_model_of_gigabytes": Lie(
        both(raw("files", {}), instead("model.safetensors", sparse)), "bytes in model.safetensors"
    ),
    "a_model_it_does_not_have": Lie(
        instead("model.safetensors", lambda p: None), "file model.safetensors"
    ),
    "another_model": Lie(
        instead("model.safetensors", lambda p: p.write_bytes(b"x") and None), "another file"
    ),
    "a_file_outside": Lie(file_outside, "plain name"),
    "a_file_of_no_name": Lie(
        raw("files", {OUTCOMES: "0" * 64, "a/\0": "0" * 64}), "no place|plain characters|plain name"
    ),
    "no_outcomes_named": Lie(raw("files", {"audit.parquet": "0" * 64}), "files that the record"),
    # Columns.
    "lists_of_images": Lie(column("image", lambda f: [[i] for i in f.image]), "numbers should"),
    "words_as_predictions": Lie(column("prediction", lambda f: f.prediction.astype(str)), "string"),
    "fractions_as_labels": Lie(column("label", lambda f: f.label + 0.5), "double"),
    "numbers_as_truths": Lie(column("valid", lambda f: f.valid.astype(int)), "int64"),
    "no_attack_at_all": Lie(column("attack", lambda f: pa.nulls(len(f))), "words should"),
    "attacks_that_are_missing": Lie(
        column("attack", lambda f: pa.nulls(len(f), pa.string())), "missing|begin with the clean"
    ),
    "numbers_as_attacks": Lie(column("attack", lambda f: range(len(f))), "words should"),
    "labels_too_large": Lie(column("label", lambda f: f.label.astype(int) + 10**9), "outcomes"),
    "times_as_eps": Lie(column("eps", lambda f: pd.to_datetime(f.image)), "should stand"),
    "a_column_twice": Lie(swapped(OUTCOMES, column_twice), "expected columns|once"),
    "half_a_row_valid": Lie(half_valid, "valid for all images or for none"),
    # Identity.
    "another_id": Lie(raw("id", "0" * 16), "expected id"),
    "another_seed": Lie(put("seed", 99), "expected seed"),
    "a_seed_in_the_configuration_alone": Lie(put("config.seed", 99), "expected seed 99"),
    "another_protocol": Lie(raw("protocol", "0" * 16), "expected protocol"),
    "other_data": Lie(put("data.name", "mnist"), "expected data"),
    "more_images_than_asked": Lie(put("config.images", 30), "at most 30 images"),
    "a_version_of_nothing": Lie(
        put("provenance.components", {"attack.pgd": "robench 9 / 9"}), "versions of config"
    ),
    "fewer_bits_than_a_float": Lie(put("bits", 8), "expected 32 bits"),
    "other_bits": Lie(put("config.compressor", {"none": {"bits": 4}}), "expected 4 bits"),
    "an_agreement_on_nothing": Lie(put("agreement.n", 7), "agreement"),
    "an_agreement_above_one": Lie(raw("agreement.equal_labels", 1.5), "agreement"),
    "an_agreement_not_flagged": Lie(
        change(lambda r: r["agreement"].update(equal_labels=0.5, flagged=False)), "flagged"
    ),
    # Rows.
    "a_row_left_out": Lie(row_gone, "expected rows of pgd"),
    "a_row_under_another_name": Lie(rename, "mild .* in config.attack"),
    "an_attack_as_noise": Lie(as_noise, "pgd to search as ball"),
    "a_larger_eps": Lie(larger_eps, "expected eps 0.2"),
    "a_smaller_norm": Lie(
        both(outcome("pgd", "norm", "l2", agree=False), put("rows.1.norm", "l2")), "audit|inside"
    ),
    "rows_in_another_order": Lie(change(lambda r: r["rows"].reverse()), "in their order"),
    "a_row_twice": Lie(change(lambda r: r["rows"].append(r["rows"][0])), "in their order"),
    "a_row_that_nobody_asked": Lie(unasked, "fgsm .* in config.attack"),
    "a_status_of_its_own": Lie(put("rows.0.status", "at_chance"), "status ok"),
    "a_record_at_chance": Lie(put("status", "at_chance"), "status ok"),
    "a_crash_that_was_none": Lie(crashed, "clean answers of pgd"),
    # Outcomes.
    "outside_the_ball": Lie(outside, "inside the ball"),
    "off_the_grid": Lie(outcome("pgd", "linf", 0.0301), "8-bit grid|l2 distance"),
    "distances_of_nothing": Lie(outcome("pgd", "linf", float("nan")), "finite distances"),
    "negative_distances": Lie(outcome("pgd", "linf", -1.0), "between 0 and 1"),
    "linf_above_l2": Lie(outcome("cw", "l2", 0.0), "no linf distance above"),
    "a_clean_row_that_moved": Lie(outcome("clean", "linf", 0.1), "clean row at distance 0"),
    "a_clean_row_with_access": Lie(
        outcome("clean", "access", "white_box", agree=False), "clean row without access"
    ),
    "another_clean_answer": Lie(
        outcome("pgd", "clean_prediction", 0), "clean row's clean_prediction"
    ),
    "another_label": Lie(outcome("pgd", "label", 0), "clean row's label"),
    "negative_labels": Lie(outcome("", "label", -2), "labels"),
    "answers_below_abstaining": Lie(outcome("pgd", "prediction", -7), "predictions of at least"),
    "one_image_many_times": Lie(outcome("", "image", 0), "each judged image once"),
    "other_images": Lie(put("data.subset", "0" * 16), "other images"),
    "fewer_images": Lie(put("data.images", 30), "30 outcomes|rows in"),
    "two_answers_to_one_image": Lie(another_answer, "one answer to an image"),
    # Values.
    "a_better_clean_accuracy": Lie(
        number("clean_accuracy", {"value": 1.0, "high": 1.0}), "clean_accuracy to be"
    ),
    "a_better_row": Lie(
        number("robust_accuracy", {"value": 1.0, "high": 1.0}, attack="pgd"),
        "robust_accuracy of pgd .* to be .* by the outcomes table",
    ),
    "a_better_worst_case": Lie(
        number("worst_case_accuracy", {"value": 1.0, "high": 1.0}), "worst_case_accuracy"
    ),
    "a_narrower_interval": Lie(number("clean_accuracy", {"low": 0.9}), "low"),
    "more_images_behind_it": Lie(number("clean_accuracy", {"n": 6000}), "expected n 60"),
    "another_unit": Lie(number("clean_accuracy", {"unit": "s"}), "unit 'share'"),
    "a_value_left_out": Lie(without("robust_accuracy", attack="pgd"), "robust_accuracy of pgd"),
    "no_worst_case": Lie(without("worst_case_accuracy"), "worst_case_accuracy"),
    "a_value_twice": Lie(twice("clean_accuracy"), "clean_accuracy once"),
    "a_value_of_no_row": Lie(
        besides({"metric": "robust_accuracy", "value": 1.0, "axes": {"attack": "all"}}), "also"
    ),
    **{
        f"a_value_called_{name}": Lie(besides({"metric": name, "value": 0.99, "axes": AT}), words)
        for words, names in NAMED.items()
        for name in names
    },
    "an_accuracy_above_one": Lie(number("clean_accuracy", {"high": 1.5}), r"in \[0,1\]"),
    # Audits.
    "fewer_than_no_gradients": Lie(raw("rows.0.gradients", -1.0), "greater than or equal to 0"),
    "hardly_any_gradients": Lie(raw("rows.0.gradients", 1e-99), "0 or at least 1e-09"),
    "more_queries_than_anybody_asks": Lie(raw("rows.0.queries", 1e99), "rows.0.queries"),
    "less_than_no_time": Lie(raw("rows.0.seconds", -1.0), "rows.0.seconds: .* equal to 0"),
    "more_time_than_there_was": Lie(raw("rows.0.seconds", 1e99), "rows.0.seconds"),
    "an_audit_of_no_time": Lie(raw("audit.0.seconds", -1.0), "audit.0.seconds"),
    "a_run_before_time": Lie(raw("timings", {"run": -1e99}), "timings.run"),
    "fewer_than_no_threads": Lie(raw("provenance.threads", -1), "provenance.threads"),
    "an_audit_of_fewer_than_none": Lie(raw("audit.0.findings.0.n", -1), "audit.0.findings.0.n"),
    "a_threshold_beyond_all": Lie(raw("audit.0.findings.0.threshold", 1e99), "threshold"),
    "a_finding_below_its_interval": Lie(
        change(lambda r: r["audit"][0]["findings"][0].update(low=1.0, value=0.5, high=1.0)),
        "expected low <= .* <= high",
    ),
    "a_gain_above_one": Lie(
        raw("rows.0.weaker", {"than": "cw", "points": 7, "low": 0, "high": 8}), "weaker.points"
    ),
    "more_missed_than_planted": Lie(
        raw(
            "audit.0.weak_attacks",
            [{"attack": "x", "access": "y", "gained": 0, "low": 0, "high": 0, "missed": 2}],
        ),
        "weak_attacks.0.missed",
    ),
    "a_latency_below_none": Lie(
        besides({"metric": "latency", "value": -1.0, "unit": "s"}), r"expected latency in \[0,1e"
    ),
    "endless_queries": Lie(raw("rows.0.queries", float("inf")), "finite"),
    "gradients_without_queries": Lie(put("rows.0.queries", None), "gradients and queries of fgsm"),
    "weaker_than_what_is_no_row": Lie(
        put("rows.0.weaker", {"than": "x", "points": 0.1, "low": 0.05, "high": 0.2}),
        "expected fgsm .* no row surely beats it",
    ),
    "no_audit": Lie(no_audit, "expected an audit of each of linf 0.2"),
    "an_audit_of_another_threat": Lie(put("audit.0.eps", 0.1), "expected an audit of each"),
    "an_audit_of_another_level": Lie(put("audit.0.level", "full"), "level quick"),
    "an_audit_of_few_images": Lie(put("audit.0.n", 10), "expected 60 images"),
    "an_audit_without_findings": Lie(put("audit.0.findings", []), "expected findings"),
    "a_verdict_of_its_own": Lie(masked, "gravest of its findings"),
    "a_finding_excused": Lie(excused, "follow from its threshold"),
    "a_sentence_of_its_own": Lie(praised("random_prediction"), "sentence of random_prediction"),
    "a_check_of_its_own": Lie(praised("proof"), "names no others, got 'proof'"),
    "an_audited_accuracy_invented": Lie(invented, "also audited_accuracy"),
    "a_better_audited_accuracy": Lie(
        number("audited_accuracy", {"value": 1.0, "high": 1.0}), "audited_accuracy .* to be"
    ),
    "no_audited_accuracy": Lie(without("audited_accuracy"), "audited_accuracy"),
    "a_gain_hidden": Lie(number("gained_by_masking", {"value": -0.5, "low": -1.0}), "gained_by"),
    "a_strange_weak_attack": Lie(
        put(
            "audit.0.weak_attacks",
            [{"attack": "x", "access": "y", "gained": 0, "low": 0, "high": 0}],
        ),
        "weak attacks",
    ),
    "an_audit_of_wrong_images": Lie(audited("held", True), "right clean and under all rows"),
    "an_audit_of_one_image": Lie(audited("position", 0), "each once"),
    "an_audit_of_images_beyond": Lie(audited("position", lambda a: a.position + 1), "positions"),
    "an_audit_of_another_model": Lie(audited(["rows", "held"], False), "rows' answers"),
    "an_audit_of_another_clean_model": Lie(
        audited(["clean", "rows", "held"], False), "clean answers of the outcomes"
    ),
    "an_audit_that_cannot_decide": Lie(
        audited("randomised", lambda a: a.position % 2 == 0), "is randomised"
    ),
    "an_audit_table_of_words": Lie(audited("held", "yes"), "column held"),
    "an_audit_table_of_more": Lie(audited("audit", 9), "4 audits"),
    "no_audit_table": Lie(gone("audit.parquet"), "audit of linf 0.2: no audit table", UNFOUNDED),
    "a_perfect_forgery_without_its_table": Lie(
        perfect_without_table, "audit of linf 0.2: no audit table", UNFOUNDED
    ),
    "a_perfect_forgery": Lie(perfect, "", AGREES),
    "an_audit_that_tried_nothing": Lie(held_all, "", AGREES),
    "certificates_of_nothing": Lie(
        besides({"metric": "certified_accuracy", "value": 1.0, "axes": {"radius": 0.5}}),
        "no certificates table",
        UNFOUNDED,
    ),
    # What nobody needs to know.
    "a_home": Lie(raw("notes", {"from": "/home/ann/run.log"}), "no place .* notes.from"),
    "a_windows_path": Lie(raw("notes", {"from": "C:\\Users\\ann"}), "no place .* notes.from"),
    "a_tilde": Lie(raw("overrides", ["model.checkpoint.path=~/w.pt"]), "no place .* overrides.0"),
    "an_address_of_a_file": Lie(raw("rows.0.message", "see file:///x"), "no place .* rows.0"),
    "an_absolute_path": Lie(put("config.dataset.given.hash", "/data/x.npz"), "no place .* config"),
    "an_escaped_path": Lie(
        text(lambda data: noted(data, b'"a": "\\u002fdata\\u002fx"')),
        "no place .* notes.a",
    ),
}


def any_radius(record: dict[str, Any]) -> None:
    """The average radius of a list, told as if each image had its largest one."""
    for value in record["values"]:
        value["axes"].pop("grid", None)


def older(record: dict[str, Any]) -> None:
    """Not a lie: the radii among the certifier's options, as records had them before."""
    any_radius(record)
    record["config"]["certifier"]["sequential"]["radii"] = [0.0, 0.25, 0.5, 0.75, 0.8]


VOTES: dict[str, Lie] = {
    "an_average_of_no_list": Lie(change(any_radius), "average_certified_radius"),
    "radii_of_an_older_record": Lie(change(older), "", AGREES),
    "larger_radii": Lie(certificate("radius2", lambda c: c.where(c < 0, c * 4 + 9000)), "radi"),
    "radii_beyond_the_votes": Lie(certificate("hits", lambda c: c // 2), "votes allow"),
    "more_votes_than_draws": Lie(certificate("hits", lambda c: c + 10**6), "votes among the draws"),
    "draws_that_never_were": Lie(certificate("draws", lambda c: c + 1), "numbers of draws"),
    "other_certified_labels": Lie(certificate("label", lambda c: (c + 1) % 3), "labels of the"),
    "other_certified_images": Lie(certificate("image", lambda c: c + 1), "other"),
    "radii_for_abstaining": Lie(certificate("prediction", lambda c: -1 + 0 * c), "exactly where"),
    "radii_in_words": Lie(certificate("radius2", lambda c: c.astype(str)), "whole numbers"),
    "another_sigma": Lie(other_sigma, "configuration's certifier and noise"),
    "a_better_certified_accuracy": Lie(
        number("certified_accuracy", {"value": 1.0, "high": 1.0}, radius=0.75), "certified_accuracy"
    ),
    "certificates_left_out": Lie(gone("certificates.parquet"), "no certificates", UNFOUNDED),
}


def forged(good: Path, folder: Path, lie: Lie) -> Path:
    forgery = Forgery(good, folder)
    lie.tell(forgery)
    return folder


def judged(folder: Path, lie: Lie) -> None:
    if lie.found == REFUSED:
        with pytest.raises(UserError, match=lie.text):
            take(folder)
        return
    found = take(folder).unfounded
    assert (lie.text in "; ".join(found)) if lie.found == UNFOUNDED else not found


def test_there_are_many_lies() -> None:
    assert len(LIES) + len(VOTES) >= 120


def test_the_good_records_are_consistent(good: Path, certified: Path, tmp_path: Path) -> None:
    for number, source in enumerate((good, certified)):
        assert take(source).unfounded == ()
        Forgery(source, tmp_path / str(number)).seal()
        assert take(tmp_path / str(number)).unfounded == ()


def test_the_forger_agrees_with_the_run(good: Path, tmp_path: Path) -> None:
    """Else a lie might be found by another one that the forger did not mean to tell."""
    Forgery(good, tmp_path / "same").agree()
    found = take(tmp_path / "same").record.values
    assert sorted(map(str, found)) == sorted(map(str, take(good).record.values))


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(name: str, good: Path, tmp_path: Path) -> None:
    judged(forged(good, tmp_path / "forged", LIES[name]), LIES[name])


@pytest.mark.parametrize("name", VOTES)
def test_a_lie_about_certificates_is_found(name: str, certified: Path, tmp_path: Path) -> None:
    judged(forged(certified, tmp_path / "forged", VOTES[name]), VOTES[name])


# -- what a lie costs ------------------------------------------------------------------------------


def test_bad_records_cost_themselves_alone(good: Path, tmp_path: Path) -> None:
    """Those of which one took the whole page down, all beside a good one."""
    names = ("a_pipe", "lists_of_images", "attacks_that_are_missing", "words_as_predictions")
    names += ("a_row_that_nobody_asked", "a_folder", "nothing", "an_expanding_archive")
    names += ("a_linked_record", "a_folder_as_record", "a_pipe_as_record", "a_sparse_record")
    names += ("a_file_of_no_name",)
    root = tmp_path / "records"
    (root / "models").mkdir(parents=True)
    for name in names:
        forged(good, root / name, LIES[name])
    shutil.copytree(good, root / "sound")
    site = build([root], tmp_path / "page")
    assert [row.folders for row in site.rows] == [(root / "sound",)]
    assert {one.name for one in site.refused} == set(names)
    assert [one for one in site.refused if not one.reason.startswith("expected")] == []


MEASURED = """
import resource, sys
from pathlib import Path
from robench.base.errors import UserError
from robench.leaderboard.read.intake import take

def largest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

take(Path(sys.argv[1]))
before = largest()
for folder in sys.argv[2:]:
    try:
        take(Path(folder))
    except UserError:
        print(largest() - before)
"""
"""The kernel counts in kilobytes."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted otherwise")
def test_a_hostile_record_takes_little_memory(good: Path, tmp_path: Path) -> None:
    lies = {
        "keys": Lie(text(lambda data: b"{" + keys(350_000) + b"}"), ""),
        "fewer": Lie(text(lambda data: b"{" + keys(49_000) + b"}"), ""),
        "values": Lie(text(lambda data: b'{"values":[' + b"{}," * 19_000 + b"{}]}"), ""),
        "words": LIES["a_table_of_long_words"],
        "account": LIES["a_table_of_a_long_account"],
    }
    folders = [forged(good, tmp_path / name, lie) for name, lie in lies.items()]
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, good, *folders], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(told) == len(lies)
    assert max(map(int, told)) < 150


def test_a_folder_whose_name_is_no_text_costs_itself_alone(good: Path, tmp_path: Path) -> None:
    root = tmp_path / "records"
    # Its model lies elsewhere, in a folder that cannot be looked into.
    lie = Lie(raw("files", {OUTCOMES: "0" * 64, f"{'x' * 300}/b": "0" * 64}), "")
    forged(good, root / "bad", lie).rename(root / os.fsdecode(b"\xff"))
    (root / "models").mkdir()
    shutil.copytree(good, root / "sound")
    site = build([root], tmp_path / "page")
    assert [row.folders for row in site.rows] == [(root / "sound",)]


def test_bits_that_no_column_holds_are_those_of_the_compressor(good: Path, tmp_path: Path) -> None:
    """A configuration may hold anything."""

    def tell(record: dict[str, Any]) -> None:
        record["bits"] = None
        record["config"]["compressor"]["none"]["bits"] = 10**30

    forged(good, tmp_path / "records" / "one", Lie(change(tell), ""))
    assert [row.bits for row in build([tmp_path / "records"], tmp_path / "page").rows] == [32]


def test_a_value_of_a_name_of_its_own_is_honest(good: Path, tmp_path: Path) -> None:
    for name in ("robust_overfitting", "costs", "certified_radius", "cleanliness", "loss"):
        lie = Lie(besides({"metric": name, "value": 0.99, "axes": AT}), "", AGREES)
        judged(forged(good, tmp_path / name, lie), lie)


def test_checks_go_on_after_a_bad_record(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown option of training and an unknown access once lost all later checks."""
    root = tmp_path / "records"
    for name in ("an_option_nobody_reads", "an_unknown_access", "a_pipe"):
        forged(good, root / name, LIES[name])
    shutil.copytree(good, root / "z")
    found = {r.record: r for r in check([root], Places(), sample=0)}
    assert {name: r.outcome for name, r in found.items() if name != "z"} == {
        "an_option_nobody_reads": "fail",
        "an_unknown_access": "fail",
        "a_pipe": "fail",
    }
    steps = [(r.check, r.outcome) for r in check([root / "z"], Places(), sample=0)]
    assert steps == [("form", "pass"), ("consistent", "pass"), ("verified", "not done")]


@pytest.mark.parametrize(
    ("reader", "outcomes"),
    [
        ("robench.leaderboard.read.intake.check_config", [("form", "fail")]),
        ("robench.records.consistent.check_outcomes", [("form", "pass"), ("consistent", "fail")]),
    ],
)
def test_a_reader_that_raises_leaves_one_record_out(
    reader: str,
    outcomes: list[tuple[str, str]],
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("a bug")

    monkeypatch.setattr(reader, broken)
    with pytest.raises(UserError, match="MemoryError: a bug"):
        take(good)
    found = list(check([good], Places(), sample=0))
    assert [(r.check, r.outcome) for r in found] == outcomes


def test_what_is_not_supported_is_not_done(good: Path, tmp_path: Path) -> None:
    """A missing table is never a pass, and no failure either."""
    forged(good, tmp_path / "records" / "one", LIES["a_perfect_forgery_without_its_table"])
    found = list(check([tmp_path / "records"], Places(), sample=0))
    assert ("consistent", "not done") in [(r.check, r.outcome) for r in found]
    assert ("consistent", "pass") not in [(r.check, r.outcome) for r in found]


def test_nothing_left_is_an_error(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "records"
    root.mkdir()
    assert main(["leaderboard", str(root), "--check"]) == 2
    forged(good, root / "bad", LIES["another_id"])
    assert main(["leaderboard", str(root), "--out", str(tmp_path / "page")]) == 2
    assert main(["leaderboard", str(root), "--check"]) == 1
    assert main(["leaderboard", str(root), "--sample", "1", "--out", str(tmp_path / "p")]) == 2
    assert "bad: consistent fail expected id" in capsys.readouterr().out


def test_timings_may_be_missing(good: Path, tmp_path: Path) -> None:
    forged(good, tmp_path / "records" / "one", Lie(put("timings", {}), ""))
    assert len(build([tmp_path / "records"], tmp_path / "page").rows) == 1


def test_records_are_looked_for_in_plain_folders_only(good: Path, tmp_path: Path) -> None:
    root = tmp_path / "records"
    shutil.copytree(good, root / "a" / "b")
    (root / "a" / "loop").symlink_to(root)
    shutil.copytree(good, root / ".hidden")
    shutil.copytree(good, root.joinpath(*"0123456789abcdef"))
    assert [name for name, _ in find_records([root])] == ["a/b"]


def test_two_roots_hide_nothing_of_each_other(good: Path, tmp_path: Path) -> None:
    for root in ("first", "second"):
        shutil.copytree(good, tmp_path / root / "same")
    found = find_records([tmp_path / "first", tmp_path / "second"])
    assert {seen.folder.parent.name for _, seen in found} == {"first", "second"}


def test_pipes_among_a_sweeps_notes_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sweeps" / "1").mkdir(parents=True)
    os.mkfifo(tmp_path / "sweeps" / "1" / "0.json")
    (tmp_path / "sweeps" / "1" / "1.json").mkdir()
    note = '{"overrides": ["a=b"], "record": null, "error": "expected c"}'
    (tmp_path / "sweeps" / "1" / "2.json").write_text(note)
    (found,) = find_refusals([tmp_path])
    assert (found.asked, found.reason) == ("a=b", "expected c")


@pytest.mark.parametrize(
    "text",
    [
        "/data/x",
        "in /home/x",
        "~/x",
        "~ann/x",
        "C:\\x",
        "file:///x",
        "\\\\host\\x",
        "a=/b",
        "(/opt/x)",
    ],
)
def test_places_are_seen(text: str) -> None:
    assert private.PATH.search(text)


@pytest.mark.parametrize(
    "text",
    ["8/255", "img/s", "robench 0.1 / 1", "a -> b", "https://example.org/a", "data/x.npz", "~ 5 %"],
)
def test_other_texts_are_no_places(text: str) -> None:
    assert not private.PATH.search(text)


@pytest.mark.parametrize("text", ["a\u200bb", "a\u2060b", "a\x1b[2Jb", "a\u202eb"])
def test_what_a_terminal_is_not_shown_no_page_shows(text: str) -> None:
    with pytest.raises(UserError, match="plain characters in notes"):
        private.check_text(text, "notes")
    private.check_text("a line\nand\ta column", "notes")


def test_names_of_this_machine_are_seen(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(forged(good, tmp_path / "elsewhere", Lie(raw("notes", {"x": "annabel"}), "")))
    monkeypatch.setattr("getpass.getuser", lambda: "annabel")
    monkeypatch.setattr("socket.gethostname", lambda: "gauss.example.org")
    private._own.cache_clear()
    try:
        for name in ("annabel", "Gauss"):
            lie = Lie(raw("notes", {"x": f"made by {name} at night"}), f"{name}")
            judged(forged(good, tmp_path / name, lie), lie)
        lie = Lie(raw("notes", {"x": "annabel"}), "annabel")  # which was no name before
        judged(forged(good, tmp_path / "here", lie), lie)
        assert take(good).unfounded == ()
    finally:
        monkeypatch.undo()
        private._own.cache_clear()


# -- flipped bytes ---------------------------------------------------------------------------------


def flip(path: Path, rng: random.Random) -> None:
    """A few bytes changed, cut, doubled or moved."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        at = rng.randrange(len(data))
        size = rng.choice([1, 1, 2, 4, 16])
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size] * rng.choice([1, 2, 50])
        else:
            data[at : at + size] = rng.choice([b"\xff", b"\0", b"9", b"-", b"[", b'"']) * size
        data = data or bytearray(b"0")
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["headline", "robust", "Verified"])
def test_no_attack_is_called_what_robench_computes(name: str) -> None:
    one = claim({"clean": np.ones(40, bool), name: np.ones(40, bool)})
    with pytest.raises(UserError, match="attacks with names of their own"):
        check_accuracies(one.record, one.outcomes)


def fuzz(sources: list[Path], work: Path, seconds: float, seed: int) -> tuple[int, int]:
    """Take records with flipped bytes for so long: how many were refused, and taken.

    Anything but a UserError comes through; a table's digest is made anew, so that it is read.
    """
    rng, refused, taken = random.Random(seed), 0, 0
    end, slowest = time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        source = rng.choice(sources)
        shutil.rmtree(work, ignore_errors=True)
        forgery = Forgery(source, work)
        names = [path.name for path in work.iterdir() if path.suffix != ".safetensors"]
        name = rng.choice(sorted(names))
        flip(work / name, rng)
        if name != RECORD:
            forgery.name_again()
        start = time.monotonic()
        try:
            take(work)
            taken += 1
        except UserError:
            refused += 1
        slowest = max(slowest, time.monotonic() - start)
    print(f"seed {seed}: {refused} refused, {taken} taken, slowest {slowest:.2f} s")
    assert slowest < 10
    return refused, taken


def test_flipped_bytes_cost_a_record_and_no_more(
    good: Path, certified: Path, tmp_path: Path
) -> None:
    refused, _ = fuzz([good, certified], tmp_path / "work", 2, seed=1)
    assert refused > 5


@pytest.mark.slow
def test_flipped_bytes_for_a_minute(good: Path, certified: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    refused, _ = fuzz([good, certified], tmp_path / "work", 60, seed)
    assert refused > 100


@pytest.mark.slow
def test_every_published_record_is_taken() -> None:
    root = Path(__file__).parents[2] / "leaderboard" / "records"
    if not root.is_dir():
        pytest.skip("published records lie in a checkout only")
    found = [take(folder) for folder in folders(root)]
    assert len(found) > 100
    assert all("no audit table" in text for one in found for text in one.unfounded)


def test_a_sweeps_note_that_names_a_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sweeps" / "1").mkdir(parents=True)
    for number, (typed, error) in enumerate(
        [("results=/home/me/x", "no"), ("attack=a", "no file at /root/secret"), ("attack=b", "no")]
    ):
        note = json.dumps({"overrides": [typed], "record": None, "error": error})
        (tmp_path / "sweeps" / "1" / f"{number}.json").write_text(note)
    assert [one.asked for one in find_refusals([tmp_path])] == ["attack=b"]


def test_a_copy_with_something_beside_it_takes_no_honest_record_with_it(
    good: Path, tmp_path: Path
) -> None:
    root = tmp_path / "records"
    for name in ("a_pipe", "b_folder", "sound"):
        shutil.copytree(good, root / name)
    os.mkfifo(root / "a_pipe" / "more")
    (root / "b_folder" / "more").mkdir()
    site = build([root], tmp_path / "page")
    assert [row.folders for row in site.rows] == [(root / "sound",)]
