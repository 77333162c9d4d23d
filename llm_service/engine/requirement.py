"""Can this model be loaded here, and what does it take? Judged from the header alone, before a byte of weights is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from llm_service.engine.header import Header, HeaderError

# Of a cell, by llama.cpp's type.
_CACHE_BYTES = {"f32": 4, "f16": 2}
# The library, its buffers for a graph, and what the interpreter takes: 90 MB measured with a model of 1 MB.
_BASE_BYTES = 150_000_000
# A text to embed goes through the model in one piece, so the buffers for computing grow with the longest one taken.
LONGEST_TEXT = 2_048
# Names of files that a model is split into: model-00001-of-00003.gguf.
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_NOT_MODELS = {
    "adapter": "a LoRA adapter",
    "mmproj": "a projector of pictures",
    "imatrix": "an importance matrix",
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """Memory a model takes, in bytes."""

    weights: int
    cache: int
    computing: int
    gpu: int = 0
    """Of a GPU's memory; what is there is not in ``weights`` and ``cache``."""

    @property
    def total(self) -> int:
        """Of main memory."""
        return self.weights + self.cache + self.computing

    def __str__(self) -> str:
        of_gpu = f" and {_mb(self.gpu)} MB of a GPU's" if self.gpu else ""
        return (
            f"{_mb(self.total)} MB of memory (weights {_mb(self.weights)}, cache {_mb(self.cache)}, "
            f"computing {_mb(self.computing)}){of_gpu}"
        )

    def with_embedding(self, header: Header, cache_type: str) -> Requirement:
        """The same when texts are made vectors of too: that has a context of its own, in main memory or not."""
        tokens = min(LONGEST_TEXT, header.number("context_length") or LONGEST_TEXT)
        more = requirement(header, (), tokens, tokens, cache_type)
        computing = self.computing + more.computing - _BASE_BYTES
        return replace(self, cache=self.cache + more.cache, computing=computing)

    def shared_with_gpu(self, header: Header, gpu_layers: int) -> Requirement:
        """The same with so many layers on a GPU, -1 for all.

        Layers are taken as equally large. The embedding of tokens stays in main memory, where the buffers for
        computing are too; an estimate from above, of each kind of memory.
        """
        layers = header.number("block_count")
        there = layers if gpu_layers < 0 else min(gpu_layers, layers)
        if not there:
            return self
        weights, cache = self.weights * there // layers, self.cache * there // layers
        embedding = min(weights, header.vocabulary * header.number("embedding_length") * 4)
        gpu = weights + cache + self.computing - _BASE_BYTES
        return Requirement(self.weights - weights + embedding, self.cache - cache, self.computing, gpu)


def judged(path: Path, header: Header) -> tuple[Path, ...]:
    """All files of the model. Raises HeaderError where it can't be loaded, whatever memory there is."""
    kind = str(header.values.get("general.type") or "model")
    if kind in _NOT_MODELS or header.architecture == "clip":
        what = _NOT_MODELS.get(kind, "a projector of pictures")
        raise HeaderError(f"{path.name} is {what}, no model by itself; name the model it belongs to.")
    if not header.architecture or not header.number("block_count"):
        raise HeaderError(
            f"{path.name} does not say what model it is (general.architecture); convert it again."
        )
    if not header.vocabulary:
        raise HeaderError(
            f"{path.name} has no vocabulary (tokenizer.ggml.tokens); convert the model with its tokenizer."
        )
    if header.size < header.needed_size:
        raise HeaderError(
            f"{path.name} has {header.size} bytes and needs more than {header.needed_size}: it was not copied whole."
        )
    return _parts(path, header)


def requirement(
    header: Header, files: tuple[Path, ...], context_tokens: int, batch_tokens: int, cache_type: str
) -> Requirement:
    """What it takes with so large a context. An estimate from above, within a tenth of what was measured."""
    heads = max(1, header.number("attention.head_count", 1))
    width = header.number("embedding_length")
    kv_heads = header.number("attention.head_count_kv", heads) or heads
    key = header.number("attention.key_length", width // heads)
    value = header.number("attention.value_length", width // heads)
    cache = (
        header.number("block_count") * kv_heads * (key + value) * context_tokens * _CACHE_BYTES[cache_type]
    )
    # Of a batch over the whole context in one layer: who may look at what in numbers of 32 and of 16 bits or, without
    # flash attention (llama.py), all scores. Then its widest intermediate results, and the logits.
    scores = batch_tokens * context_tokens * (6 if cache_type == "f16" else 4 * heads)
    inner = max(header.number("feed_forward_length"), width) * batch_tokens * 4 * 4
    logits = header.vocabulary * batch_tokens * 4
    weights = sum(file.stat().st_size for file in files)
    return Requirement(weights, cache, _BASE_BYTES + scores + inner + logits)


def context_for(header: Header, wanted: int | None) -> int:
    """Tokens of context: what is wanted, at most what the model was trained for."""
    trained = header.number("context_length") or 4_096
    return trained if wanted is None else min(wanted, trained)


def _parts(path: Path, header: Header) -> tuple[Path, ...]:
    if header.parts == 1:
        return (path,)
    named = _PART.search(path.name)
    if named is None or int(named[1]) != 1:
        raise HeaderError(
            f"{path.name} is a part of a model in {header.parts} files; name the first of them."
        )
    stem = path.name[: named.start()]
    files = [
        path.with_name(f"{stem}-{number:05}-of-{named[2]}.gguf") for number in range(1, int(named[2]) + 1)
    ]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise HeaderError(f"{path.name} is split, and {', '.join(missing)} is missing beside it.")
    return tuple(files)


def _mb(size: int) -> int:
    return -(-size // 1_000_000)
