"""The record of a run: frozen, versioned, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, field_validator

from robench.base.errors import UserError
from robench.base.hashing import digest
from robench.base.stats import wilson
from robench.base.text import one_line, suggestion
from robench.core.threat import eps_text, parse_eps

SCHEMA_VERSION = 1

Axis = str | int | float | None
SYSTEM_KINDS = ("dataset", "model", "compressor", "defense")
"""Kinds of components that make what is judged, as a record's configuration names them."""
AUDITED = {"off": 0, "quick": 100, "full": 500}
"""The levels of the audit, and how many images each works on."""
Verdict = Literal["pass", "suspect", "fail"]
VERDICTS: tuple[Verdict, ...] = ("pass", "suspect", "fail")
"""Of an audit, from the one that weighs least."""
AGREEMENT_EXPECTED = 0.99
"""Share of equal labels below which the twin is flagged as not computing the deployed function."""
ADVERSARIAL_EXPECTED = 0.98
"""The same on adversarial candidates: below one of both the twin of a file is a surrogate."""
EXPLAINED_EXPECTED = 0.9
"""Share of a file's logits, and of their change under attack, that its twin must explain."""
AGREEMENT_GOOD = 0.999
"""Share of equal labels, clean and on candidates, below which a reader is warned."""
ENDING = "ends in"
"""The note of a network whose outputs are no logits: softmax, log_softmax or sigmoid."""
RENAMED = {"saturation_gap": "twins_gap"}
"""What older records call a metric, and its name."""
RUN_KINDS = (*SYSTEM_KINDS, "attack", "metric", "certifier")
"""Those, and what judges it: every run chooses of each."""
LEAST_MEAN = 1e-9
"""A mean over images that is not 0 is no smaller: one of a billion images."""


def _mean(number: float) -> float:
    if 0 < number < LEAST_MEAN:
        raise ValueError(f"expected 0 or at least {LEAST_MEAN}, got {number}")
    return number


Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Difference = Annotated[float, Field(ge=-1, le=1)]
"""Of two shares."""
Seconds = Annotated[float, Field(ge=0, le=1e9)]
"""Thirty years at most."""
Moment = Annotated[float, Field(ge=0, le=1e10)]
"""Seconds, or seconds since 1970."""
Mean = Annotated[float, Field(ge=0, le=1e12), AfterValidator(_mean)]
"""Of counts, an image."""
Measured = Annotated[float, Field(ge=-1e9, le=1e9)]
"""What a check of an audit measures: shares, ratios and distances."""


def _is_none(value: object) -> bool:
    """Leaves a field out of records that have nothing to say there: their bytes stay."""
    return value is None


class Frozen(BaseModel):
    """Base of all parts of a record: immutable, unknown fields and NaN refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Value(Frozen):
    """One measured number with its 95 % interval (low, high), None where it has none."""

    metric: str
    value: float | None
    """None when it is not defined (0/0)."""
    low: float | None = None
    high: float | None = None
    n: Count | None = None
    """How many images (or repetitions) it comes from."""
    unit: str = ""
    """share (in [0,1]), s, img/s, bytes, ..."""
    better: Literal["higher", "lower", "neither"] = "higher"
    axes: dict[str, Axis] = Field(default_factory=dict)
    """What it belongs to: attack, access, norm, eps, layer, p, radius, alpha, ..."""

    @field_validator("metric")
    @classmethod
    def _renamed(cls, name: str) -> str:
        return RENAMED.get(name, name)


class MadeOn(Frozen):
    """The machine that made weights or examples, which are valid wherever they were made."""

    torch: str
    device: str
    threads: Some
    machine: str


def share(
    metric: str,
    hits: int,
    n: int,
    axes: Mapping[str, Axis],
    better: Literal["higher", "lower", "neither"] = "higher",
) -> Value:
    """The share `hits` of `n` in [0,1] with its Wilson 95 % interval.

    Raises ValueError unless 0 <= hits <= n and n > 0.
    """
    low, high = wilson(int(hits), n)
    return Value(
        metric=metric,
        value=int(hits) / n,
        low=low,
        high=high,
        n=n,
        unit="share",
        better=better,
        axes=dict(axes),
    )


class Weaker(Frozen):
    """How much more a row leaves than another attack with the same access and threat."""

    than: str
    """The attack that leaves fewest images."""
    points: Difference
    """The row's robust accuracy minus that one's."""
    low: Difference
    high: Difference
    """Paired 95 % interval, on the same images."""


class AttackRow(Frozen):
    """How one row of the run went."""

    attack: str
    access: str
    norm: str
    eps: float | None
    status: Literal["ok", "invalid", "at_chance"] = "ok"
    message: str = ""
    """Why the row is invalid."""
    seconds: Seconds = 0.0
    """Seconds the examples took to make when they were made."""
    made_on: MadeOn | None = None
    """Where the examples were made; records before 0.2 do not say."""
    gradients: Mean | None = None
    """Gradients of the twin that the search asked for, mean an image; None: not counted, since
    the search went around the count or the record is older."""
    queries: Mean | None = None
    """Answers of the twin and of the deployed model that it asked for, mean an image, or None."""
    weaker: Weaker | None = None
    """What surely beats it; None for nothing, for one-step attacks, and in older records."""


class Finding(Frozen):
    """One thing an audit measured, as a number and a plain sentence."""

    check: str
    value: Measured | None
    """None where there was nothing to measure."""
    low: Measured | None = None
    high: Measured | None = None
    """Its 95 % interval."""
    n: Count | None = None
    """How many images it comes from."""
    threshold: Measured | None = None
    """What the interval's lower end must exceed to be suspect."""
    verdict: Verdict
    sentence: str


