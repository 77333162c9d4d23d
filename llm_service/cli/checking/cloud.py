"""A vendor of OpenAI's protocol: its address reached, its key taken, the model among those of the account."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.metadata import version

from llm_service.cli.checking.address import Address, Unreached, reach
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding
from llm_service.container.providers import build_provider
from llm_service.errors import (
    ModelNotFound,
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    RequestRejected,
    SettingsInvalid,
)
from llm_service.events import Event
from llm_service.providers.protocol import Provider
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.settings.clouds import CloudSettings

_SHOWN_MODELS = 10
_LITELLM = "litellm"


async def probe(name: str, settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found at the vendor's address, within 8 s."""
    found = Collection(name)
    prefix = name.upper()
    cloud = settings.clouds.get(name)
    if cloud is None or cloud.model is None:
        found.skipped("key", f"not configured: set {prefix}_MODEL and {prefix}_API_KEY to use it")
        return found.findings
    if name == _LITELLM:
        await _look_at_library(settings, clock, found)
        return found.findings
    remedy = f"See whether the network on the way is overloaded, and that {prefix}_BASE_URL is right; ask again in a minute."
    return await found.within(_look(settings, cloud, cloud.model, clock, found), remedy)


async def _look_at_library(settings: Settings, clock: Clock, found: Collection) -> None:
    """LiteLLM has no list of an account's models, and no call of all its vendors that costs nothing: nothing is wrong with
    the settings, as far as can be seen."""
    try:
        provider = build_provider(settings, _LITELLM, clock, random.Random(), _unheard)  # noqa: S311 - no secret
    except (SettingsInvalid, ProviderError) as error:
        found.failed("library", error.message, "Install it, or name the model with its vendor before it.")
        return
    await provider.close()
    asked = f"{provider.default_model}: the key is not tried, which only a call that costs does"
    found.ok("library", f"LiteLLM {version('litellm')}; {asked} (llm-service ask --provider litellm 'Hello')")


async def _look(
    settings: Settings, cloud: CloudSettings, model: str, clock: Clock, found: Collection
) -> None:
    setting = f"{cloud.prefix}_BASE_URL"
    url = str(cloud.model_dump()["base_url"])
    try:
        found.ok("connection", url, await reach(Address.of_url(url, setting), clock))
        name = cloud.prefix.lower()
        provider = build_provider(settings, name, clock, random.Random(), _unheard)  # noqa: S311 - no secret
    except Unreached as error:
        found.failed("connection", error.seen, error.remedy)
        return
    except SettingsInvalid as error:
        found.failed("certificates", error.message, f"Correct {cloud.prefix}_CA_BUNDLE.")
        return
    if url.startswith("http:") and cloud.needs_key:
        found.warning(
            "TLS",
            f"none: {setting} is plain HTTP, and anyone on the way can read the key and the documents",
            f"Begin {setting} with https://.",
        )
    try:
        await _account(provider, cloud.prefix, model, clock, found)
    finally:
        await provider.close()


async def _account(provider: Provider, prefix: str, model: str, clock: Clock, found: Collection) -> None:
    """The list of models, which costs nothing and takes the key."""
    began = clock.monotonic()
    try:
        models = await provider.models()
    except ProviderAccountError as error:
        found.failed("key", error.message, f"Set {prefix}_API_KEY to a key of an account that is paid for.")
    except ProviderRateLimited as error:
        found.warning("models", error.message, f"Wait a minute; if it stays, lower {prefix}_LIMIT_SHARE.")
    except (RequestRejected, ModelNotFound, ProviderAnswerInvalid) as error:
        found.failed("models", error.message, f"Correct {prefix}_BASE_URL: it ends with the API's version.")
    except ProviderError as error:
        found.failed("models", error.message, f"Correct {prefix}_BASE_URL, or wait until the vendor is back.")
    else:
        _named(models, prefix, model, clock.monotonic() - began, found)


def _named(models: Sequence[str], prefix: str, model: str, seconds: float, found: Collection) -> None:
    """A vendor lists days (gpt-4o-2024-08-06) and takes the name before them; OpenRouter takes more behind a colon."""
    plain = model.partition(":")[0]
    if any(each in {model, plain} or each.startswith(f"{model}-") for each in models):
        found.ok(f"model {model}", f"one of {len(models)}", seconds)
        return
    shown = ", ".join(sorted(models)[:_SHOWN_MODELS]) or "none"
    more = f" and {len(models) - _SHOWN_MODELS} more" if len(models) > _SHOWN_MODELS else ""
    found.failed(
        f"model {model}",
        f"not among those of the account: {shown}{more}",
        f"Set {prefix}_MODEL to one of them.",
        seconds,
    )


def _unheard(event: Event) -> None:
    """Nobody listens."""
