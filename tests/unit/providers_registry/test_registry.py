"""What the registry finds, and what it says when it does not."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_service.errors import ProviderError, ProviderUnknown, SettingsInvalid
from llm_service.providers.registry import GROUP, ProviderContext, build, installed
from tests.manual_clock import ManualClock

CONTEXT = ProviderContext({"key": "s3cret"}, ManualClock(), random.Random(1), lambda: "id")

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with one provider where installed packages are looked for."""
    modules: list[str] = []

    def put(name: str, code: str, package: str = "some-package") -> None:
        module = package.replace("-", "_")
        modules.append(module)
        folder = tmp_path / package
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:create\n")
        (folder / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(folder))

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def test_the_providers_of_this_package_are_installed() -> None:
    assert {"extractive", "gigachat", "ollama"} <= set(installed())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ProviderUnknown, match=r"'gigachad'.*extractive.*gigachat.*ollama"):
        build("gigachad", CONTEXT)


def test_two_packages_with_one_name_get_nothing(install: Install) -> None:
    install("gigachat", "def create(context): raise AssertionError('it would get the key')", "evil-twin")
    with pytest.raises(ProviderUnknown, match=r"evil_twin:create of evil-twin and llm_service"):
        build("gigachat", CONTEXT)


def test_a_package_that_can_not_be_imported_is_named_with_what_it_lacks(install: Install) -> None:
    install("model", "import a_module_that_is_not_there")
    with pytest.raises(ProviderError, match=r"'model'.*some-package.*a_module_that_is_not_there"):
        build("model", CONTEXT)


def test_a_package_without_the_factory_it_declares_is_named(install: Install) -> None:
    install("model", "")
    with pytest.raises(ProviderError, match=r"some-package.*create"):
        build("model", CONTEXT)


def test_a_factory_that_fails_is_named_without_its_words(install: Install) -> None:
    install("model", "def create(context): raise ValueError(context.options)")
    with pytest.raises(ProviderError, match=r"some-package.*ValueError") as raised:
        build("model", CONTEXT)
    assert "s3cret" not in raised.value.message


def test_what_a_factory_says_about_its_settings_passes(install: Install) -> None:
    code = """
from llm_service.errors import SettingsInvalid
def create(context): raise SettingsInvalid("MODEL_URL is missing")
"""
    install("model", code)
    with pytest.raises(SettingsInvalid, match="MODEL_URL is missing"):
        build("model", CONTEXT)


def test_what_is_no_provider_is_refused_at_once(install: Install) -> None:
    install("model", "def create(context): return object()")
    with pytest.raises(ProviderError, match="lacks name, default_model, capabilities, complete"):
        build("model", CONTEXT)
