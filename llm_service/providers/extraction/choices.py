"""Which of a schema's allowed words suits a text: by the words that papers of that kind use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_service.providers.extraction.concepts import spoken
from llm_service.providers.extraction.facts import Facts
from llm_service.providers.extraction.lexicon import word_list
from llm_service.providers.extraction.words import stem, stems

_MOST_WORDS = 200
"""Of one list of allowed words: more are codes, which no text spells out."""
_LETTER_FORM = 10
"""A greeting and a farewell make a letter of a paper, whatever it writes of."""
_CUES: Mapping[str, tuple[str, ...]] = {
    "letter": word_list("letter письмо уважаемый уважаемая уважением исх просим dear sincerely regards"),
    "contract": word_list(
        "contract agreement договор контракт соглашение стороны parties заказчик исполнитель contractor"
    ),
    "invoice": word_list("invoice счет счёт-фактура оплате payable bill"),
    "act": word_list("act акт приемки сдачи-приемки acceptance certificate"),
    "report": word_list("report отчет отчёт результаты results итоги"),
    "minutes": word_list(
        "minutes протокол meeting заседания совещания повестка agenda present apologies chair"
    ),
    "order": word_list("order приказ приказываю распоряжение"),
    "application": word_list("application заявление прошу заявка applicant"),
    "power_of_attorney": word_list("attorney доверенность доверяет уполномочивает"),
    "notice": word_list("notice уведомление извещение уведомляем notify"),
    "claim": word_list("claim претензия требуем неустойка compensation жалоба complaint"),
}
_OTHER = frozenset(word_list("other unknown none другое прочее иное неизвестно unclear"))
_RUSSIAN = frozenset(word_list("ru rus russian русский"))
_ENGLISH = frozenset(word_list("en eng english английский"))


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen word, how sure the choice is (0 to 1), and the text's words that decided."""

    value: str
    confidence: float
    by: tuple[str, ...]

    @property
    def found(self) -> bool:
        return self.confidence > 0


def choose(allowed: Sequence[str], said: str, facts: Facts) -> Choice:
    """The allowed word a label states, that names the text's language, or that the text's words speak for most."""
    stated = next((word for word in allowed if word and word.lower() == said.lower()), None)
    if stated is not None:
        return Choice(stated, 1.0, (said,))
    spoken_in = _RUSSIAN if facts.source.language == "ru" else _ENGLISH
    named = next((word for word in allowed if word.lower() in spoken_in), None)
    if named is not None and len(allowed) > 1:
        return Choice(named, 1.0, (named,))
    return _by_words(allowed, facts)


def _by_words(allowed: Sequence[str], facts: Facts) -> Choice:
    weights = facts.vocabulary.weights
    cues = {word: _cues(word) for word in allowed[:_MOST_WORDS] if word.lower() not in _OTHER}
    scores = {word: sum(weights.get(cue, 0) for cue in cues[word]) for word in cues}
    if "letter" in scores and (facts.letter.recipient or facts.letter.signature):
        scores["letter"] += _LETTER_FORM
    best = max(scores, key=lambda word: scores[word], default="")
    if not best or not scores[best]:
        other = next((word for word in allowed if word.lower() in _OTHER), allowed[0])
        return Choice(other, 0.0, ())
    by = tuple(facts.vocabulary.forms[cue] for cue in cues[best] if cue in facts.vocabulary.forms)
    return Choice(best, min(0.95, round(scores[best] / sum(scores.values()), 2)), by[:5])


def _cues(word: str) -> tuple[str, ...]:
    """The stems that speak for an allowed word: its own, and those of the kind of paper it names."""
    own = stems(spoken(word))
    kind = next(
        (
            cues
            for name, cues in _CUES.items()
            if word.lower() == name or set(own) & {stem(cue) for cue in cues[:4]}
        ),
        (),
    )
    return tuple(dict.fromkeys([*own, *(stem(cue) for cue in kind)]))
