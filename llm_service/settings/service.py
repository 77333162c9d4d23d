"""The process itself: its HTTP address, its log, its surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from llm_service.settings.group import Group, Lowered, Uppered


class HttpSettings(Group):
    """HTTP: /health, /status, /live, /ready, /metrics."""

    enabled: bool = Field(
        default=True, validation_alias="HTTP_ENABLED", description="Whether the address is served."
    )
    host: str = Field(
        default="127.0.0.1",
        validation_alias="HTTP_HOST",
        description="Address to listen on; 0.0.0.0 lets other machines in, as a container needs it.",
    )
    port: int = Field(
        default=8081, validation_alias="HTTP_PORT", ge=0, le=65_535, description="Port; 0 takes any free one."
    )


class LogSettings(Group):
    """Log."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Uppered] = Field(
        default="INFO", validation_alias="LOG_LEVEL", description="Least level that is logged."
    )
    dir: Path | None = Field(
        default=None,
        validation_alias="LOG_DIR",
        description="Folder for system.log and errors.log, rotated; unset: the terminal only.",
    )
    json_lines: bool = Field(
        default=False,
        validation_alias="LOG_JSON",
        description="Whether each line is a JSON object instead of text.",
    )


class AppSettings(Group):
    """Surroundings."""

    env: Annotated[str, Lowered] = Field(
        default="development",
        validation_alias="APP_ENV",
        description="Where this runs; 'production' refuses what is unsafe there (no TLS verification, default passwords).",
    )
    secrets_dir: Path | None = Field(
        default=None,
        validation_alias="SECRETS_DIR",
        description="Folder with a file per setting, named as it in any case; unset: /run/secrets where that "
        "is there.",
    )
    bootstrap_retry_delay_s: float = Field(
        default=2.0,
        validation_alias="BOOTSTRAP_RETRY_DELAY_SECONDS",
        ge=0,
        le=300,
        description="Seconds between the 5 attempts to reach a dependency at start.",
    )

    @property
    def is_production(self) -> bool:
        """Whether unsafe settings are refused."""
        return self.env in {"production", "prod"}
