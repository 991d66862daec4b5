"""`themeline up`, `down`, `status`: everything that an installation runs."""

from typing import Annotated

import typer

from console.printing import JsonOption, print_columns, print_json, say
from console.supervisor import lifecycle
from console.supervisor.lifecycle import Status
from settings import Settings

DOWN = 1


def up(
    *,
    as_json: JsonOption = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end everything on Ctrl-C.")] = False,
    dev_key: Annotated[
        bool, typer.Option("--dev-key", help="Generate a secret key for the embedded database, to try things out.")
    ] = False,
    sandbox: Annotated[bool, typer.Option(help="Run the stand-in providers.")] = True,
    seconds: Annotated[float, typer.Option("--timeout", help="How many seconds to wait for everything.")] = 120.0,
) -> None:
    """Start everything that is missing, and wait until it is ready."""
    settings = Settings()
    if foreground:
        lifecycle.run_in_foreground(settings, dev_key=dev_key, sandbox=sandbox)
        return
    found, already = lifecycle.up(settings, dev_key=dev_key, sandbox=sandbox, seconds=seconds, report=say)
    if as_json:
        print_json({**found.as_json(), "already_running": already})
    else:
        _tell_up(found, already=already)


def down(*, as_json: JsonOption = False) -> None:
    """End what `up` started, and nothing else."""
    ended = lifecycle.down(Settings())
    if as_json:
        print_json({"ended": list(ended)})
    else:
        typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def status(*, as_json: JsonOption = False) -> None:
    """Show each part; the exit status is not zero if something is down."""
    found = lifecycle.status(Settings())
    if as_json:
        print_json(found.as_json())
    else:
        _tell_status(found)
    if not found.up:
        raise typer.Exit(DOWN)


def register(root: typer.Typer) -> None:
    for verb in (up, down, status):
        root.command(verb.__name__)(verb)


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
