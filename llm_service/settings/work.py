"""How much is done at once, how long, and how often it is tried."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Annotated

from pydantic import Field

from llm_service.settings.group import CommaList, Group, Lowered
from llm_service.settings.problem import Problem


def worker_id_for(hostname: str, pid: int) -> str:
    """``LLM_worker_<n>``, the form existing readers know, with n a number made from host and process.

    The same host and process give the same number. Over 2^32 numbers, a thousand workers meet in one of
    them with a chance of 1 in 8,600.
    """
    return f"LLM_worker_{zlib.crc32(f'{hostname}/{pid}'.encode())}"


def _own_worker_id() -> str:
    return worker_id_for(socket.gethostname(), os.getpid())


class WorkerSettings(Group):
    """The worker."""

    max_concurrent_tasks: int = Field(
        default=10,
        validation_alias="WORKER_MAX_CONCURRENT_TASKS",
        ge=1,
        le=10_000,
        description="Most tasks that are worked on at once.",
    )
    executor_max_workers: int = Field(
        default=5,
        validation_alias="EXECUTOR_MAX_WORKERS",
        ge=1,
        le=1000,
        description="Threads for reading from and writing to the object store.",
    )
    dedup_window_size: int = Field(
        default=50,
        validation_alias="DEDUP_WINDOW_SIZE",
        ge=1,
        le=1_000_000,
        description="Finished tasks that are remembered to answer repeats; what is in flight is always remembered.",
    )
    poison_max_takeovers: int = Field(
        default=6,
        validation_alias="POISON_MAX_TAKEOVERS",
        # Three of them are counted for all that ran beside it; from then on it runs alone, and one is what it did itself.
        ge=4,
        le=100,
        description="A task that was running each of so many times when a worker ended without a word (out of memory, "
        "kill -9, power) is not run again: FAILED and dead letter, code poison. From half of that on, "
        "at least from the third time, it runs alone.",
    )
    worker_id: str = Field(
        default_factory=_own_worker_id,
        validation_alias="WORKER_ID",
        pattern=r"^[\x21-\x7e]{1,100}$",
        description="Name of this worker in its status events; unset: LLM_worker_<number made from host and process>.",
        json_schema_extra={"expected": "1 to 100 ASCII characters without spaces, such as LLM_worker_1"},
    )
    shutdown_timeout_s: float = Field(
        # Kubernetes kills after 30 s by default; 5 s are left for the last commit and closing.
        default=25.0,
        validation_alias="WORKER_SHUTDOWN_TIMEOUT_SECONDS",
        ge=0,
        le=3600,
        description="Seconds running tasks have to end after SIGTERM; what is cut short is done by another worker.",
    )
    default_prompt_id: int = Field(
        default=3,
        validation_alias="LLM_DEFAULT_PROMPT_ID",
        ge=0,
        le=2_147_483_647,
        description="Prompt of the catalogue for tasks that name none.",
    )
    prompts_file: Path | None = Field(
        default=None,
        validation_alias="PROMPTS_FILE",
        description="Prompt catalogue (YAML); unset: the one that is shipped.",
    )
    prices_file: Path | None = Field(
        default=None,
        validation_alias="LLM_PRICES_FILE",
        description="Prices of models (TOML), as in llm_service/providers/prices.toml; its rows go before the shipped ones. "
        "By them an answer's cost is known where the provider does not say it.",
    )
    drop_rules_file: Path | None = Field(
        default=None,
        validation_alias="DROP_RULES_FILE",
        description="Rules (YAML) by which dropped files become tasks; needed with KAFKA_FILE_DROP_TOPIC.",
    )
    default_provider: Annotated[str | None, Lowered] = Field(
        default=None,
        validation_alias="LLM_PROVIDER",
        description="Provider for tasks and prompts that name none; unset: GigaChat, else Ollama, else a cloud, else "
        "extractive, whichever is configured.",
    )
    fallback: CommaList = Field(
        default=(),
        validation_alias="LLM_FALLBACK",
        description="Who is asked, in this order, where the provider of LLM_PROVIDER can't answer: names with commas "
        "between them, each with a model of its own or without (openrouter=qwen/qwen3-32b,ollama). For tasks and prompts "
        "that name no provider.",
        json_schema_extra={"expected": "providers by name, or provider=model, with commas between them"},
    )
    task_max_tokens: int | None = Field(
        default=None,
        validation_alias="TASK_MAX_TOKENS",
        ge=100,
        le=100_000_000,
        description="Tokens that one task may use, prompts and answers of all its calls together. What would need more by "
        "the estimate is refused before the call; an answer that grows beyond is given up; documents go as texts, which can "
        "be counted, and never as files. Unset: no limit.",
    )
    task_max_cost: float | None = Field(
        default=None,
        validation_alias="TASK_MAX_COST_USD",
        ge=0.0001,
        le=100_000,
        description="US dollars that one task may cost, all its calls together. What would cost more by the table of prices "
        "is refused before the call; where no price is known, nobody is asked again after so much. Unset: no limit.",
    )
    priority_aging_s: float = Field(
        default=30.0,
        validation_alias="WORKER_PRIORITY_AGING_SECONDS",
        ge=0.1,
        le=86_400,
        description="Seconds of waiting that lift a task by one step of priority.",
    )
    waiting_share: float = Field(
        default=0.5,
        validation_alias="WORKER_WAITING_SHARE",
        ge=0,
        le=1,
        description="Share of the window that tasks may hold while they wait for a provider that is away.",
    )


class BreakerSettings(Group):
    """Circuit breaker, one per provider."""

    failure_threshold: int = Field(
        default=5,
        validation_alias="CIRCUIT_BREAKER_FAILURE_THRESHOLD",
        ge=1,
        le=1000,
        description="Failures in a row after which a provider is left alone.",
    )
    timeout_s: float = Field(
        default=30.0,
        validation_alias="CIRCUIT_BREAKER_TIMEOUT_SEC",
        ge=0.1,
        le=3600,
        description="Seconds until it is tried again.",
    )


class RetrySettings(Group):
    """Retries of a provider's call."""

    max_retries: int = Field(
        default=3,
        validation_alias="LLM_MAX_RETRIES",
        ge=0,
        le=20,
        description="How many times a call is made again that may have cost something.",
    )
    initial_delay_s: float = Field(
        default=2.0,
        validation_alias="LLM_RETRY_INITIAL_DELAY",
        ge=0,
        le=3600,
        description="Longest wait before the first retry, in seconds; it doubles each time.",
    )
    max_delay_s: float = Field(
        default=10.0,
        validation_alias="LLM_RETRY_MAX_DELAY",
        ge=0,
        le=3600,
        description="Longest wait before any retry, in seconds.",
    )
    max_attempts: int = Field(
        # With the calls within one attempt 12 at most, over a minute and more: longer than most things that pass.
        default=3,
        validation_alias="LLM_MAX_ATTEMPTS",
        ge=1,
        le=100,
        description="How many attempts a task gets that names no max_attempts, each with its own calls and retries, "
        "with KAFKA_RETRY_DELAY_SECONDS between them.",
    )
    call_timeout_s: float = Field(
        default=600.0,
        validation_alias="LLM_CALL_TIMEOUT_SECONDS",
        ge=1,
        le=86_400,
        description="Seconds one call may take as a whole.",
    )

    slowest_pace: float = Field(
        # A large model on a CPU writes one token in a second; a tenth of a sentence in half a minute is a fault.
        default=0.2,
        validation_alias="LLM_MIN_TOKENS_PER_SECOND",
        ge=0,
        le=1000,
        description="Slowest answer: one that comes with fewer tokens a second, over 30 s, is given up and asked for again; "
        "0 waits for any.",
    )

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        if self.initial_delay_s > self.max_delay_s:
            yield Problem(
                ("LLM_RETRY_INITIAL_DELAY", "LLM_RETRY_MAX_DELAY"),
                "the first wait must not be above the longest",
            )
