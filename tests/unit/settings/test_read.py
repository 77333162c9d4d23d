"""No setting is there that nothing reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import llm_service
from llm_service.settings import Settings
from llm_service.settings.limited import LIMITS
from llm_service.settings.part import PROVIDER_GROUPS
from llm_service.settings.tree import walk

ROOT = Path(llm_service.__file__).parent
HERE_IS_ITS_EFFECT = {
    "APP_ENV": "the settings refuse by it what is unsafe in production",
    "SECRETS_DIR": "the settings are read from there",
    "KAFKA_RETRY_TOPIC": "as KafkaSettings.retry_topic_in_use",
    "MINIO_ALLOWED_BUCKETS": "part of MinioSettings.readable_buckets",
}
OPTIONS = frozenset(PROVIDER_GROUPS)
"""Groups that a provider is given as a whole, as options it reads by their names."""


def modules() -> Iterator[ast.Module]:
    for module in ROOT.rglob("*.py"):
        if module.relative_to(ROOT).parts[0] != "settings":
            yield ast.parse(module.read_text("utf-8"))


def reads(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each ``settings.group.field``, and each ``group.field`` where ``group = settings.group`` stands in the module."""
    groups = set(Settings.model_fields)
    names = {
        target.id: node.value.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in groups
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Attribute) and node.value.attr in groups:
            yield node.value.attr, node.attr
        elif isinstance(node.value, ast.Name) and node.value.id in names:
            yield names[node.value.id], node.attr


def options(tree: ast.Module) -> Iterator[str]:
    yield from (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_every_setting_is_read_by_the_part_that_it_is_about() -> None:
    trees = list(modules())
    read = {place for tree in trees for place in reads(tree)}
    named = {name for tree in trees for name in options(tree)}
    # What all providers share is read once for all of them.
    shared = LIMITS & {
        node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    }
    unread = {
        setting.name
        for setting in walk(Settings)
        if (setting.group, setting.field) not in read
        and not (setting.group in OPTIONS and setting.field in named | shared)
    }
    assert unread == set(HERE_IS_ITS_EFFECT)
