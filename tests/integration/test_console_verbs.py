"""What holds for every verb of the command line."""

from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from tests.integration.command_line import app

#: It tells a story, and is no verb that a program would call.
NO_JSON = {"demo"}


def verbs(group: TyperGroup, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every verb and its options."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from verbs(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", {option for parameter in command.params for option in parameter.opts}


def every_verb() -> dict[str, set[str]]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(verbs(group))


def test_every_verb_can_answer_with_json() -> None:
    assert {verb for verb, options in every_verb().items() if "--json" not in options} == NO_JSON


def test_verbs_that_need_a_signature_ask_for_login_and_code() -> None:
    signed = {verb.removeprefix("theme ") for verb, options in every_verb().items() if "--code" in options}
    assert signed == {
        *("draft", "submit", "withdraw", "recall", "takedown", "pause", "resume", "launch-now", "move-start", "drop"),
        *("approve", "return", "reject", "take-back"),
        *("delegate", "transfer", "add-signer", "remove-signer", "override"),
    }
    assert all("--login" in every_verb()[f"theme {verb}"] for verb in signed)
