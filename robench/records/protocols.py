"""Named protocols: what a number is judged on and by, fixed under a name and a version.

A protocol is one YAML, `protocol/NAME.yaml` of the shipped presets or of a plugin's
(`robench_config`). Hydra composes it like any preset; here the same file is read as what a run
under it, and a record of one, must hold.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.base.errors import ConfigError, UserError
from robench.base.hashing import canonical, file_hash, plain_options
from robench.base.paths import shipped
from robench.base.text import one_line, reason, suggestion
from robench.base.yaml_text import read_yaml
from robench.core.threat import NORMS, ThreatConfig, parse_eps
from robench.plugin.registry import registry
from robench.plugin.typed import read_options
from robench.records.protocol import maker

if TYPE_CHECKING:
    from robench.core.record import DataInfo, Record

GROUP = "protocol"
CERTIFIED = "certified"
"""The metric whose options a certified protocol fixes."""
ACCESS: Mapping[str, Mapping[str, Any]] = {"white_box": {}, "transfer": {"source": {}}}
LEVELS = ("off", "quick", "full")
"""Levels of the audit, from the one that tries least."""
HEADER = "# @package _global_"
CHOSEN = {"dataset", "attack", "threat", "access", "audit", "metric"}
"""Groups that a protocol may choose of; the others are the run's."""
BODY = {"defaults", "dataset", "attack", "threat", "metric", "images", GROUP}
STATED = {
    "name": str,
    "version": int,
    "title": str,
    "seed": int,
    "data": str,
    "subset": str,
    "versions": dict,
    "headline": dict,
    "minutes": (int, float),
}
"""What a protocol says of itself, all of it required, and of which type."""
DIGEST = re.compile(r"[0-9a-f]{16}")
OPEN = "no protocol was chosen"
OURS = "robench"
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What a run under a named protocol is judged on and by; model, training and seed are free."""

    name: str
    version: int
    title: str
    """In a few words, for people."""
    package: str
    """The package that holds its file: robench, or a plugin's."""
    dataset: Mapping[str, Any]
    """The data set's choice and all its options; those below alike."""
    data: str
    """Hash of the data's pixels and labels."""
    seed: int
    """What draws the judged images, and those that the audit works on, whatever the run's seed."""
    images: int
    """Judged test images."""
    subset: str
    """Digest of the judged images' indices."""
    threat: Mapping[str, Any]
    attack: Mapping[str, Any]
    access: Mapping[str, Any]
    audit: str
    """The audit's level, at least: more effort is no advantage."""
    certified: Mapping[str, Any] | None
    """Options of the metric `certified`, None where nothing is certified."""
    alpha: float | None
    """The largest error probability that a certifier may have."""
    versions: Mapping[str, str]
    """By kind.choice, the versions of the components whose settings are fixed."""
    headline_eps: float | None
    """The size of the ball ([0,1] pixels) whose robust accuracy ranks, or None."""
    headline_radius: float | None
    """The L2 radius ([0,1] pixels) whose certified accuracy ranks, or None."""
    minutes: float
    """What judging a small network costs on two cores, training not counted."""
    stated: Mapping[str, Any]
    """What its file says of itself, as a composed configuration holds it."""

    @property
    def norm(self) -> str:
        """Linf or l2."""
        norm: str = self.threat["norm"]
        return norm

    @property
    def eps(self) -> tuple[float, ...]:
        """The sizes of the ball in [0,1] pixels, as they stand in the rows."""
        return tuple(float(eps) for eps in parse_eps(self.threat["eps"]) or ())

    @property
    def origins(self) -> set[str]:
        """The distributions that what is fixed may come from: robench, or the protocol's own."""
        return {OURS, registry().config_packages.get(self.package, OURS)}

    @property
    def plain(self) -> dict[str, Any]:
        """What a run's configuration holds of its protocol."""
        return {"name": self.name, "version": self.version}

    def fixes(self) -> dict[str, Any]:
        """Everything fixed, as plain values by part: a new content needs a new version."""
        parts = (
            "dataset data seed images subset threat attack access audit certified alpha versions"
        )
        return {part: getattr(self, part) for part in parts.split()} | {
            "headline": [self.headline_eps, self.headline_radius]
        }

    def changed(self, config: Mapping[str, Any], components: Mapping[str, str]) -> Iterator[str]:
        """What a run's plain configuration changes: 'WHERE=EXPECTED, got OTHER', none if it keeps.

        `components` maps kind.choice to "distribution version / component version".
        """
        audit = _mapping(config.get("audit"))
        level = audit.get("level")
        for part in ("dataset", "threat", "attack", "access", "images"):
            yield from _differences(part, getattr(self, part), config.get(part))
        if level not in LEVELS[LEVELS.index(self.audit) :]:
            yield f"audit={self.audit}, got {_shown(level)}"
        yield from _differences("audit.images", None, audit.get("images"))
        if self.certified is not None:
            metrics = _mapping(config.get("metric"))
            if CERTIFIED in metrics:
                said = metrics[CERTIFIED]
                yield from _differences(f"metric.{CERTIFIED}", self.certified, said)
            else:
                yield f"metric.{CERTIFIED} among the metrics, got {one_line(', '.join(metrics))}"
            yield from self._alphas(_mapping(config.get("certifier")))
            yield from self._certifiers(_mapping(config.get("certifier")), components)
        for name, version in self.versions.items():
            here = components.get(name, "").rpartition(" / ")[2]
            if here != version:
                yield f"version {version} of {name}, got {one_line(here) or 'none'}"
        yield from self._strangers(components)

    def _strangers(self, components: Mapping[str, str]) -> Iterator[str]:
        """Components of the right name and version that another distribution brings."""
        for name in (*self.versions, *(f"dataset.{one}" for one in self.dataset)):
            origin = components.get(name, "").rpartition(" / ")[0].rpartition(" ")[0]
            if origin and origin not in self.origins:
                wanted = " or ".join(sorted(self.origins))
                yield f"{name} of {wanted}, got it of {one_line(origin)[:80]}"

    def _certifiers(
        self, certifiers: Mapping[str, Any], components: Mapping[str, str]
    ) -> Iterator[str]:
        """Certifiers named as robench's own that it does not bring, in no version up to this."""
        for name in certifiers:
            choice = registry().choices["certifier"].get(name)
            if choice is None or choice.distribution != OURS:
                continue
            made = components.get(f"certifier.{name}", "")
            (origin, version), newest = maker(made), int(choice.component.version)
            # Older records say nothing of certifiers.
            if made and (origin != OURS or version not in map(str, range(1, newest + 1))):
                yield f"certifier.{name} of {OURS}, at most version {newest}, got {one_line(made)}"

    def _alphas(self, certifiers: Mapping[str, Any]) -> Iterator[str]:
        for name, options in certifiers.items():
            alpha = _mapping(options).get("alpha")
            if not isinstance(alpha, int | float) or self.alpha is None or alpha > self.alpha:
                yield f"certifier.{one_line(name)}.alpha<={self.alpha}, got {_shown(alpha)}"

    def require(self, config: Mapping[str, Any], components: Mapping[str, str]) -> None:
        """Raise ConfigError naming the first thing that a run's configuration changes."""
        for change in self.changed(config, components):
            raise ConfigError(
                f"expected {change}: protocol {self.name} fixes it; leave it as it is, or run "
                "without protocol="
            )


