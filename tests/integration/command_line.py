"""`themeline` in this process, over a database of the test's own and without Prefect."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import Result

from approval.secrecy import new_key
from console.cli import app
from models.database import Database
from settings import get_settings
from tests.commands import invoke

__all__ = ["CommandLine", "app", "command_line_over", "environment_of"]


@dataclass(frozen=True, slots=True)
class CommandLine:
    environment: Mapping[str, str]

    def run(self, *words: str, **variables: str | None) -> Result:
        return invoke(words, {**self.environment, **variables})

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


@contextmanager
def command_line_over(database: Database, folder: Path, **variables: str) -> Iterator[CommandLine]:
    url = database.engine.url.render_as_string(hide_password=False)
    yield CommandLine({**environment_of(url, folder / "state"), **variables})
    get_settings.cache_clear()
