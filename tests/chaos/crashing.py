"""A worker that ends by SIGKILL at a point: ``python -m tests.chaos.crashing POINT FOLDER`` instead of ``python main.py``.

The points are those of ``crash_points``; the product knows of none. It is armed by a file ``armed`` in FOLDER, and before
it dies it writes ``died`` there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.chaos.crash_points import Fuse, mine


def crash(point: str, folder: Path) -> None:
    """Put the points in, then run the service as it is run."""
    mine(Fuse(point, folder), os.environ)
    sys.argv = ["llm-service", "run"]
    from llm_service.cli.main import main as serve

    serve()


if __name__ == "__main__":
    crash(sys.argv[1], Path(sys.argv[2]))