def protocols() -> Mapping[str, Protocol]:
    """The installed protocols by name; a malformed file is left out and named on stderr, once."""
    return {name: p for name, p in _installed().items() if isinstance(p, Protocol)}


def hashes() -> list[list[str]]:
    """Package, name and SHA-256 of each installed protocol's file: if equal, so are protocols."""
    return [[package, path.stem, file_hash(path)] for package, path in _files()]


def get(name: str) -> Protocol:
    """An installed protocol; raises ConfigError with the nearest name, or why it is left out."""
    found = _installed().get(name)
    if isinstance(found, Protocol):
        return found
    if found:
        raise ConfigError(f"expected a protocol that can be used, got {name}: {found}")
    known = protocols()
    raise ConfigError(
        f"expected protocol to be one of {', '.join(sorted(known))}, got {one_line(name)!r}"
        + suggestion(name, known)
    )


def check_named(given: Any) -> None:
    """Raise ConfigError unless a configuration names a protocol as one does, or none."""
    if given is None:
        return
    keys = set(given) if isinstance(given, Mapping) else set()
    if keys != {"name", "version"} or not isinstance(given["name"], str):
        raise ConfigError(f"expected a protocol's name and version, got {given!r:.80}")
    if type(given["version"]) is not int:
        raise ConfigError(f"expected a protocol's version, got {given['version']!r:.80}")


