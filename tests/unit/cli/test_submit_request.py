"""What is refused before anything is sent, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llm_service.cli.submission.order import TaskOrder
from llm_service.cli.submission.request import (
    RequestWrong,
    TaskOptions,
    Wanted,
    check,
    read_order,
    read_schema,
    read_sources,
)
from llm_service.cli.submission.source import SourceFile
from llm_service.settings import Settings

NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)
FILE = SourceFile(Path("a.pdf"), "a.pdf", 5)


def _checked(options: TaskOptions, *sources: SourceFile, task_id: str | None = None) -> list[str]:
    return check(Wanted(sources or (FILE,), read_order(options, NOW), task_id), Settings(), NOW)


def test_what_a_worker_takes_is_taken() -> None:
    options = TaskOptions(
        prompt_id=1,
        params=["temperature=0.5", 'stop=["a","b"]', "stop_word=END", "seed=7"],
        priority="2.5",
        deadline="10m",
        metadata=["n=1", "a=b=c"],
        provider="gigachat",
    )
    assert _checked(options) == []
    order = read_order(options, NOW)
    assert order.parameters == {"temperature": 0.5, "stop": ["a", "b"], "stop_word": "END", "seed": 7}
    assert order.metadata == {"n": "1", "a": "b=c"}
    assert (order.priority, order.deadline_at) == (2.5, NOW + timedelta(minutes=10))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TaskOptions(params=["temperature=hot"]), "Field 'parameters.temperature' must be a number"),
        (
            TaskOptions(params=["max_tokens=0"]),
            "Field 'parameters.max_tokens' must be an integer of 1 or more",
        ),
        (TaskOptions(params=["temperature"]), "--param 'temperature': NAME=VALUE is expected"),
        (TaskOptions(params=["=1"]), "NAME=VALUE is expected"),
        (TaskOptions(metadata=["x"]), "--metadata 'x': NAME=VALUE is expected"),
        (TaskOptions(priority="urgent"), "Field 'priority' must be a number, low, normal or high"),
        (TaskOptions(priority="nan"), "Field 'priority'"),
        (TaskOptions(deadline="lunch"), "--deadline 'lunch' is neither a duration"),
        (TaskOptions(deadline="2020-01-01T00:00"), "--deadline is past already"),
        (TaskOptions(prompt="a", prompt_id=1), "--prompt and --prompt-id"),
        (TaskOptions(schema='{"type": "objekt"}'), "is no usable JSON Schema"),
        (TaskOptions(schema='{"type": "integer", "minimum": 2, "maximum": 1}'), "allows no answer at all"),
        (TaskOptions(schema='{"$ref": "http://elsewhere"}'), "refers outside itself"),
        (TaskOptions(schema='{"type":'), "--schema: The value is not JSON"),
        (TaskOptions(schema="none.json"), "--schema none.json can't be read: No such file"),
        (TaskOptions(text="\udcff"), "--text is no text in UTF-8"),
        (TaskOptions(system_prompt="a\udcff"), "--system-prompt is no text in UTF-8"),
        (TaskOptions(params=("a=\udcff",)), "--param is no text in UTF-8"),
        (TaskOptions(prompt="x" * 1_000_000), "KAFKA_MESSAGE_MAX_BYTES is 1,000,000"),
    ],
)
def test_what_a_worker_would_refuse_is_refused_here(options: TaskOptions, words: str) -> None:
    with pytest.raises(RequestWrong) as wrong:
        _checked(options)
    assert words in str(wrong.value)


@pytest.mark.parametrize("task_id", ["", " ", "a\nb", "x" * 256, " padded ", "\udcff"])
def test_an_id_that_a_worker_would_not_take_as_it_is_is_refused(task_id: str) -> None:
    with pytest.raises(RequestWrong, match=r"--task-id (must be|is no text)"):
        _checked(TaskOptions(), task_id=task_id)


def test_an_id_of_ones_own_need_not_be_a_uuid() -> None:
    assert _checked(TaskOptions(), task_id="order-17") == []


def test_a_prompt_or_provider_that_is_unknown_here_is_only_doubted() -> None:
    prompt, provider = _checked(TaskOptions(prompt_id=77, provider="mine"))
    assert "no prompt 77; it has 1, 2, 3, 4, 5" in prompt
    assert "No provider 'mine' is installed here" in provider
    assert _checked(TaskOptions(prompt="own words", provider="auto")) == []


def test_a_broken_catalogue_here_does_not_keep_a_task_from_being_sent(tmp_path: Path) -> None:
    settings = Settings.model_validate({"worker": {"prompts_file": tmp_path / "none.yaml"}})
    (doubt,) = check(Wanted((FILE,), TaskOrder(prompt_id=1)), settings, NOW)
    assert "can't be told here" in doubt


@pytest.mark.parametrize("value", ["[1]", "5", '"text"'])
def test_a_schema_is_an_object(tmp_path: Path, value: str) -> None:
    (tmp_path / "schema.json").write_text(value)
    with pytest.raises(RequestWrong, match="a JSON Schema is an object"):
        read_schema(str(tmp_path / "schema.json"))


def test_a_schema_is_read_from_a_file_or_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_bytes('\ufeff{"title": "Акт"}'.encode())
    assert read_schema(str(tmp_path / "schema.json")) == {"title": "Акт"}
    assert read_schema(' {"type": "object"}') == {"type": "object"}


def test_all_files_that_cannot_be_used_are_named_at_once(tmp_path: Path) -> None:
    names = {"empty.txt": b"", "large.txt": b"123456", "well.txt": b"1234"}
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestWrong) as wrong:
        read_sources([tmp_path / "none", tmp_path, *(tmp_path / name for name in names)], max_bytes=5)
    missing, folder, empty, large = str(wrong.value).splitlines()
    assert missing.endswith("none can't be read: No such file or directory")
    assert folder.endswith("is a folder: name the files in it")
    assert empty == "empty.txt is empty"
    assert large == "large.txt is 6 bytes, and a worker takes 5: raise FILE_MAX_BYTES there and here"


def test_a_task_of_many_files_is_called_by_some_of_them() -> None:
    files = tuple(SourceFile(Path(name), name, 1) for name in "abcde")
    assert Wanted(files[:1], TaskOrder()).label == "a"
    assert Wanted(files, TaskOrder()).label == "a, b, 3 more"
    assert Wanted((), TaskOrder()).label == "text"
