"""Every verb refuses in one way: one message on standard error, or one JSON document, and exit status 2."""

import json
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

REFUSED = 2


class SettingsInvalid(Exception):
    """A setting has a value that cannot be used; the value is not repeated, for it may be a secret."""

    def __init__(self, *, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class VerbGroup(TyperGroup):
    """Turns what a verb may refuse into its message; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - of the click that Typer carries
        as_json = "--json" in [*ctx._protected_args, *ctx.args]  # noqa: SLF001 - click has no public name for them
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Imported only now: it knows every part of the domain, and most verbs need one.
            from console.refusals import REFUSALS  # noqa: PLC0415

            if not isinstance(error, REFUSALS):
                raise
            _tell(error, as_json=as_json)
            raise typer.Exit(REFUSED) from error


def verb_group(help_text: str) -> typer.Typer:
    return typer.Typer(
        help=help_text, cls=VerbGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False
    )


def _tell(error: Exception, *, as_json: bool) -> None:
    if as_json:
        told = {"error": {"name": type(error).__name__, "message": str(error)}}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
