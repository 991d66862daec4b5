"""Small real flows for the tests of `themeline up`."""

import os
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run as current_run


class Answer(RunInput):
    word: str


def note(line: str) -> None:
    with (Path(os.environ["THEMELINE_STATE_DIR"]) / "trial.log").open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(tz=UTC).timestamp()} {current_run.id} {os.getpid()} {line}\n")


@flow
def trial_question() -> str:
    """Asks for a word, and ends with it."""
    note("asked")
    answer = suspend_flow_run(wait_for_input=Answer, key="word", timeout=None)
    note(f"answered {answer.word}")
    return answer.word


@flow
def trial_sender(words: int = 1) -> int:
    """Runs on the process worker."""
    note(f"sent {words}")
    return words
