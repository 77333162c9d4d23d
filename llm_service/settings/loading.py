"""Reading the settings from where the service runs: the only place that looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from llm_service.errors import SettingsInvalid
from llm_service.settings.layers import dotenv_layer, environment_layer
from llm_service.settings.report import report
from llm_service.settings.root import Settings


def load(env_file: Path | None = Path(".env"), environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force: the environment's values, then the file's, then the defaults.

    An empty value is an unset one; a comment behind a value is no part of it. Raises SettingsInvalid, naming
    every wrong setting.
    """
    layers = (environment_layer(environ), dotenv_layer(env_file))
    try:
        return Settings.from_layers(*layers)
    except ValidationError as error:
        # Without its cause: that holds the values, secret ones too.
        raise SettingsInvalid(report(error, Settings, layers)) from None
