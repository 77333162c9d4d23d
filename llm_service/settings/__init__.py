"""Settings: every one with its unit, default and bounds, read from the environment, ``.env`` and files of secrets."""

from llm_service.settings.kafka import KafkaSettings
from llm_service.settings.loading import load
from llm_service.settings.postgres import PostgresSettings
from llm_service.settings.problem import Inspection, Problem
from llm_service.settings.providers import GigaChatSettings, OllamaSettings
from llm_service.settings.root import Settings
from llm_service.settings.service import AppSettings, HttpSettings, LogSettings
from llm_service.settings.storage import FileSettings, MinioSettings
from llm_service.settings.work import BreakerSettings, RetrySettings, WorkerSettings

__all__ = [
    "AppSettings",
    "BreakerSettings",
    "FileSettings",
    "GigaChatSettings",
    "HttpSettings",
    "Inspection",
    "KafkaSettings",
    "LogSettings",
    "MinioSettings",
    "OllamaSettings",
    "PostgresSettings",
    "Problem",
    "RetrySettings",
    "Settings",
    "WorkerSettings",
    "load",
]
