"""The random-weight model is the same each time, and small."""

from __future__ import annotations

from pathlib import Path

import gguf

from tests.services import tiny_model


def test_the_same_seed_writes_the_same_model(tmp_path: Path) -> None:
    for name in ("first", "second"):
        tiny_model.write(tmp_path / name, context_tokens=1024)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_it_is_a_small_llama(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    tiny_model.write(path, context_tokens=1024)
    assert path.stat().st_size < 1_000_000
    fields = gguf.GGUFReader(path).fields
    assert fields["general.architecture"].contents() == "llama"
    assert fields["llama.context_length"].contents() == 1024
