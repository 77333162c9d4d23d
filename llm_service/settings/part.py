"""Some settings of the surroundings, all others fixed: for a run that must not touch what is deployed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from pathlib import Path

from llm_service.settings.clouds import CLOUD_GROUPS
from llm_service.settings.layers import DEFAULT, Layer
from llm_service.settings.loading import checked, surroundings, third_parties_of
from llm_service.settings.root import Settings
from llm_service.settings.tree import names_in, walk

PROVIDER_GROUPS = ("gigachat", "ollama", "gguf", *CLOUD_GROUPS)
"""Groups of the root that are providers' own."""


def load_providers(
    fixed: Mapping[str, str],
    env_file: Path | None = Path(".env"),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """What the surroundings say about providers; of the rest, what ``fixed`` says and the defaults.

    Names that are no setting of ours stay: they may be options of a third party's provider. Raises SettingsInvalid,
    naming every wrong setting among those that are read.
    """
    known = names_in(Settings)
    left_out = _names_outside(PROVIDER_GROUPS, kept=("LLM_PROVIDER",))
    around = surroundings(env_file, environ, known, third_parties_of(known))
    layers = (Layer(DEFAULT, fixed), *(_without(left_out, layer) for layer in around))
    return checked(layers, ())


def _names_outside(groups: Collection[str], kept: Collection[str]) -> frozenset[str]:
    outside = (setting.names for setting in walk(Settings) if setting.group not in groups)
    return frozenset(name for names in outside for name in names) - frozenset(kept)


def _without(names: Set[str], layer: Layer) -> Layer:
    values = {name: text for name, text in layer.values.items() if name not in names}
    problems = tuple(problem for problem in layer.problems if not names & set(problem.names))
    return replace(layer, values=values, problems=problems)
