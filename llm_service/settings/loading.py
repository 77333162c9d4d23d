"""Reading the settings from where the service runs: the only place that looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from llm_service.errors import SettingsInvalid
from llm_service.settings.diagnosis import diagnose
from llm_service.settings.dotenv_file import dotenv_layer
from llm_service.settings.families import installed_families, misspelt
from llm_service.settings.layers import Layer, environment_layer
from llm_service.settings.problem import Inspection
from llm_service.settings.report import report
from llm_service.settings.root import Settings
from llm_service.settings.secret_files import SUFFIX, folder_layer, with_files
from llm_service.settings.tree import names_in

_SECRETS_DIR = "SECRETS_DIR"

_SECRET_ENDINGS = ("KEY", "PASSWORD", "SECRET", "TOKEN")


def load(
    env_file: Path | None = Path(".env"),
    environ: Mapping[str, str] = os.environ,
    inspect: Inspection | None = None,
) -> Settings:
    """The settings in force: of the environment, else ``.env``, else the secrets folder, else the defaults.

    Beside each ``NAME`` its ``NAME_FILE`` is read in the same place. An empty value is an unset one; a comment behind a
    value is no part of it. Raises SettingsInvalid, naming every wrong setting and what ``inspect`` finds.
    """
    known = names_in(Settings)
    third_parties = third_parties_of(known)
    layers = surroundings(env_file, environ, known, third_parties)
    remarks = [remark for layer in layers for remark in layer.remarks]
    unknown = misspelt(layers, known, third_parties)
    return checked(layers, (*remarks, *unknown, *_all_at_default(layers, env_file)), inspect)


def surroundings(
    env_file: Path | None,
    environ: Mapping[str, str],
    known: frozenset[str],
    third_parties: tuple[str, ...],
) -> tuple[Layer, ...]:
    """The layers there are, the first of which wins."""
    written = (environment_layer(environ), dotenv_layer(env_file))
    folder = next((layer.values[_SECRETS_DIR] for layer in written if _SECRETS_DIR in layer.values), None)
    named = [with_files(layer, {*known, *_secrets_of(third_parties, layer)}) for layer in written]
    return (*named, folder_layer(Path(folder) if folder else None, known, third_parties))


def checked(layers: Sequence[Layer], remarks: Sequence[str], inspect: Inspection | None = None) -> Settings:
    """The settings of these layers. Raises SettingsInvalid, naming all that is wrong."""
    diagnosis = diagnose(layers, inspect)
    if not diagnosis.is_right:
        raise SettingsInvalid(report(diagnosis, layers, remarks))
    return diagnosis.settings.remember(layers, remarks)


def _all_at_default(layers: Sequence[Layer], env_file: Path | None) -> Iterable[str]:
    """Whoever is in the wrong folder, or has called the file otherwise, would look for the fault in Kafka."""
    names = names_in(Settings)
    if env_file is None or any(layer.problems or layer.values.keys() & names for layer in layers):
        return
    if not env_file.exists():
        yield (
            f"no setting is given: the environment has none and there is no {env_file.absolute()}, so each is at its "
            "default; start in the folder of your .env, or name it with --env-file"
        )


def third_parties_of(known: frozenset[str]) -> tuple[str, ...]:
    """The families of installed providers that have no settings in the tree."""
    return tuple(
        family for family in installed_families() if not any(name.startswith(family) for name in known)
    )


def _secrets_of(third_parties: tuple[str, ...], layer: Layer) -> Iterable[str]:
    """Secrets of third parties' providers that are given by file; what else ends with _FILE may be an option of theirs."""
    for name in layer.values:
        stem = name.removesuffix(SUFFIX)
        if name.startswith(third_parties) and stem != name and stem.endswith(_SECRET_ENDINGS):
            yield stem
