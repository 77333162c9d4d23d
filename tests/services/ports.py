"""Ports for the services that a test run starts itself."""

from __future__ import annotations

import random
import socket

# Below the range that kernels hand out for outgoing connections (Linux 32768 and up, BSD 49152): a client
# that keeps calling a killed service could be given the service's own port, and the restart could not bind.
_FIRST, _LAST = 20_000, 29_999
_TRIES = 200


def free_port(rng: random.Random | None = None) -> int:
    """A TCP port of 127.0.0.1 that nothing holds now and no outgoing connection will be given."""
    rng = rng or random.Random()
    for _ in range(_TRIES):
        port = rng.randint(_FIRST, _LAST)
        if _is_free(port):
            return port
    raise OSError(f"no free port among {_TRIES} tried between {_FIRST} and {_LAST}")


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts a connection there, asked for at most a second."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
