"""A worker with a part of it broken on purpose: ``python -m tests.chaos.patched PATCH`` instead of ``python main.py``.

A run with such a worker is a negative control: the checker must catch it. What is broken lives here and in ``patches``
alone; the product has no setting for any of it. Several patches are named with ``+`` between them.
"""

from __future__ import annotations

import sys

from tests.chaos.patches import PATCHES


def main() -> None:
    """Apply the patches, then run the service as it is run."""
    for name in sys.argv[1].split("+"):
        PATCHES[name]()
    sys.argv[1:] = ["run"]
    from llm_service.cli.main import main as serve

    serve()


if __name__ == "__main__":
    main()