class WeakAttack(Frozen):
    """A row whose attack misses adversarial examples that the audit found or planted."""

    attack: str
    access: str
    gained: Difference
    """The row's robust accuracy minus the audited one."""
    low: Difference
    high: Difference
    """Paired 95 % interval of what it gained, on the audit's images."""
    missed: Share | None = None
    """Share of planted examples that the attack did not find; None where none were planted."""


class Audit(Frozen):
    """The audit of a system under one threat: `fail` means that it masks its gradients."""

    norm: str
    eps: float
    level: str
    n: Count
    """Images its checks worked on, a subset of the run's."""
    verdict: Verdict
    findings: Annotated[tuple[Finding, ...], FailFast()] = ()
    weak_attacks: Annotated[tuple[WeakAttack, ...], FailFast()] = ()
    seconds: Seconds | None = None
    """What it took when it was made, on all images; None in older records."""


class BrokenCertificate(Frozen):
    """A change inside a certified ball after which the smoothed model surely gives another label.

    Its example stands among the record's, under the name `certificates`, in the same order.
    """

    image: Count
    """The image's number in the test set."""
    label: int
    """The label that was certified."""
    found: int
    """The label of most votes after the change."""
    radius2: Count
    """The certified squared radius, in squared 8-bit units."""
    length2: Count
    """The change's squared length, in squared 8-bit units: at most `radius2`."""
    votes: Count
    """Fresh votes for `found`."""
    draws: Some
    """Fresh votes in all."""


class CertificateAudit(Frozen):
    """The certificates of a run, attacked inside their own balls by the audit's strongest search.

    More broken ones than `allowed` refute the certifier: none of its certificates stands.
    """

    certifier: str
    alpha: Share
    """Probability with which each certificate may be false, as the certifier states it."""
    certificates: Count
    """Certificates with a radius above 0."""
    attacked: Count
    """How many of them were attacked."""
    allowed: Count
    """False ones among all certificates that chance explains, but for one time in a million."""
    broken: Annotated[tuple[BrokenCertificate, ...], FailFast()] = ()
    sentence: str

    @property
    def refuted(self) -> bool:
        """Whether more certificates are false than chance explains."""
        return len(self.broken) > self.allowed


