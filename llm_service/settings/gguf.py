"""The local engine. Field names are the options that ``providers/gguf.py`` is given."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Literal

from pydantic import Field

from llm_service.settings.limited import LimitedSettings, named
from llm_service.settings.problem import Problem


class GgufSettings(LimitedSettings):
    """Models in GGUF files, answered on this machine; needs ``llm-service[gguf]``."""

    model_config = named("GGUF")

    folder: Path | None = Field(
        default=None,
        validation_alias="GGUF_FOLDER",
        description="Folder of the models' files; a model's name is its file's without .gguf. "
        "Unset: the engine is not used.",
    )
    model: str | None = Field(
        default=None,
        validation_alias="GGUF_MODEL",
        description="Model used where neither task nor prompt names one.",
    )
    memory_mb: int | None = Field(
        default=None,
        validation_alias="GGUF_MEMORY_MB",
        ge=100,
        le=10_000_000,
        description="What all loaded models may take together, in megabytes; unset: three quarters of the memory of "
        "the machine or container. The one used longest ago is unloaded for another.",
    )
    context_tokens: int = Field(
        # Four answers of a page on a document of two at once; 1 GB for a model of 8 billion parameters.
        default=8_192,
        validation_alias="GGUF_CONTEXT_TOKENS",
        ge=64,
        le=10_000_000,
        description="Tokens of a model's cache, which all its answers share, prompts and all; at most what the model "
        "was trained for. Memory grows with it.",
    )
    max_tokens: int = Field(
        # What an answer may need is kept free for it from the beginning, so that a large default lets few in at once.
        default=1_024,
        validation_alias="GGUF_MAX_TOKENS",
        ge=1,
        le=1_000_000,
        description="Longest answer in tokens where the task does not say.",
    )
    max_concurrent: int = Field(
        default=16,
        validation_alias="GGUF_MAX_CONCURRENT",
        ge=1,
        le=256,
        description="Most answers of a model at once, in one batch.",
    )
    batch_tokens: int = Field(
        default=512,
        validation_alias="GGUF_BATCH_TOKENS",
        ge=32,
        le=8_192,
        description="Most tokens computed in one step.",
    )
    threads: int | None = Field(
        default=None,
        validation_alias="GGUF_THREADS",
        ge=1,
        le=1_024,
        description="Threads that compute, per model; unset: as many as there are cores.",
    )
    gpu_layers: int = Field(
        default=-1,
        validation_alias="GGUF_GPU_LAYERS",
        ge=-1,
        le=10_000,
        description="Layers computed on a GPU where the library was built for one; -1: all.",
    )
    gpu_memory_mb: int | None = Field(
        default=None,
        validation_alias="GGUF_GPU_MEMORY_MB",
        ge=100,
        le=10_000_000,
        description="What all loaded models may take of the GPU's memory together, in megabytes; unset: models are judged "
        "as if all of them were in main memory.",
    )
    cache_type: Literal["f16", "f32"] = Field(
        default="f16",
        validation_alias="GGUF_CACHE_TYPE",
        description="Numbers in the cache. f32 takes twice the memory and more time; with weights of f32 too, an answer's "
        "text hardly depends on what else is in the batch.",
    )
    repeatable: bool = Field(
        # One answer alone is computed as two, and long prompts take another attention: see docs/engine.md.
        default=False,
        validation_alias="GGUF_REPEATABLE",
        description="An answer at temperature 0 or with a seed does not depend on what else is in the batch. One alone "
        "then takes up to twice its time, prompts of thousands of tokens too.",
    )
    idle_seconds: float = Field(
        default=600.0,
        validation_alias="GGUF_IDLE_SECONDS",
        ge=10,
        le=1_000_000,
        description="A model that nobody asked for so long is unloaded.",
    )
    silence_seconds: float = Field(
        # A step takes a quarter of a second; a machine that swaps or is shared may make that many.
        default=30.0,
        validation_alias="GGUF_SILENCE_SECONDS",
        ge=2,
        le=3_600,
        description="An engine's process that says nothing for so long hangs: it is ended, and what it had is asked again.",
    )

    @property
    def configured(self) -> bool:
        """Whether there is a model to use."""
        return self.folder is not None and self.model is not None

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        given = self.model_fields_set | wrong
        if "folder" in given and self.model is None and "model" not in wrong:
            yield Problem(("GGUF_MODEL",), "required by GGUF_FOLDER")
        if "model" in given and self.folder is None and "folder" not in wrong:
            yield Problem(("GGUF_FOLDER",), "required by GGUF_MODEL")
        if self.repeatable and self.cache_type != "f16":
            yield Problem(("GGUF_REPEATABLE", "GGUF_CACHE_TYPE"), "repeatable answers need a cache of f16")
