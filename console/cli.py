"""The command `themeline`."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Annotated

import typer

from console import commands
from console.output import FAILED, emit, fail, print_columns, say
from console.supervisor import lifecycle
from console.supervisor.environment import apply_environment
from console.supervisor.errors import SupervisorError
from console.supervisor.lifecycle import Status
from settings import Settings, get_settings

app = typer.Typer(
    name="themeline",
    help="Approval and distribution of marketing themes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

_OWN_VERBS = frozenset({"up", "down", "status"})
_GROUPS = {"import_retail": "import"}

Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]


@app.command()
def up(
    *,
    as_json: Json = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end everything on Ctrl-C.")] = False,
    dev_key: Annotated[
        bool, typer.Option("--dev-key", help="Generate a secret key for the embedded database, to try things out.")
    ] = False,
    sandbox: Annotated[bool, typer.Option(help="Run the stand-in providers.")] = True,
    seconds: Annotated[float, typer.Option("--timeout", help="How many seconds to wait for everything.")] = 120.0,
) -> None:
    """Start everything that is missing, and wait until it is ready."""
    settings = Settings()
    try:
        if foreground:
            lifecycle.run_in_foreground(settings, dev_key=dev_key, sandbox=sandbox)
            return
        status, already = lifecycle.up(settings, dev_key=dev_key, sandbox=sandbox, seconds=seconds, report=say)
    except SupervisorError as error:
        fail(error, as_json=as_json)
    emit(
        {**status.as_json(), "already_running": already},
        as_json=as_json,
        human=lambda: _tell_up(status, already=already),
    )


@app.command()
def down(*, as_json: Json = False) -> None:
    """End what `up` started, and nothing else."""
    try:
        ended = lifecycle.down(Settings())
    except SupervisorError as error:
        fail(error, as_json=as_json)
    emit(
        {"ended": list(ended)},
        as_json=as_json,
        human=lambda: typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running"),
    )


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show each part; the exit status is not zero if something is down."""
    found = lifecycle.status(Settings())
    emit(found.as_json(), as_json=as_json, human=lambda: _tell_status(found))
    if not found.up:
        raise typer.Exit(FAILED)


def _tell_up(found: Status, *, already: bool) -> None:
    typer.echo("everything was running already" if already else "everything runs")
    _tell_status(found)
    if found.secret_key == "unset":  # noqa: S105 - a word, not a key
        typer.echo(
            "THEMELINE_SECRET_KEY is not set: approval will not start. Set it to a key of your own, "
            "or try things out with `themeline up --dev-key`."
        )


def _tell_status(found: Status) -> None:
    if not found.parts:
        typer.echo(f"nothing runs from {found.state_dir}: start it with `themeline up`")
        return
    rows = [("part", "state", "pid", "address"), ("supervisor", *found.supervisor.values(), found.state_dir)]
    print_columns([*rows, *((part["name"], part["state"], part["pid"], part["address"]) for part in found.parts)])
    for part in found.parts:
        if part["message"]:
            typer.echo(f"{part['name']}: {part['message']}")


def add_commands(only: str | None = None) -> None:
    """Each module of console.commands has an `app`: a group of verbs, called as the module unless listed above.

    With `only`, no other group is imported: a command then starts as fast as its own group allows.
    """
    found = {_GROUPS.get(module.name, module.name.replace("_", "-")): module.name for module in iter_modules(commands)}
    for group, module in found.items():
        if only not in found or group == only:
            app.add_typer(importlib.import_module(f"{commands.__name__}.{module}").app, name=group)


def iter_modules(package: ModuleType) -> Iterator[pkgutil.ModuleInfo]:
    return pkgutil.iter_modules(package.__path__)


@app.callback()
def connect(context: typer.Context) -> None:
    """Connect to the installation of the state directory, where the environment does not say otherwise."""
    if context.invoked_subcommand not in _OWN_VERBS:
        apply_environment(Settings().state_dir)
        get_settings.cache_clear()


def main() -> None:
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if verb not in _OWN_VERBS:
        add_commands(only=verb)
    app()


if __name__ == "__main__":
    main()