class TwinAgreement(Frozen):
    """How well the differentiable twin computes the deployed function, before defenses wrap it."""

    equal_labels: Share
    logit_gap: Annotated[float, Field(ge=0)] | None
    n: Count
    after_deploy: Share | None = None
    """Share of images to which twin and deployed model, as defenses wrapped them, do not surely
    give different labels; None where none wraps, and in older records."""
    flagged: bool
    """Whether too few labels agree, before or after: fewer than AGREEMENT_EXPECTED."""
    adversarial: Share | None = Field(default=None, exclude_if=_is_none)
    """Share of equal labels on adversarial candidates that the twin was searched for; None of a
    network that robench made, and where there is no twin."""
    adversarial_n: Some | None = Field(default=None, exclude_if=_is_none)
    """How many candidates these are."""
    spread: Share | None = Field(default=None, exclude_if=_is_none)
    """Smallest share of equal labels of a file and the same file run otherwise (optimisations off,
    other threads, and some image by image), on the judged images; None where it runs in one way."""
    adversarial_spread: Share | None = Field(default=None, exclude_if=_is_none)
    """The same on the adversarial candidates."""
    explained: Share | None = Field(default=None, exclude_if=_is_none)
    """Share of the variance of a file's logits, and of the size of their change from clean images
    to adversarial candidates, that the twin explains, the smaller of both (of probabilities, where
    the file gives these); None where `adversarial` is, and in older records."""

    @property
    def surrogate(self) -> bool:
        """Whether a file's twin computes another function, so that its examples transfer."""
        if self.adversarial is None:
            return False
        labels = self.equal_labels < AGREEMENT_EXPECTED or self.adversarial < ADVERSARIAL_EXPECTED
        return labels or (self.explained is not None and self.explained < EXPLAINED_EXPECTED)

    @property
    def imperfect(self) -> bool:
        """Whether a file's twin is no surrogate, and yet not as good as it could be."""
        if self.adversarial is None or self.surrogate:
            return False
        return min(self.equal_labels, self.adversarial) < AGREEMENT_GOOD


class FileInfo(Frozen):
    """A file that somebody else's toolchain made, and what runs it here."""

    format: str
    """onnx, tflite, pt2, ..."""
    sha256: str = Field(pattern=r"[0-9a-f]{64}")
    bytes: Some
    """Of the file and of what it keeps outside."""
    runtime: str
    """The runtime's choice: onnxruntime, litert, torch, ..."""
    version: str
    """The runtime's own."""
    provider: str = ""
    """Its execution provider or delegate."""
    instructions: str = ""
    """The machine's instruction set."""
    parent: str = ""
    """SHA-256 of the float network's file that it was made from; empty where none was given."""
    black_box: str = ""
    """Why no twin could be made of it; empty where there is one."""
    bits: int | None = Field(default=None, ge=1, le=64, exclude_if=_is_none)
    """Of its widest weight; None where robench cannot read it, and in older records."""


class DataInfo(Frozen):
    """The data a run was judged on."""

    name: str
    hash: str
    images: Some
    """Judged test images."""
    subset: str
    """Digest of the judged images' indices."""


class Provenance(Frozen):
    """What computed the numbers."""

    robench: str
    distributions: dict[str, str]
    components: dict[str, str]
    """kind.choice -> distribution version / component version."""
    python: str
    machine: str
    device: str
    threads: Some
    commit: str | None = None
    weights: MadeOn | None = None
    """Where the network was trained; records before 0.2 do not say."""

    @property
    def trained_threads(self) -> int:
        """Threads that the network was trained with, which decide its bits.

        Others than the run's where a cache held what an earlier run had trained.
        """
        return self.weights.threads if self.weights else self.threads


