"""Ollama: the server reached and truly Ollama, the model there, its size and context, and whether it is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import httpx

from llm_service.cli.checking.address import Address, Unreached, reach
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding
from llm_service.providers.ollama_survey import NOT_OLLAMA, OllamaFacts, full_name, survey
from llm_service.providers.transport import Timeouts
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.settings.providers import OllamaSettings

_SETTING = "OLLAMA_BASE_URL"
_TIMEOUTS = Timeouts(connect_s=2.0, silence_s=3.0)
"""None of these questions waits for a model."""

_SHOWN_MODELS = 10


async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found at OLLAMA_BASE_URL, within 8 s."""
    found = Collection("ollama")
    model = settings.ollama.model
    if model is None:
        found.skipped("connection", "not configured: set OLLAMA_MODEL and OLLAMA_BASE_URL to use it")
        return found.findings
    remedy = f"See whether the server is overloaded or hangs, and that {_SETTING} names it."
    addresses = settings.ollama.addresses
    if len(addresses) == 1:
        return await found.within(_look(addresses[0], settings, model, clock, found), remedy)
    each = [Collection("ollama") for _ in addresses]
    await asyncio.gather(
        *(
            one.within(_look(url, settings, model, clock, one), remedy)
            for url, one in zip(addresses, each, strict=True)
        )
    )
    return [
        replace(finding, subject=f"{finding.subject} at {httpx.URL(url).host}:{httpx.URL(url).port or 80}")
        for url, one in zip(addresses, each, strict=True)
        for finding in one.findings
    ]


async def _look(url: str, settings: Settings, model: str, clock: Clock, found: Collection) -> None:
    try:
        await reach(Address.of_url(url, _SETTING), clock)
        facts = await survey(url, model, _TIMEOUTS, settings.ollama.ca_bundle)
    except Unreached as error:
        found.failed("connection", error.seen, error.remedy)
    except NOT_OLLAMA:
        found.failed(
            "connection",
            f"something answers at {url}, and it is not Ollama",
            f"Set {_SETTING} to Ollama itself, as in http://localhost:11434, without a path.",
        )
    except httpx.ConnectError:  # after a connection was had: what failed is TLS
        found.failed(
            "connection",
            f"no TLS comes about with {url}: it speaks plain HTTP, or its certificate is not trusted here",
            f"Begin {_SETTING} with http://, or name the certificate's issuer in OLLAMA_CA_BUNDLE.",
        )
    except (httpx.HTTPError, OSError):
        found.failed(
            "connection",
            f"{url} takes the connection and then stays silent",
            f"See whether the server hangs or is overloaded, and that {_SETTING} names it.",
        )
    else:
        found.ok("connection", f"Ollama {facts.version}", facts.seconds)
        _look_at_model(facts, model, settings.ollama, found)


def _look_at_model(facts: OllamaFacts, model: str, ollama: OllamaSettings, found: Collection) -> None:
    subject = f"model {model}"
    if facts.model is None:
        names = ", ".join(sorted(facts.models)[:_SHOWN_MODELS]) or "none"
        if ollama.pull:
            found.warning(
                subject,
                f"not there; the server has {names}, and the first task has it fetched (OLLAMA_PULL)",
                f"ollama pull {model}   (on the server), where tasks should not wait for that.",
            )
            return
        found.failed(
            subject,
            f"not there; the server has {names}",
            f"ollama pull {model}   (on the server), or set OLLAMA_MODEL to one that it has.",
        )
        return
    context = facts.model.context_tokens
    used = min(ollama.num_ctx_max, context or ollama.num_ctx_max)
    length = f"context {context:,} tokens" if context else "context not told"
    found.ok(subject, f"{_size(facts.models[full_name(model)])}, {length}, up to {used:,} of them are used")
    if facts.loaded is None:
        found.ok("memory", "not loaded: the first task waits for that")
    else:
        share = facts.loaded.gpu_bytes / facts.loaded.bytes if facts.loaded.bytes else 0.0
        found.ok("memory", f"loaded, {_size(facts.loaded.bytes)}, {share:.0%} of it on a GPU")


def _size(count: int) -> str:
    """As Ollama itself says it: decimal."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
