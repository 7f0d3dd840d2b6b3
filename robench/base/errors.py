"""The errors robench raises.

RobenchError
├── UserError           bad input: one line on the terminal, exit status 2
│   ├── ConfigError     a configuration that cannot run
│   ├── DataError       a data set that is missing, damaged or malformed
│   └── PluginError     a plugin or component that breaks its contract
│   └── CacheError      a cache or results folder that cannot be used
└── InternalError       a promise of robench's own that it broke: a bug
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from robench.base.text import one_line, reason

LONGEST = 200
"""Letters of a foreign error that are repeated, at most."""
DISK_REFUSES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ESTALE, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}
"""What a system says when a folder cannot be written, or a disk fails."""
NUMBERED = re.compile(r"(?:os error|errno)[ :]*(\d+)", re.IGNORECASE)
"""How libraries that are not written in Python say so."""
DEBUG = "ROBENCH_DEBUG"
"""Set in the environment, what nobody foresaw is raised with its traceback."""


def debugging() -> bool:
    """Whether whoever runs robench wants tracebacks rather than a line."""
    return bool(os.environ.get(DEBUG))


class RobenchError(Exception):
    """Base of every error robench raises on purpose."""


class UserError(RobenchError):
    """Bad input; the message says what was expected, what was got and what to do."""


class ConfigError(UserError):
    """A configuration that cannot run."""


class DataError(UserError):
    """A data set that is missing, damaged or malformed."""


class PluginError(UserError):
    """A plugin or component that breaks its contract."""


class CacheError(UserError):
    """A cache or results folder that cannot be read or written."""


class InternalError(RobenchError):
    """A promise of robench's own that it broke: the run stops and asks for a report."""


def refusal_of(error: BaseException | None) -> str:
    """What the disk said that let a library raise this error; empty where it was not the disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_REFUSES:
            return one_line(error)
        told = one_line(error) if isinstance(error, Exception) else ""
        numbers = {int(found) for found in NUMBERED.findall(told)}
        if not isinstance(error, RobenchError) and (
            numbers & DISK_REFUSES or any(os.strerror(one) in told for one in DISK_REFUSES)
        ):
            return told[:LONGEST]
        error = error.__cause__ or error.__context__
    return ""


@contextmanager
def bad_input(expected: str) -> Iterator[None]:
    """Make a UserError, `EXPECTED, got ...`, of whatever the block raises; UserErrors stay.

    For what reads files from anywhere: the readers of others have errors of every kind.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if debugging():
            raise
        raise UserError(f"{expected}, got {reason(error)[:LONGEST]}") from error