class Record(Frozen):
    """One run: what was asked, what came out, and what computed it."""

    schema_version: int = SCHEMA_VERSION
    id: str
    status: Literal["ok", "at_chance"] = "ok"
    config: dict[str, Any]
    overrides: tuple[str, ...] = ()
    """What was typed on the command line."""
    seed: int
    data: DataInfo
    values: Annotated[tuple[Value, ...], FailFast()]
    rows: Annotated[tuple[AttackRow, ...], FailFast()]
    agreement: TwinAgreement
    file: FileInfo | None = Field(default=None, exclude_if=_is_none)
    """The shipped file that was judged; None of a network that robench itself made."""
    audit: Annotated[tuple[Audit, ...], FailFast()] = ()
    certificates: CertificateAudit | None = None
    """None where nothing was certified or audited, and in older records."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """What the training reported: margins of every round, for instance."""
    bits: int | None = Field(None, ge=1, le=64)
    """Bits of a weight as it ships; None where a file is not read, and in older records."""
    queries_only: tuple[str, ...] | None = None
    """Attacks that read answers only, whatever their access; None where the record is older."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the files beside it that prove it, by name: the deployed model, the outcomes, the
    examples and the tables; empty where the record is older."""
    protocol: str
    """Rows are ranked together only under the same protocol."""
    provenance: Provenance
    timings: dict[str, Moment] = Field(default_factory=dict)
    """Seconds; the only part that two identical runs need not share."""

    def budgets(self) -> dict[str, tuple[float, ...]]:
        """Eps at which a minimum-norm attack's accuracy stands in the record, by attack."""
        minimal = {row.attack for row in self.rows if row.eps is None}
        found: dict[str, dict[float, None]] = {}
        for value in self.values if minimal else ():
            if value.metric == "robust_accuracy" and value.axes.get("attack") in minimal:
                attack, eps = str(value.axes["attack"]), value.axes.get("eps")
                if isinstance(eps, float):
                    found.setdefault(attack, {})[eps] = None
        return {attack: tuple(sizes) for attack, sizes in found.items()}

    @property
    def known(self) -> tuple[Value, ...]:
        """The values that there are to find."""
        return self.values

    def get(self, metric: str, /, **axes: Axis) -> Value | None:
        """As `find`, but None where there is no such value."""
        return self.find(metric, **axes) if self.find_all(metric, **axes) else None

    def find(self, metric: str, /, **axes: Axis) -> Value:
        """The value of a metric whose axes contain the given ones; eps may be "8/255".

        Of several it is the one that has no other axes. Raises UserError, with what there is, where
        there is none, and, with what tells them apart, where several are left.
        """
        found = self.find_all(metric, **axes)
        if not found:
            raise UserError(self._absent(metric, _numbered(axes)))
        if len(found) > 1:
            found = tuple(one for one in found if one.axes == _numbered(axes)) or found
        if len(found) > 1:
            raise UserError(_several(metric, found))
        return found[0]

    def find_all(self, metric: str, /, **axes: Axis) -> tuple[Value, ...]:
        """Every value of a metric whose axes contain the given ones, in the record's order."""
        return tuple(self._having(metric, _numbered(axes)))

    def _having(self, metric: str, axes: Mapping[str, Axis]) -> Iterator[Value]:
        for value in self.known:
            if value.metric == metric and axes.items() <= value.axes.items():
                yield value

    def _absent(self, metric: str, axes: Mapping[str, Axis]) -> str:
        """Why there is no such value: the first thing asked for that leaves none."""
        left = [value for value in self.known if value.metric == metric]
        if not left:
            return _expected("a metric of this record", metric, {v.metric for v in self.known})
        for name, wanted in axes.items():
            if not any(name in value.axes for value in left):
                known = {axis for value in left for axis in value.axes}
                return _expected(f"an axis of {metric}", name, known)
            there = {value.axes[name] for value in left if name in value.axes}
            left = [value for value in left if value.axes.get(name, _ABSENT) == wanted]
            if not left:
                return _expected(f"a value of {metric} with {name}", wanted, there)
        raise AssertionError("a value with all of these axes is there")


_ABSENT = object()
"""No axis is equal to it."""


def _numbered(axes: Mapping[str, Axis]) -> dict[str, Axis]:
    """Axes as a record has them: an eps that was typed is a number; raises ConfigError."""
    if isinstance(eps := axes.get("eps"), str):
        return {**axes, "eps": (parse_eps(eps) or (eps,))[0]}
    return dict(axes)


def _several(metric: str, found: Sequence[Value]) -> str:
    """That a value was asked for and there are several, and by which axes they differ."""
    names = dict.fromkeys(name for value in found for name in value.axes)
    seen = {name: dict.fromkeys(v.axes[name] for v in found if name in v.axes) for name in names}
    apart = [
        f"{name} ({', '.join(map(_shown, values))})"
        for name, values in seen.items()
        if len(values) > 1 or not all(name in value.axes for value in found)
    ]
    return (
        f"expected one value of {metric}, got {len(found)}"
        + (f" that differ by {', '.join(apart)}, say which" if apart else "")
        + "; find_all gives all of them"
    )


def _shown(value: Axis) -> str:
    return eps_text(value) if isinstance(value, float) else one_line(value)[:80]


def _expected(what: str, got: Axis, known: Iterable[Axis]) -> str:
    """What was asked for that is not there, and what is, the nearest first."""
    texts = [_shown(one) for one in known]
    near = suggestion(got, texts) if isinstance(got, str) else ""
    shown = ", ".join(sorted(texts)) or "none"
    named = one_line(got)[:80] or "an empty text"
    return f"expected {what} among {shown}, got {named}{near}"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of some verdicts; `pass` when there are none."""
    return max(verdicts, key=VERDICTS.index, default="pass")


def run_id(config: Mapping[str, Any]) -> str:
    """The id of a run from its configuration's plain form: a digest that sees the defenses' order.

    Raises KeyError for a configuration without defenses.
    """
    return digest([config, list(config["defense"])])
