"""What the kernel refuses the child process, also to a parser written in C: Linux's seccomp, which needs no rights.

The audit hook sees what goes through Python, and many containers allow no network namespace; this closes both gaps. The
numbers are the kernel's own and never change: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

# <linux/prctl.h>, <linux/seccomp.h>, <linux/filter.h>
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_FROM, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# struct seccomp_data: the call's number, the machine, the address, then the arguments of 8 bytes each.
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
# <linux/sched.h>: threads are made by the same call as processes, and libraries start some.
_CLONE_THREAD = 0x00010000
# Calls of the x32 interface have numbers from here on.
_X32 = 0x40000000


@dataclass(frozen=True, slots=True)
class Machine:
    """One processor's numbers."""

    audit: int
    clone: int
    clone3: int
    refused: tuple[int, ...]


# Sockets, programs and processes; signals to others; memory of others; names in the file system; the kernel's further doors
# (bpf, io_uring, keys, namespaces, mounts, performance counters).
_MACHINES = {
    "x86_64": Machine(
        0xC000003E,
        56,
        435,
        (
            *(41, 42, 43, 49, 50, 53, 288),
            *(57, 58, 59, 322),
            *(62, 129, 200, 424, 434, 438),
            *(101, 310, 311, 323),
            *(76, 77, 82, 83, 84, 86, 87, 88, 90, 91, 133, 258, 259, 263, 264, 265, 266, 268, 316, 319),
            *(165, 166, 248, 249, 250, 272, 298, 308, 321, 425),
        ),
    ),
    "aarch64": Machine(
        0xC00000B7,
        220,
        435,
        (
            *(198, 199, 200, 201, 202, 203, 242),
            *(221, 281),
            *(129, 130, 138, 424, 434, 438),
            *(117, 270, 271, 282),
            *(33, 34, 35, 36, 37, 38, 45, 46, 52, 53, 276, 279),
            *(39, 40, 97, 217, 218, 219, 241, 268, 280, 425),
        ),
    ),
}


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse() -> bool:
    """For good, and for threads made from here on. Call while there is one. Returns whether the kernel took it.

    A refused call fails as one that lacks the right, so that a parser meets an error and not its end.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    code = b"".join(_instructions(machine))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    taken: bool = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0
    return taken


def _instructions(machine: Machine) -> Iterator[bytes]:
    refused = _ERRNO | errno.EACCES
    yield _step(_LOAD, _MACHINE_AT)
    yield _step(_JUMP_EQUAL, machine.audit, then=1)
    yield _step(_RETURN, refused)
    yield _step(_LOAD, _NUMBER_AT)
    if machine is _MACHINES["x86_64"]:
        yield from (_step(_JUMP_FROM, _X32, otherwise=1), _step(_RETURN, refused))
    for number in machine.refused:
        yield from (_step(_JUMP_EQUAL, number, otherwise=1), _step(_RETURN, refused))
    # Its arguments lie in memory, where a filter can't look: the C library then takes the older call.
    yield from (_step(_JUMP_EQUAL, machine.clone3, otherwise=1), _step(_RETURN, _ERRNO | errno.ENOSYS))
    yield from (_step(_JUMP_EQUAL, machine.clone, then=1), _step(_RETURN, _ALLOW))
    yield _step(_LOAD, _FIRST_ARGUMENT_AT)
    yield from (_step(_JUMP_BITS, _CLONE_THREAD, otherwise=1), _step(_RETURN, _ALLOW))
    yield _step(_RETURN, refused)


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """struct sock_filter; a jump skips so many steps."""
    return struct.pack("=HBBI", code, then, otherwise, value)
