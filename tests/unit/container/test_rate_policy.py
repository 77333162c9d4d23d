"""Every provider's limits come from settings of one shape, a third party's too."""

from __future__ import annotations

import pytest

from llm_service.container.providers import rate_policy
from llm_service.errors import SettingsInvalid
from llm_service.resilience.rate import RatePolicy
from llm_service.settings import load
from llm_service.settings.limited import LimitedSettings
from llm_service.settings.part import PROVIDER_GROUPS
from llm_service.settings.root import Settings


@pytest.mark.parametrize("name", [*PROVIDER_GROUPS, "acme-cloud"])
def test_limits_by_the_providers_own_prefix(name: str) -> None:
    prefix = name.upper().replace("-", "_")
    values = {
        f"{prefix}_REQUESTS_PER_MINUTE": "60",
        f"{prefix}_TOKENS_PER_MINUTE": "40000",
        f"{prefix}_LIMIT_SHARE": "0.5",
    }
    assert rate_policy(load(None, values), name) == RatePolicy(60, 40_000, 0.5)
    assert rate_policy(load(None, {}), name) == RatePolicy()


def test_no_provider_has_settings_without_them() -> None:
    for name in PROVIDER_GROUPS:
        assert isinstance(getattr(Settings(), name), LimitedSettings), name


@pytest.mark.parametrize(("what", "value"), [("REQUESTS_PER_MINUTE", "many"), ("LIMIT_SHARE", "2")])
def test_a_wrong_one_of_a_third_party_is_named(what: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"ACME_{what}"):
        rate_policy(load(None, {f"ACME_{what}": value}), "acme")
