"""Which files the kernel lets the child process open, also past Python: Linux's Landlock, which needs no rights.

Without it a parser made to run foreign code could read ``/proc/<parent>/environ``, where the service's secrets may be.
Kernels before 5.13 have none, and some containers refuse the calls: then the audit hook alone stands there.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# The same on every processor: include/uapi/asm-generic/unistd.h.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# <linux/landlock.h>, of its first version.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_BENEATH = 1
# What libraries load when they first need it: each other, encodings, and fonts that a page names and does not hold.
SYSTEM_FOLDERS = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/usr/share/fonts",
    "/usr/local/share/fonts",
)
# Tesseract writes what it has to say there, and does not look whether it could open it.
_WRITTEN = "/dev/null"


def allow_only(places: Iterable[str]) -> bool:
    """For good, and for threads made from here on: what is open stays so. Call while there is one thread, after
    PR_SET_NO_NEW_PRIVS. Returns whether the kernel took it.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    handled = struct.pack("=Q", _EXECUTE | _WRITE_FILE | _READ_FILE | _READ_DIR)
    rules = _call(libc, _CREATE_RULESET, handled, len(handled), 0)
    if rules < 0:
        return False
    try:
        if not all(_allow(libc, rules, place) for place in (*places, _WRITTEN)):
            return False
        return _call(libc, _RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, place: str) -> bool:
    """What is beneath it may be read; what is not there needs no leave."""
    try:
        folder = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        access = _READ_FILE | (_READ_DIR if Path(place).is_dir() else 0)
        access |= _WRITE_FILE if place == _WRITTEN else 0
        return not _call(libc, _ADD_RULE, rules, _BENEATH, struct.pack("=Qi", access, folder), 0)
    finally:
        os.close(folder)


def _call(libc: ctypes.CDLL, number: int, *arguments: int | bytes) -> int:
    """By number, since no C library has names for these; each argument as wide as a register."""
    wide = [each if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments]
    done: int = libc.syscall(ctypes.c_long(number), *wide)
    return done
