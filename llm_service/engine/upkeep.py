"""What the engine's process arranges before it loads a model: it dies with its parent, and before it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
# Below the service itself, whose heartbeats to Kafka come before any token.
_NICENESS = 5
# proc(5): the first to go when the machine runs out of memory. A model is loaded again; the consumer is not to die.
_FIRST_TO_GO = "1000"


def belong_to(parent: int) -> None:
    """Die with the parent, write no core of the size of a model, and be the kernel's choice when memory ends."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    if os.getppid() != parent:
        # The parent died before the line above could say so.
        raise SystemExit(1)
