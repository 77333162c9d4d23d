"""What runs in the engine's process: load one model, then take commands and step, until the socket ends."""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from llm_service.engine import frames, upkeep
from llm_service.engine.chat import ChatForm
from llm_service.engine.frames import Beat, Command, FrameError, LoadFailed, Report
from llm_service.engine.llama import LoadError, LoadOptions, Weights
from llm_service.engine.step import UnusableError
from llm_service.engine.workshop import Workshop

# Often enough that three are missed within the shortest limit that can be set for silence (2 s).
_BEAT_S = 0.5
_READ_BYTES = 256 * 1024


def main(control_fd: int, parent: int, setup_json: str) -> None:
    """Serve until the socket ends. ``parent``: the process that started this one; without it, it ends."""
    upkeep.belong_to(parent)
    with socket.socket(fileno=control_fd) as control:
        line = _Line(control)
        try:
            workshop = _load(frames.unpack_setup(setup_json), line)
        except (LoadError, UnusableError) as error:
            line.send([LoadFailed(str(error)[:1000])])
            return
        line.send([workshop.hello()])
        # Ended by whoever reads at the other end, at any moment: that is how it is meant to end.
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            _serve(workshop, line)


def _load(setup: frames.Setup, line: _Line) -> Workshop:
    options = LoadOptions(
        setup.context_tokens,
        setup.sequences,
        setup.batch_tokens,
        setup.threads,
        setup.gpu_layers,
        setup.cache_type,
        setup.repeatable,
    )
    weights = Weights(setup.path, setup.gpu_layers, lambda: line.beat(Beat()))
    form = ChatForm(weights.template, weights.ends, lambda: secrets.token_hex(16), lambda: datetime.now(UTC))
    return Workshop(weights, form, options, setup.max_tokens, time.monotonic, line.go_on)


def _serve(workshop: Workshop, line: _Line) -> None:
    while True:
        for command in line.commands(wait_s=_BEAT_S if workshop.is_idle else 0.0):
            line.send(workshop.take(command))
        line.send(workshop.work())
        line.beat(workshop.beat())


class _Line:
    """The socket: frames in, frames out, and a beat now and then."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._received = bytearray()
        self._beaten = 0.0
        self._told = Beat()

    def send(self, reports: Sequence[Report]) -> None:
        body = b"".join(frames.pack(report) for report in reports)
        if body:
            self._control.sendall(body)

    def beat(self, beat: Beat) -> None:
        """Say that the process goes on: when a sequence joins or leaves, and where the last time is long enough ago."""
        now = time.monotonic()
        if beat.running != self._told.running or now - self._beaten >= _BEAT_S:
            self._beaten, self._told = now, beat
            self.send([beat])

    def go_on(self) -> None:
        """The same beat again, if it is time for one."""
        self.beat(self._told)

    def commands(self, wait_s: float) -> Iterator[Command]:
        """What has come; waits only where nothing has. Raises EOFError when nothing more can come."""
        while select.select([self._control], [], [], wait_s)[0]:
            wait_s = 0.0
            piece = self._control.recv(_READ_BYTES)
            if not piece:
                raise EOFError
            self._received += piece
            yield from self._whole()

    def _whole(self) -> Iterator[Command]:
        head = frames.LENGTH.size
        while len(self._received) >= head:
            (length,) = frames.LENGTH.unpack(self._received[:head])
            if length > frames.MAX_COMMAND_BYTES:
                raise FrameError(f"a command of {length} bytes")
            if len(self._received) < head + length:
                return
            body = bytes(self._received[head : head + length])
            del self._received[: head + length]
            yield frames.unpack_command(body)
