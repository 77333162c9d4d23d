"""The worker as a platform starts it: the image's own command, as process 1 of a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil

from tests.acceptance.worker import Worker
from tests.services.image_run import Container


class ContainerWorker(Worker):
    """A worker in a container; its signals go to the process that is number 1 inside."""

    def __init__(self, container: Container, log: Path) -> None:
        super().__init__({}, log)
        self.container = replace(container, env={**container.env, "HTTP_PORT": str(self.port)})
        self._first: int | None = None

    def start(self, *, wait: bool = True) -> ContainerWorker:
        """Start it; with ``wait`` return when /ready says so."""
        reading, writing = os.pipe()
        with self.log.open("ab") as log, os.fdopen(reading) as told:
            bwrap, *arguments = self.container.argv()
            self.process = subprocess.Popen(
                [bwrap, "--info-fd", str(writing), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
            )
            os.close(writing)
            self._first = int(json.load(told)["child-pid"])
        if wait:
            self.wait_ready()
        return self

    @property
    def first(self) -> psutil.Process:
        """Process 1 of the container, as this machine sees it."""
        assert self._first is not None
        return psutil.Process(self._first)

    def signal(self, number: signal.Signals) -> None:
        self.first.send_signal(number)
