"""The documents that are shipped give answers one is glad to show."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from llm_service.prompts.answer import check_answer
from llm_service.prompts.catalogue import Catalogue
from llm_service.prompts.verdict import apply
from llm_service.providers.extractive import Extractive
from llm_service.providers.protocol import CompletionRequest, Document, Message
from llm_service.samples import SAMPLES, Sample

_CONVERT = (
    "import sys; from markitdown import MarkItDown; print(MarkItDown().convert(sys.argv[1]).text_content)"
)


@cache
def text_of(sample: Sample) -> str:
    """Converted in a process of its own: the converter's imports warn, and warnings are errors here."""
    if sample.path.suffix == ".txt":
        return sample.path.read_text(encoding="utf-8")
    pytest.importorskip("mammoth")
    command = [sys.executable, "-c", _CONVERT, str(sample.path)]
    environment = {"PYTHONIOENCODING": "utf-8", "PATH": ""}
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env=environment).stdout


def named(name: str) -> Sample:
    return next(sample for sample in SAMPLES if sample.path.name == name)


async def answer(sample: Sample, prompt_id: int) -> str:
    prompt = Catalogue.load().get(prompt_id)
    completion = await Extractive().complete(
        CompletionRequest(
            messages=(Message("system", prompt.system or ""), Message("user", prompt.user)),
            documents=(Document(sample.path.name, "text/plain", text_of(sample)),),
            response_schema=prompt.response_schema,
        )
    )
    check_answer(completion.text, prompt.response_schema)
    return completion.text


async def as_json(sample: Sample, prompt_id: int) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(await answer(sample, prompt_id))
    return value


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.path.name)
async def test_every_sample_succeeds_under_its_prompt(sample: Sample) -> None:
    prompt = Catalogue.load().get(sample.prompt_id)
    text = await answer(sample, sample.prompt_id)
    if prompt.verdict is not None:
        apply(prompt.verdict, text)
    assert sample.path.stat().st_size < 60_000


async def test_the_letter_without_labels_is_read_by_its_layout() -> None:
    card = await as_json(named("letter_ru.docx"), 3)
    assert card["Отправитель"] == "ООО «Волжский завод металлоконструкций»"
    assert card["Индекс отправителя"] == "443099"
    assert card["Получатель"] == "Генеральному директору, АО «Городские сети», Петрову Андрею Викторовичу"
    assert card["Адрес получателя"] == "г. Самара, ул. Полевая, д. 4, оф. 301"
    assert card["Индекс получателя"] == "443010"
    assert card["Дата"] == "2026-11-16"
    assert card["Номер"] == "412/06"
    assert card["Тема"] == "О переносе срока поставки опор освещения"
    assert "Просим перенести срок поставки" in card["Содержание"]
    assert card["Статус"] == "Успешно"


async def test_the_envelope_is_read_by_its_labels() -> None:
    card = await as_json(named("envelope_ru.txt"), 3)
    assert card["Отправитель"] == "ООО «Северный маяк»"
    assert card["Адрес отправителя"] == "г. Архангельск, наб. Северной Двины, д. 155, оф. 12"
    assert card["Получатель"].startswith("Товарищество собственников жилья «Берёзовая роща»")
    assert card["Получатель"].endswith("Кузнецовой Марине Олеговне")
    assert card["Адрес получателя"] == "г. Вологда, ул. Герцена, д. 118, корп. 2, кв. 5"
    assert (card["Индекс отправителя"], card["Индекс получателя"]) == ("163099", "160099")
    assert (card["Дата"], card["Номер"], card["Статус"]) == ("2026-11-09", "80099912345674", "Успешно")


async def test_a_report_is_no_letter_and_says_what_is_missing() -> None:
    card = await as_json(named("report_ru.pdf"), 3)
    assert card["Статус"] == "Ошибка"
    assert card["Причина"] == "В тексте не найдено: Отправитель, Получатель, Адрес получателя."


async def test_the_report_is_summed_up_in_its_own_words() -> None:
    text = await answer(named("report_ru.pdf"), 1)
    assert text.startswith("Отчёт о внедрении автоматической обработки входящих документов")
    assert "— Среднее время регистрации одного документа сократилось с 6 минут до 40 секунд." in text
    assert "15 декабря 2026 г." in text
    assert "2 055 000 руб." in text
    assert "АО «Городские сети»" in text
    assert "voroncova@gorodskie-seti.example; +7 (846) 555-01-32" in text
    assert text.endswith(
        "Это выдержка, составленная без языковой модели: предложения взяты из документа дословно."
    )


async def test_the_contract_gives_its_key_fields() -> None:
    found = await as_json(named("contract_en.pdf"), 4)
    assert found["title"] == "Service Agreement No. SA-2026/117"
    assert (found["number"], found["date"]) == ("SA-2026/117", "2026-10-12")
    assert found["parties"] == ["Harbour Logistics Ltd", "Brightlamp Software LLC"]
    assert (found["total_amount"], found["currency"]) == (48_000, "EUR")
    assert found["deadlines"] == ["2026-12-01", "2027-11-30"]
    assert "Mrs Helen Marsh" in found["people"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("letter_ru.docx", "letter"),
        ("envelope_ru.txt", "letter"),
        ("report_ru.pdf", "report"),
        ("contract_en.pdf", "contract"),
        ("minutes_en.txt", "minutes"),
    ],
)
async def test_samples_are_told_apart(name: str, kind: str) -> None:
    found = await as_json(named(name), 2)
    assert found["document_type"] == kind
    assert 0 < found["confidence"] < 1
    assert found["reason"]
    assert found["language"] == name.partition(".")[0][-2:]


async def test_the_same_document_gives_the_same_answer() -> None:
    sample = named("minutes_en.txt")
    assert len({await answer(sample, 1) for _ in range(3)}) == 1
