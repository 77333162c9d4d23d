"""What the child process gives up before it sees a document.

Layer by layer, since not every machine allows each:

- its environment was made empty by the parent, so there are no secrets to take;
- an empty network namespace, where the kernel allows one (many containers do not);
- an audit hook, which can't be taken out again, refuses sockets, programs and reading files outside the
  interpreter's own folders. It sees what goes through Python;
- a filter in the kernel (``system_calls``) refuses sockets, programs, processes, signals and changes of the file system
  to parsers written in C too, and another (``readable``), where the kernel has it, reading outside those folders and the
  system's libraries: the environment of the parent, the ``.env`` beside the package;
- the kernel's limits: no file is written, few are opened, no core dump holds a document, memory and
processor time
  end by the policy.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from llm_service.files.conversion import readable, system_calls

# <linux/prctl.h>, <linux/sched.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

# The document, the control socket, null thrice, and the data files that parsers open one at a time.
_OPEN_FILES = 64
# Below the service itself: its heartbeats come before any document. It lasts, since only root may take it
# back.
_NICENESS = 5
_FORBIDDEN = (
    "socket.__new__",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
)
# Columns of /proc/self/statm, in pages: proc(5).
_STATM_RESIDENT = 1
_STATM_DATA = 5
_Check = Callable[[str, tuple[object, ...]], None]


def leave_network(parent: int) -> bool:
    """Detach from the network if the kernel allows it, and die with the parent. Call while there is one
    thread.

    Returns whether the process has an empty network namespace now.
    """
    os.nice(_NICENESS)
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    alone: bool = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    # After unshare, which clears it. The socket's end also ends the child, but only between two documents.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # unshare also hides it from its own user under /proc; operators may look at it as at any process of theirs.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if os.getppid() != parent:
        # The parent died before the line above could say so.
        raise SystemExit(1)
    return alone


def forbid() -> bool:
    """Refuse sockets, programs and foreign files from here on. Once all libraries are loaded.

    Returns whether the kernel refuses them too.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    folders = _library_folders()
    readable.allow_only([*folders, *readable.SYSTEM_FOLDERS])
    sys.addaudithook(_hook(folders))
    return system_calls.refuse()


def limit_memory(above_base: int) -> None:
    """Let the process grow by so many bytes. Data, not address space: mapped libraries are free.

    Linux only: elsewhere the kernel does not count it.
    """
    if sys.platform != "linux":
        return
    ceiling = _statm_bytes(_STATM_DATA) + above_base
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, resource.RLIM_INFINITY))


def limit_cpu(seconds: int) -> None:
    """Let the process use so many more seconds, then SIGXCPU ends it; the hard limit stays open for the next."""
    used = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + seconds + 1, resource.RLIM_INFINITY))


def resident_bytes() -> int:
    """What the process holds now; where that can't be read, the most it has held."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _statm_bytes(_STATM_RESIDENT)


def _statm_bytes(column: int) -> int:
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()


def _library_folders() -> tuple[str, ...]:
    # Of a checkout the package alone: beside it lies .env.
    package = Path(__file__).resolve().parents[2]
    others = {entry for entry in sys.path if entry and Path(entry).resolve() != package.parent}
    folders = {sys.prefix, sys.base_prefix, str(package), *others}
    # The child's own statistics, and the zone names of dates in spreadsheets.
    folders |= {"/proc/self", "/usr/share/zoneinfo"}
    return tuple(sorted(str(Path(folder).resolve()) + os.sep for folder in folders))


def _hook(folders: tuple[str, ...]) -> _Check:
    def check(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            _check_path(args[0], folders)
        elif event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event} is refused while documents are converted")

    return check


def _check_path(path: object, folders: tuple[str, ...]) -> None:
    # A number is a descriptor that is open already: the document itself.
    if isinstance(path, str | bytes) and not os.path.realpath(os.fsdecode(path)).startswith(folders):
        raise PermissionError("a document may not open a file of this machine")
