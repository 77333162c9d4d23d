"""What replay and purge say while they work and when they end."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from llm_service.cli.checking.wording import counted
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.letters.opening import say
from llm_service.cli.letters.selection import Selection
from llm_service.cli.letters.shape import place, summary
from llm_service.cli.letters.tally import Tally
from llm_service.cli.printable import json_line, printable_line
from llm_service.kafka.letters import Letter, Stranger


@dataclass(frozen=True, slots=True)
class Account:
    """One line of stdout for each letter, the sum on stderr."""

    topic: str
    as_json: bool

    def done(self, found: Letter | Stranger, action: str) -> None:
        self._line(found, action, None)

    def failed(self, found: Letter | Stranger, why: str) -> None:
        self._line(found, "failed", why)
        say(f"{_place(found)} was left as it is: {why}")

    def end(self, verb: str, goal: str, tally: Tally, selection: Selection) -> ExitCode:
        """The numbers; FAILED where something was asked for and could not be done."""
        by_code = f": {tally.by_code()}" if tally.total else ""
        say(f"{verb} {counted(tally.total, 'letter')}{goal}{by_code}.")
        if tally.failed:
            say(f"{counted(tally.failed, 'letter')} could not be, as said above.")
        missing = sorted(set(selection.places) - tally.met)
        for partition, offset in missing:
            say(f"There is no letter {partition}/{offset} on {self.topic}.")
        for sentence in tally.rest(self.topic):
            say(sentence)
        return ExitCode.FAILED if tally.failed or missing else ExitCode.OK

    def cut(self, verb: str, goal: str, tally: Tally) -> None:
        """The numbers of a run that did not come to its end."""
        by_code = f": {tally.by_code()}" if tally.total else ""
        say(f"{verb} {counted(tally.total, 'letter')}{goal}{by_code}, then it was cut off.")
        if tally.unknown:
            say(f"Whether {counted(tally.unknown, 'more letter')} got through is not known here.")
        say("Call it again: letters that are done with are not taken twice.")

    def _line(self, found: Letter | Stranger, action: str, why: str | None) -> None:
        if self.as_json:
            told = summary(found) if isinstance(found, Letter) else {"letter": _place(found)}
            print(json_line({"action": action, **told, **({} if why is None else {"why": why})}))
        elif why is None:
            code = f"  {found.decoded.letter.code}  {found.task_id}" if isinstance(found, Letter) else ""
            print(printable_line(f"{action}  {_place(found)}{code}"))
        sys.stdout.flush()


def _place(found: Letter | Stranger) -> str:
    if isinstance(found, Letter):
        return place(found)
    return f"{found.message.partition}/{found.message.offset}"
