"""A package outside this repository adds a provider: built and installed by pip, found, configured and asked."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest

from llm_service.events import Event, ProviderCalled
from llm_service.providers.guard import Guard
from llm_service.providers.protocol import CompletionRequest, Message
from llm_service.providers.registry import ProviderContext, build, installed
from llm_service.resilience.deadline import Deadline
from tests.manual_clock import ManualClock
from tests.unit.providers_guard.scripted import POLICY

SOURCE = Path(__file__).parents[2] / "fixtures" / "thirdparty_provider"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package, built from a copy: a build leaves things behind."""
    folder = tmp_path_factory.mktemp("thirdparty")
    shutil.copytree(SOURCE, folder / "source")
    target = folder / "site"
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "install", *quiet, *offline, "--target", str(target)]
    done = subprocess.run(
        [*command, str(folder / "source")], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def waiting() -> AbstractAsyncContextManager[None]:
    return nullcontext()


async def test_an_installed_package_is_a_provider_like_any_other(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "backwards" not in installed()
    monkeypatch.syspath_prepend(str(site))
    entry = installed()["backwards"]
    assert entry.dist is not None
    assert (entry.dist.name, entry.dist.version) == ("backwards-llm", "1.2.3")

    clock = ManualClock()
    options = {"ending": "!"}
    context = ProviderContext(options, clock, random.Random(1), lambda: "id")
    events: list[Event] = []
    guard = Guard(build("backwards", context), POLICY, clock, random.Random(1), events.append)
    request = CompletionRequest(messages=(Message("user", "привет"),))
    completion = await guard.complete(request, Deadline(None), waiting)
    assert completion.text == "тевирп!"
    assert events == [ProviderCalled("backwards", "backwards-1", "success", 0.0, queue_s=0.0)]
    await guard.close()
    monkeypatch.delitem(sys.modules, "backwards_llm")
