"""What the machine is short of is told from what is wrong."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from llm_service.resilience.shortage import shortage


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, ""),
        OSError(errno.ENFILE, ""),
        OSError(errno.ENOMEM, ""),
        OSError(errno.ENOBUFS, ""),
        OSError(errno.ENOSPC, ""),
        OSError(errno.EDQUOT, ""),
        BlockingIOError(errno.EAGAIN, "fork"),
        MemoryError(),
        RuntimeError("can't start new thread"),
    ],
)
def test_it_is_found_also_where_a_library_wrapped_it(error: Exception) -> None:
    assert shortage(error)
    outer, between = RuntimeError("outer"), ValueError("between")
    outer.__cause__, between.__context__ = between, error
    assert shortage(outer) == shortage(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError(),
        OSError("no number"),
        ConnectionRefusedError(errno.ECONNREFUSED, ""),
        PermissionError(errno.EACCES, ""),
        socket.gaierror(socket.EAI_AGAIN, ""),
        ssl.SSLError(errno.EMFILE, "a number of OpenSSL's"),
    ],
)
def test_what_is_wrong_is_no_shortage(error: Exception | None) -> None:
    assert shortage(error) is None
