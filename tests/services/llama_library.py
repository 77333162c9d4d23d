"""llama-cpp-python, which has no wheels: built from its source once, and installed beside the other packages.

About a minute and a half on two idle cores: what the package does not need is left out of the build.
"""

from __future__ import annotations

import os
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.toolchains import compiler

_SOURCE = (
    "llama-cpp-python==0.3.36 --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
)
# What it imports and the tests' own packages lack.
_WHEELS = ("diskcache==5.6.3 --hash=sha256:5e31b2d5fbad117cc363ebaf6b689474db18a1f6438bc82358b024abd4c2ca19",)
_LESS = Path(__file__).with_name("only_llama.cmake")


def install(cache: Cache) -> None:
    """Make sure that it can be imported. Raises Unavailable."""
    if find_spec("llama_cpp") is not None:
        return
    recipe = "\n".join([_SOURCE, *_WHEELS, _LESS.read_text()])
    built = cache.get("llama-cpp-python", recipe, _build)
    wheels = [str(wheel) for wheel in built.glob("*.whl")]
    run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", *wheels])
    invalidate_caches()


def _build(draft: Path) -> None:
    compiler()
    wanted = draft / "wanted.txt"
    # In the line itself: what is given beside a file of requirements does not reach them.
    wanted.write_text("\n".join([f'{_SOURCE} --config-settings "build.targets=llama"', *_WHEELS]) + "\n")
    env = {
        "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1),
        "CMAKE_ARGS": f"-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES={_LESS}",
    }
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--require-hashes"]
    run([*wheel, "--no-binary=llama-cpp-python", "-w", str(draft), "-r", str(wanted)], env)