def is_installed(given: Mapping[str, Any]) -> bool:
    """Whether a protocol is installed in the version that a configuration names."""
    here = protocols().get(given["name"])
    return here is not None and here.version == given["version"]


def named(given: Any) -> Protocol | None:
    """The protocol that a configuration names, None for an open run.

    Raises ConfigError where it is malformed, or not installed in that version.
    """
    check_named(given)
    if given is None:
        return None
    here = protocols().get(given["name"])
    if not here or not is_installed(given):
        why = f"{here.version} is" if here else "no version is"
        said = f"{one_line(given['name'])[:80]} version {given['version']}"
        raise ConfigError(f"{said} is not installed here ({why})")
    return here


def protocol_of(record: Record) -> Protocol | None:
    """The installed protocol that a record names and keeps, None for an open run."""
    return None if why_open(record) else named(record.config[GROUP])


def why_open(record: Record) -> str:
    """Why a record is an open run, in a few words; nothing where it is under a protocol."""
    try:
        protocol = named(record.config.get(GROUP))
    except ConfigError as error:
        return str(error)
    if protocol is None:
        return OPEN
    change = next(broken(protocol, record), None)
    return f"it changed what {protocol.name} fixes: expected {change}" if change else ""


def broken(protocol: Protocol, record: Record) -> Iterator[str]:
    """What a record changes of its protocol, its data and judged images included."""
    yield from protocol.changed(record.config, record.provenance.components)
    yield from judged_elsewhere(protocol, record.data)


def judged_elsewhere(protocol: Protocol, data: DataInfo) -> Iterator[str]:
    """How data and judged images differ from a protocol's."""
    for name, wanted in (("hash", protocol.data), ("images", protocol.images)):
        yield from _differences(f"data.{name}", wanted, getattr(data, name))
    yield from _differences("data.subset", protocol.subset, data.subset)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: Any) -> str:
    return "none" if value in (None, _MISSING) else one_line(value)[:80]


def _differences(where: str, wanted: Any, got: Any) -> Iterator[str]:
    """Where two plain values differ, as deep as both are mappings of the same names."""
    if type(wanted) is type(got) and type(got) in _PLAIN and repr(wanted) == repr(got):
        return
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        if set(wanted) != set(got):
            yield f"{where}={_names(wanted)}, got {_names(got)}"
        else:
            for name, one in wanted.items():
                yield from _differences(f"{where}.{name}", one, got[name])
    # As text, so that 1 is not taken for 1.0 or true, which give other ids.
    elif got is _MISSING or canonical(wanted) != canonical(got):
        yield f"{where}={_shown(wanted)}, got {_shown(got)}"


_PLAIN = (dict, list, str, int, float, bool, type(None))
"""Values of these types, all within them too, that Python writes alike are alike."""


def _names(chosen: Mapping[str, Any]) -> str:
    return one_line(f"[{','.join(map(str, chosen))}]")[:120]


# -- reading the files -----------------------------------------------------------------------------


