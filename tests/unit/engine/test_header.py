"""A model's file is judged by its header, and what is wrong is said with what would be needed."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import gguf
import pytest

from llm_service.engine.header import HeaderError, read_header
from llm_service.engine.requirement import context_for, judged, requirement
from tests.standins.random_model import Shape, write

SHAPE = Shape(width=64, layers=2, heads=4, kv_heads=2, inner=96, vocabulary=600)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("model") / "model.gguf", SHAPE)


def told(path: Path) -> str:
    with pytest.raises(HeaderError) as refused:
        judged(path, read_header(path))
    return str(refused.value)


def test_the_header_says_what_the_model_is(model: Path) -> None:
    header = read_header(model)
    assert header.architecture == "llama"
    assert (header.number("block_count"), header.vocabulary, header.parts) == (2, 600, 1)
    assert judged(model, header) == (model,)
    assert header.needed_size <= header.size


def test_memory_is_weights_and_cache_and_computing(model: Path) -> None:
    header = read_header(model)
    needed = requirement(header, (model,), 1_000, 100, "f16")
    assert needed.weights == model.stat().st_size
    # 2 layers, 2 heads for keys and for values, 16 wide, 2 bytes.
    assert needed.cache == 2 * 2 * (16 + 16) * 1_000 * 2
    assert requirement(header, (model,), 1_000, 100, "f32").cache == 2 * needed.cache
    assert context_for(header, 100_000) == SHAPE.context
    assert context_for(header, None) == SHAPE.context
    assert context_for(header, 100) == 100


def test_no_gguf_is_told_what_it_begins_with(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"PK\x03\x04 a zip")
    assert "convert the model to GGUF" in told(file)


def test_another_version_is_named(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "old.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<I", 1) + model.read_bytes()[8:])
    assert "version 1" in told(file)


@pytest.mark.parametrize("size", [6, 30, 5_000])
def test_a_file_that_ends_in_its_header_was_not_copied_whole(model: Path, tmp_path: Path, size: int) -> None:
    file = tmp_path / "short.gguf"
    file.write_bytes(model.read_bytes()[:size])
    assert "not copied whole" in told(file)


def test_a_file_that_ends_in_its_weights_was_not_copied_whole(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "short.gguf"
    file.write_bytes(model.read_bytes()[: read_header(model).needed_size - 1])
    assert "not copied whole" in told(file)


def test_numbers_without_measure_are_damage(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "damaged.gguf"
    file.write_bytes(model.read_bytes()[:8] + struct.pack("<QQ", 2**60, 2**60))
    assert "damaged" in told(file)


@pytest.mark.parametrize(
    ("kind", "architecture", "word"),
    [("adapter", "llama", "LoRA"), ("model", "clip", "pictures"), ("model", "", "what model it is")],
)
def test_what_is_no_model_is_named(tmp_path: Path, kind: str, architecture: str, word: str) -> None:
    file = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert word in told(file)


def test_a_model_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bare.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "vocabulary" in told(file)


def test_of_a_model_in_parts_the_first_is_named_and_none_is_missing(tmp_path: Path) -> None:
    first = tmp_path / "m-00001-of-00002.gguf"
    writer = gguf.GGUFWriter(first, "llama")
    writer.add_block_count(2)
    writer.add_token_list(["a"])
    writer.add_uint16("split.count", 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    second = tmp_path / "m-00002-of-00002.gguf"
    assert second.name in told(first)
    shutil.copy(first, second)
    assert judged(first, read_header(first)) == (first, second)
    assert "name the first" in told(second)
