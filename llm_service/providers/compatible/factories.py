"""The entry points: one provider for each vendor that is known."""

from __future__ import annotations

from llm_service.providers.compatible.options import CompatibleOptions
from llm_service.providers.compatible.provider import CompatibleProvider
from llm_service.providers.compatible.vendor import Vendor
from llm_service.providers.compatible.vendors import (
    ANTHROPIC,
    COMPATIBLE,
    GOOGLE,
    MOONSHOT,
    OPENAI,
    OPENROUTER,
    QWEN,
)
from llm_service.providers.registry import ProviderContext


def openai(context: ProviderContext) -> CompatibleProvider:
    """OpenAI. Raises SettingsInvalid, as all of these."""
    return _made(OPENAI, context)


def openrouter(context: ProviderContext) -> CompatibleProvider:
    """OpenRouter."""
    return _made(OPENROUTER, context)


def moonshot(context: ProviderContext) -> CompatibleProvider:
    """Moonshot Kimi."""
    return _made(MOONSHOT, context)


def qwen(context: ProviderContext) -> CompatibleProvider:
    """Qwen at DashScope."""
    return _made(QWEN, context)


def anthropic(context: ProviderContext) -> CompatibleProvider:
    """Anthropic's compatible endpoint."""
    return _made(ANTHROPIC, context)


def google(context: ProviderContext) -> CompatibleProvider:
    """Google's compatible endpoint."""
    return _made(GOOGLE, context)


def compatible(context: ProviderContext) -> CompatibleProvider:
    """Any other server of the protocol, by its address."""
    return _made(COMPATIBLE, context)


def _made(vendor: Vendor, context: ProviderContext) -> CompatibleProvider:
    return CompatibleProvider(vendor, CompatibleOptions.of(context.options), context.clock)
