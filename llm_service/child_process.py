"""A child of the service that runs a part of it: without its environment, in no terminal, on one stream socket."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Isolated mode ignores the environment, the user's packages and the working folder; this package may be installed or
# lie beside main.py, so its folder is named, last, where it hides nothing.
_BOOT = (
    "import sys; from importlib import import_module; sys.path.append(sys.argv.pop(1)); "
    "import_module(sys.argv[1]).main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])"
)
_ROOT = Path(__file__).resolve().parent.parent
# Nothing of the service's own environment: that is where its secrets are.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Child:
    """A started process, and this end of the socket to it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def start(module: str, setup: str, environment: Mapping[str, str]) -> Child:
    """Start ``module``'s ``main(socket, parent, setup)``: the number of its end, this process's own, and the text.

    ``environment`` is all it has beside a path and a language. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        ours.settimeout(0)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            # The fork takes a millisecond or two; asyncio's own would hold the loop for the same.
            process = subprocess.Popen(  # noqa: S603, ASYNC220 # our own interpreter, our own code
                _command(module, theirs.fileno(), setup),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**_ENVIRONMENT, **environment},
                cwd="/",
                pass_fds=[theirs.fileno()],
                # Ctrl-C in a terminal is for the service alone: it ends its children when it is done with them.
                start_new_session=True,
            )
        except OSError:
            writer.close()
            raise
    return Child(process, ours, reader, writer)


def _command(module: str, control: int, setup: str) -> list[str]:
    # -B: nothing is written, not even byte code.
    options = ["-I", "-B", "-c", _BOOT, str(_ROOT)]
    return [sys.executable, *options, module, str(control), str(os.getpid()), setup]
