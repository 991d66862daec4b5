"""`themeline` in this process, over a database of the test's own and without Prefect."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner, Result

from approval.secrecy import new_key
from console.cli import add_commands, app

__all__ = ["CommandLine", "app", "environment_of"]

add_commands()


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What is no refusal is raised here: a user would see a traceback."""

    environment: Mapping[str, str]

    def run(self, *words: str, **variables: str | None) -> Result:
        return CliRunner(env={**self.environment, **variables}).invoke(app, list(words), catch_exceptions=False)

    def json(self, *words: str, **variables: str | None) -> Any:
        outcome = self.run(*words, "--json", **variables)
        assert outcome.exit_code == 0, f"{words}: {outcome.stdout}\n{outcome.stderr}"
        return json.loads(outcome.stdout)

    def refusal(self, *words: str, **variables: str | None) -> str:
        """The one message with which a verb refuses, the same for people and for programs."""
        outcome = self.run(*words, **variables)
        assert (outcome.exit_code, outcome.stdout) == (2, ""), f"{words}: {outcome.stdout}\n{outcome.stderr}"
        told = json.loads(self.run(*words, "--json", **variables).stdout)["error"]
        assert outcome.stderr == f"error: {told['message']}\n"
        return str(told["message"])


def environment_of(database_url: str, state_dir: object) -> dict[str, str]:
    return {
        "THEMELINE_STATE_DIR": str(state_dir),
        "THEMELINE_DATABASE_URL": database_url,
        "THEMELINE_SECRET_KEY": new_key(),
    }
