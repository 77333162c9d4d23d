"""Some settings of the surroundings, all others fixed: for a run that must not touch what is deployed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from llm_service.errors import SettingsInvalid
from llm_service.settings.layers import Layer, dotenv_layer, environment_layer
from llm_service.settings.report import report
from llm_service.settings.root import Settings
from llm_service.settings.tree import walk


def load_providers(
    fixed: Mapping[str, str],
    env_file: Path | None = Path(".env"),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """What the surroundings say about providers; of the rest, what ``fixed`` says and the defaults.

    Names that are no setting of ours stay: they may be options of a third party's provider. Raises SettingsInvalid,
    naming every wrong setting among those that are read.
    """
    left_out = _names_outside(("gigachat", "ollama"), kept=("LLM_PROVIDER",))
    layers = (
        Layer("default", fixed),
        _without(left_out, environment_layer(environ)),
        _without(left_out, dotenv_layer(env_file)),
    )
    try:
        return Settings.from_layers(*layers)
    except ValidationError as error:
        # Without its cause: that holds the values, secret ones too.
        raise SettingsInvalid(report(error, Settings, layers)) from None


def _names_outside(groups: Collection[str], kept: Collection[str]) -> frozenset[str]:
    outside = (setting.names for setting in walk(Settings) if setting.group not in groups)
    return frozenset(name for names in outside for name in names) - frozenset(kept)


def _without(names: Collection[str], layer: Layer) -> Layer:
    return Layer(layer.origin, {name: text for name, text in layer.values.items() if name not in names})