@cache
def _installed() -> dict[str, Protocol | str]:
    """By name, each protocol, or why its file is left out; robench's own come first."""
    found: dict[str, Protocol | str] = {}
    for package, path in _files():
        name = path.stem
        if name in found:
            _complain(package, name, "its name is taken; rename it")
            continue
        try:
            found[name] = read(path, package)
        except UserError as error:
            found[name] = one_line(error)
        except Exception as error:  # YAML of a plugin may hold anything
            found[name] = reason(error)
        if isinstance(found[name], str):
            _complain(package, name, str(found[name]))
    return found


def _complain(package: str, name: str, why: str) -> None:
    text = f"robench: protocol {name} of {package} is skipped: {why}"
    print(one_line(text), file=sys.stderr)  # noqa: T201


def _files() -> Iterator[tuple[str, Path]]:
    """Every protocol's file with its package."""
    folders = [("robench", shipped("conf"))]
    for package in registry().config_packages:
        spec = find_spec(package)
        places = spec.submodule_search_locations if spec else None
        folders += [(package, Path(place)) for place in places or ()]
    for package, folder in folders:
        yield from ((package, path) for path in sorted((folder / GROUP).glob("*.yaml")))


def read(path: Path, package: str) -> Protocol:
    """A protocol from its file; raises ConfigError for what is not of the restricted form.

    The form: the header that Hydra needs, overrides of the groups in CHOSEN, their options, the
    number of images, and what STATED lists. No interpolation, no other setting.
    """
    text = path.read_text(encoding="utf-8")
    if not text.startswith(HEADER + "\n"):
        raise ConfigError(f"expected the first line {HEADER!r}")
    body = read_yaml(text)
    if not isinstance(body, dict) or set(body) - BODY or "${" in canonical(body):
        raise ConfigError(f"expected plain values of {', '.join(sorted(BODY))} alone")
    stated = _stated(body.get(GROUP), path.stem)
    chosen = _chosen(body.get("defaults"))
    return _protocol(body, stated, chosen, package)


def _stated(given: Any, stem: str) -> dict[str, Any]:
    stated = dict(_mapping(given))
    if set(stated) != set(STATED):
        raise ConfigError(f"expected {GROUP} with {', '.join(STATED)}, got {_names(stated)}")
    for name, kind in STATED.items():
        if not isinstance(stated[name], kind) or isinstance(stated[name], bool):  # type: ignore[arg-type]
            raise ConfigError(f"expected another type of {GROUP}.{name}, got {stated[name]!r:.80}")
    if stated["name"] != stem:
        raise ConfigError(f"expected {GROUP}.name={stem}, as its file is named")
    if stated["version"] < 1 or not 0 < stated["minutes"] < 1e4:
        raise ConfigError(f"expected {GROUP}.version >= 1 and {GROUP}.minutes above 0")
    for name in ("data", "subset"):
        if not DIGEST.fullmatch(stated[name]):
            raise ConfigError(f"expected {GROUP}.{name} as 16 hexadecimal digits, in quotes")
    return stated


def _chosen(defaults: Any) -> dict[str, list[str]]:
    """By group, the choices that the defaults override."""
    chosen: dict[str, list[str]] = {}
    for one in defaults if isinstance(defaults, list) else ():
        ((key, value),) = one.items() if isinstance(one, dict) and len(one) == 1 else ((one, None),)
        group = str(key).removeprefix("override /")
        if key == "_self_":
            continue
        if not str(key).startswith("override /") or group not in CHOSEN or group in chosen:
            raise ConfigError(f"expected overrides of {', '.join(sorted(CHOSEN))}, got {key!r:.80}")
        chosen[group] = [value] if isinstance(value, str) else list(value or ())
    if missing := CHOSEN - {"metric"} - set(chosen):
        raise ConfigError(f"expected overrides of {', '.join(sorted(missing))} too")
    return chosen


