"""What the process says by its exit code; documented in the README."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Values of sysexits.h where it has one for the case, and the shell's 128 + signal."""

    OK = 0
    """Done; for ``run``: stopped on request, drained and committed."""
    FAILED = 1
    """The command ran, and something it was asked to do did not succeed."""
    USAGE = 2
    """The command line is wrong."""
    UNAVAILABLE = 69
    """A dependency could not be reached at start (EX_UNAVAILABLE)."""
    INTERNAL = 70
    """A bug, or a Kafka error that can't be recovered from within the process (EX_SOFTWARE); start it again."""
    CONFIG = 78
    """Settings or prompt catalogue are wrong (EX_CONFIG)."""
    INTERRUPTED = 130
    """A second signal ended it at once, without draining."""
