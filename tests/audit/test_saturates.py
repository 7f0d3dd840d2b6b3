"""A file whose output clips its logits: its faithful twin alone overstates, three twins do not."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from robench.audit.checks import CHECKS
from robench.audit.checks.saturates import Saturates
from robench.audit.findings import findings_of
from robench.audit.trial import SystemTrial
from robench.core.record import Finding, worst
from robench.core.sentences import follows
from robench.core.system import FloatDeployed, System
from tests.audit.zoo import Zoo


class Clipped(nn.Module):
    """A network whose logits are rounded to 1/8 and end at a ceiling, as 8-bit logits do."""

    def __init__(self, network: nn.Module, ceiling: float) -> None:
        super().__init__()
        self.network, self.ceiling = network, ceiling

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        rounded = logits + ((logits * 8).round() / 8 - logits).detach()
        return rounded.clamp(-self.ceiling, self.ceiling)


def shipped(zoo: Zoo, ceiling: float, **more: object) -> SystemTrial:
    base, lesson = zoo.base(), zoo.lesson
    file = Clipped(base, ceiling).eval()
    system = System(FloatDeployed(file), file, {"open_output": base})
    return SystemTrial(
        system, lesson.test.float_images(), lesson.test.labels, lesson.threat, 0, **more
    )  # type: ignore[arg-type]


def only(found: list[Finding]) -> Finding:
    (finding,) = [one for one in found if one.check == "saturates"]
    assert follows(finding, [], [])
    return finding


@pytest.mark.parametrize(("ceiling", "verdict"), [(4.0, "fail"), (1000.0, "pass")])
def test_the_audit_names_a_clipped_output_and_no_other(
    zoo: Zoo, ceiling: float, verdict: str
) -> None:
    made = shipped(zoo, ceiling)
    finding = only(list(Saturates().look(made)))
    assert finding.verdict == verdict
    assert finding.sentence.startswith("the output saturates") == (verdict == "fail")
    assert ("the open output twin" in made.forms) == (verdict == "fail")


def test_a_whole_audit_goes_on_where_the_gradient_is_whole(zoo: Zoo) -> None:
    made = shipped(zoo, 4.0)
    findings = list(findings_of(made, CHECKS["quick"]))
    assert worst(one.verdict for one in findings) == "fail"
    honest = shipped(zoo, 1000.0)
    findings = list(findings_of(honest, CHECKS["quick"]))
    assert worst(one.verdict for one in findings) == "pass"


def test_nothing_is_said_of_a_system_with_one_twin(zoo: Zoo) -> None:
    made = shipped(zoo, 4.0)
    made.system = System(made.system.deployed, made.system.twin)
    assert not list(Saturates().look(made))
