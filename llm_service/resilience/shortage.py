"""What this machine is short of, as the operating system says it: no fault of a task, and gone some time later."""

from __future__ import annotations

import errno
import ssl
from types import MappingProxyType

from llm_service.errors import ProviderUnavailable

_SHORT_OF = MappingProxyType(
    {
        errno.EMFILE: "this process has no file descriptor left: raise its limit of open files",
        errno.ENFILE: "the machine has no file descriptor left: raise fs.file-max",
        errno.ENOMEM: "the machine has no memory left",
        errno.ENOBUFS: "the machine has no room for network buffers left",
        errno.ENOSPC: "a disk is full: free space on it",
        errno.EDQUOT: "the disk quota is used up: free space",
        # Of fork and of a new thread.
        errno.EAGAIN: "the machine starts no more processes or threads: raise their limit",
        # Of the descriptors that are on their way through sockets.
        errno.ETOOMANYREFS: "too many descriptors are under way between processes",
    }
)
_NO_THREAD = "can't start new thread"


def shortage(error: BaseException | None) -> str | None:
    """What is short, with the remedy, where that is behind ``error``; None where it is something else.

    Libraries wrap what they meet, so the reasons behind are looked at too.
    """
    while error is not None:
        if isinstance(error, MemoryError):
            return _SHORT_OF[errno.ENOMEM]
        # All that CPython says of a thread that it could not start, for want of memory or of a number.
        if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
            return _SHORT_OF[errno.EAGAIN]
        # OpenSSL's numbers are its own.
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            short = _SHORT_OF.get(error.errno or 0)
            if short is not None:
                return short
        error = error.__cause__ or error.__context__
    return None


class MachineShort(ProviderUnavailable):
    """This machine is short of something that the call or the task needs: nothing was spent, it is tried again later.

    The provider is well, so it does not count for its breaker.
    """

    trips = False
