"""The service, started for real where this is run, until it is ready; then it is ended. Its exit code is this one's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.acceptance.worker import Worker, workers


def main() -> None:
    """Raises AssertionError with the service's log when it ends by itself or does not get ready."""
    # On a port of its own: a block may be run beside a service on the usual one.
    environment = {name: value for name, value in os.environ.items() if name != "HTTP_PORT"}
    worker = Worker(environment, Path.cwd() / "service.log")
    with workers(worker):
        worker.start()
        sys.exit(worker.terminate())


if __name__ == "__main__":
    main()
