"""What is said of a file that cannot become a table of operators."""

from __future__ import annotations

from collections.abc import Iterable

from robench.base.errors import UserError


class UnreadableFile(UserError):
    """A foreign file that is broken, unsafe or beyond the bounds: it is judged by nobody."""


class UnknownOperator(UserError):
    """A sound file with operators the table lacks: a black box, as a twin of it would be wrong."""

    def __init__(self, operators: Iterable[str]) -> None:
        self.operators = tuple(sorted(set(operators)))
        super().__init__(
            f"expected operators of robench's table, got {', '.join(self.operators)}; "
            "the file is a black box: judge it by attack=square, or give its float parent"
        )
