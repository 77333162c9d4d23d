"""LiteLLM, 250 MB that the other tests do without: installed beside the other packages when a test asks for it."""

from __future__ import annotations

import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from tests.services.commands import run

_LOCKED = Path(__file__).parents[2] / "requirements-litellm.txt"


def install() -> None:
    """Make sure that it can be imported. Raises Unavailable."""
    if find_spec("litellm") is not None:
        return
    run([sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(_LOCKED)])
    invalidate_caches()
