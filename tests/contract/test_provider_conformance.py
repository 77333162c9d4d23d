"""The suite that a package outside inherits, over the providers that are here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from llm_service.providers.compatible.vendors import VENDORS
from llm_service.providers.protocol import Provider
from llm_service.testing import ProviderConformance
from tests.contract.provider_benches import Bench, all_names, bench


@pytest.fixture(scope="module", params=all_names())
def running(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench(request.param) as found:
        yield found


class TestProviders(ProviderConformance):
    @pytest_asyncio.fixture
    async def provider(self, running: Bench) -> AsyncIterator[Provider]:  # type: ignore[override]
        made = running.provider()
        yield made
        await made.close()

    @pytest.fixture
    def embedding_model(self, running: Bench) -> str | None:
        vendor = VENDORS.get(running.name)
        return "acme-embedding" if vendor is not None and not vendor.embedding_model else None