def _protocol(
    body: Mapping[str, Any], stated: dict[str, Any], chosen: dict[str, list[str]], package: str
) -> Protocol:
    if len(chosen["dataset"]) != 1 or chosen["threat"] != ["usual"] or len(chosen["audit"]) != 1:
        raise ConfigError("expected one dataset, threat: usual, and one level of the audit")
    options = _mapping(_mapping(body.get("metric")).get(CERTIFIED))
    certifies = CERTIFIED in chosen.get("metric", ())
    certified = _component("metric", CERTIFIED, options) if certifies else None
    (level,) = chosen["audit"]
    own = {name: value for name, value in stated.items() if name != "headline"}
    headline = dict(stated["headline"])
    alpha = headline.pop("alpha", None)
    protocol = Protocol(
        **own,
        stated=stated,
        package=package,
        dataset=_components("dataset", chosen["dataset"], body.get("dataset")),
        attack=_components("attack", chosen["attack"], body.get("attack")),
        threat=_threat(body.get("threat")),
        access={name: dict(_one_of("access", name, ACCESS)) for name in chosen["access"]},
        audit=level,
        images=body.get("images"),  # type: ignore[arg-type]  # checked below
        certified=certified,
        alpha=alpha,
        headline_eps=_eps(headline.get("eps")),
        headline_radius=headline.get("radius"),
    )
    _check(protocol, headline)
    return protocol


def _one_of(group: str, name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ConfigError(f"expected {group} among {', '.join(known)}, got {name!r:.80}")
    return known[name]


def _components(kind: str, names: list[str], options: Any) -> dict[str, Any]:
    given = _mapping(options)
    if strange := set(given) - set(names):
        raise ConfigError(f"expected options of what is chosen, got {kind}.{min(strange)}")
    return {name: _component(kind, name, _mapping(given.get(name))) for name in names}


def _component(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a component, plain, those not given at their defaults."""
    import json

    made = plain_options(registry().get(kind, name).typed(options))
    plain: dict[str, Any] = json.loads(canonical(made))
    return plain


def _threat(options: Any) -> dict[str, Any]:
    given = dict(_mapping(options))
    if given.get("norm") not in NORMS or not isinstance(given.get("eps"), list):
        raise ConfigError(f"expected threat.norm among {', '.join(NORMS)}, and a list threat.eps")
    threat = ThreatConfig(**read_options(ThreatConfig, given, "threat", widen=True))
    if any(isinstance(eps, str) for eps in parse_eps(threat.eps) or ()):
        raise ConfigError("expected numbers for threat.eps, got the name of a level")
    return asdict(threat)


def _eps(value: Any) -> float | None:
    parsed = parse_eps(value)
    return float(parsed[0]) if parsed else None


def _check(protocol: Protocol, headline: Mapping[str, Any]) -> None:
    fixed = {f"attack.{name}" for name in protocol.attack}
    fixed |= {f"metric.{CERTIFIED}"} if protocol.certified is not None else set()
    if set(protocol.versions) != fixed:
        raise ConfigError(f"expected {GROUP}.versions of {', '.join(sorted(fixed))}")
    if not all(isinstance(version, str) for version in protocol.versions.values()):
        raise ConfigError(f"expected {GROUP}.versions in quotes")
    if type(protocol.images) is not int or protocol.images < 1:
        raise ConfigError(f"expected images as a whole number, got {protocol.images!r:.80}")
    if protocol.audit not in LEVELS:
        raise ConfigError(f"expected audit among {', '.join(LEVELS)}, got {protocol.audit!r:.80}")
    if len(headline) != 1 or not set(headline) <= {"eps", "radius"}:
        raise ConfigError("expected headline to be {eps: E} or {radius: R, alpha: A}")
    if protocol.headline_radius is None:
        if protocol.headline_eps not in protocol.eps or not protocol.attack:
            raise ConfigError("expected headline.eps among threat.eps, and an attack")
        return
    certified = protocol.certified or {}
    if protocol.headline_radius not in certified.get("radii", ()):
        raise ConfigError("expected headline.radius among metric.certified.radii")
    if not isinstance(protocol.alpha, float) or not 0 < protocol.alpha < 1:
        raise ConfigError("expected headline.alpha, the largest error probability, in (0, 1)")
