"""A minute of the fuzzer, and that it sees what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fuzzing.run import fuzz
from scripts.fuzzing.target import TARGETS

pytest.importorskip("atheris", reason="libFuzzer comes built for Linux on x86-64 only")

# Some ten seconds each on a slow machine.
INPUTS = {"message": 50_000, "notification": 200_000, "offset-map": 50_000, "retry-after": 400_000}


@pytest.mark.parametrize("target", TARGETS)
def test_every_promise_holds(target: str) -> None:
    result = fuzz(target, INPUTS[target], 1, lambda _: None)
    assert result.said == ""
    assert result.inputs == INPUTS[target]


def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The very finding that the fuzzer made: metadata that is no ASCII ended the consumer's thread."""
    (tmp_path / "sitecustomize.py").write_text(
        "import base64\n"
        "decode = base64.b64decode\n"
        "def strict(text, *rest, **named):\n"
        "    if isinstance(text, str) and not text.isascii():\n"
        "        raise RuntimeError('broken on purpose')\n"
        "    return decode(text, *rest, **named)\n"
        "base64.b64decode = strict\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    result = fuzz("offset-map", 50_000, 1, lambda _: None)
    assert result.failed
    assert result.finding is not None
    assert "broken on purpose" in result.said
