"""README.md, README.ru.md and docs/: every block is executed, every link leads somewhere, both READMEs say the same."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.readme.blocks import ROOT, Block, all_blocks, blocks_in, blocks_of, headings, pages
from tests.acceptance.readme.clients import COMMANDS, TOOLS
from tests.acceptance.readme.links import anchors_in, broken_links, links_in
from tests.acceptance.readme.runners import Surroundings, runner_of
from tests.acceptance.stage import Stage
from tests.services.cache import Cache
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.wishes import Wishes
from tests.standins.process import GigaChatProcess, gigachat

ENGLISH, RUSSIAN = ROOT / "README.md", ROOT / "README.ru.md"


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin")) as running:
        yield running


@pytest.fixture
def around(kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path) -> Surroundings:
    cache = Cache(Wishes.read().cache, print)
    return Surroundings(partial(Stage.build, kafka, minio, standin, tmp_path), cache, tmp_path)


@pytest.mark.parametrize("block", all_blocks(), ids=lambda block: f"{block.page}-{block.line}")
@pytest.mark.timeout(180)
def test_a_block_does_what_its_page_says(block: Block, around: Surroundings) -> None:
    runner_of(block)(block, around)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_language_has_a_producer_and_a_reader_of_statuses() -> None:
    names = {block.name for block in blocks_of(ENGLISH)}
    for language in TOOLS:
        assert f"{language} {COMMANDS}" in names
        assert {
            word
            for name in names
            if name.startswith(language)
            for word in ("produce", "statuses")
            if word in name.lower()
        } == {"produce", "statuses"}


@pytest.mark.skipif(not RUSSIAN.exists(), reason="there is no README.ru.md yet")
def test_both_languages_have_the_same_blocks_and_the_same_shape() -> None:
    english, russian = blocks_of(ENGLISH), blocks_of(RUSSIAN)
    assert [(block.language, block.how, block.name, block.text) for block in russian] == [
        (block.language, block.how, block.name, block.text) for block in english
    ]
    levels = [[level for level, _ in headings(page.read_text("utf-8"))] for page in (RUSSIAN, ENGLISH)]
    assert levels[0] == levels[1]


PAGE = """
# Ein Титул: 1 & `two`
<!-- test: paths -->
```text
main.py  the service
```

<details><summary>more</summary>

<!-- checked by: tests/acceptance/test_readme.py::test_every_link_leads_somewhere -->
```bash
docker run nothing
```
</details>

- in a list

  ```sh
  true
  ```

## Same
## Same
[one](main.py) [two](#same-1) ![three](none.svg) <img src="none.png"> [four](https://example.org) [five][ref]

[ref]: README.md#nowhere
"""


def test_blocks_are_found_with_their_markers_wherever_they_stand() -> None:
    found = blocks_in(PAGE, "page.md")
    assert [(block.line, block.language, block.how, block.name) for block in found] == [
        (4, "text", "test", "paths"),
        (11, "bash", "checked by", "tests/acceptance/test_readme.py::test_every_link_leads_somewhere"),
        (18, "sh", None, ""),
    ]
    with pytest.raises(ValueError, match="nothing that could be tested"):
        blocks_in("<!-- test: paths -->\n\ntext\n", "page.md")


def test_links_and_anchors_are_found_wherever_they_stand() -> None:
    assert links_in(PAGE) == ["main.py", "#same-1", "none.svg", "none.png", "README.md#nowhere"]
    assert {"ein-титул-1--two", "same", "same-1"} == anchors_in(PAGE)


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](#here) [b](#there) [c](page.md#here) [d](other.md)\n")
    assert broken_links(page) == ["#there", "other.md"]


BESIDE_A_WORKER = """
<!-- test: beside a worker -->
```bash
llm-service submit README.md --prompt-id 1 --watch --json
python3 -c "import urllib.request as r; print(r.urlopen('http://localhost:8081/status').read().decode())"
llm-service watch
```
"""


def test_a_block_can_be_run_beside_a_worker(around: Surroundings) -> None:
    (block,) = blocks_in(BESIDE_A_WORKER, "page.md")
    runner_of(block)(block, around)


@pytest.mark.parametrize(
    ("language", "marker", "text"),
    [
        ("bash", None, "false"),
        ("bash", None, "kafka-topics --bootstrap-server localhost:9092 --describe --topic no_such_topic"),
        ("bash", None, "docker compose up"),
        ("bash", None, "./scripts/test --unheard-of"),
        ("bash", None, "python3 -m venv .venv && .venv/bin/pip install -r none.txt"),
        ("bash", None, "KAFKA_STATUS_TOPIC=no_such_topic llm-service run"),
        ("bash", "checked by: tests/acceptance/test_readme.py::test_of_nothing", "docker run"),
        ("bash", "test: by nobody", "true"),
        ("", None, "true"),
        ("env", None, "KAFKA_GRUOP_ID=a"),
        ("env", None, "WORKER_MAX_CONCURRENT_TASKS=many"),
        ("toml", None, '[project.entry-points."llm.providers"]\nmine = "a:b"'),
        ("json", None, "{"),
        ("text", "test: paths", "none/at/all  what it is"),
        ("text", "test: status messages", '{"status": 3, "answer": "{}", …}'),
        ("text", "test: status messages", '{"status": 4, "error": {"retryable": "no", …}, …}'),
        ("text", "test: task message", 'key  a\nheaders  status=1\nvalue  {"storage_path": 1}'),
    ],
)
def test_a_block_that_is_wrong_fails(
    language: str, marker: str | None, text: str, around: Surroundings
) -> None:
    comment = f"<!-- {marker} -->\n" if marker else ""
    (block,) = blocks_in(f"{comment}```{language}\n{text}\n```\n", "page.md")
    with pytest.raises(Exception, match=r".+") as caught:
        runner_of(block)(block, around)
    assert not isinstance(caught.value, TypeError | AttributeError | NameError), caught.value
