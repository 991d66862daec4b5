"""`themeline inbox`: the questions that wait for a person. It is asked often, so little is imported for it."""

import os
from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer

from approval.keys import inbox_path
from approval.service.waiting import WaitingFor
from approval.service.waiting import inbox as questions_to
from console.printing import JsonOption, print_json, print_table
from models.database import Database
from settings import get_settings

_COLUMNS = ("theme", "object", "level", "asked for", "since", "due", "run")


def inbox(login: Annotated[str, typer.Argument(help="The person's login.")], *, as_json: JsonOption = False) -> None:
    """The questions that wait for a person, the longest waiting first, and where to answer them."""
    with Database.from_settings().begin() as session:
        found = questions_to(session, login)
    ui = ui_url()
    link = ui + inbox_path(login) if ui else None
    if as_json:
        print_json([{**asdict(one), "run_url": run_url(ui, one.flow_run_id), "inbox_url": link} for one in found])
        return
    print_table(f"Inbox of {login}", _COLUMNS, [_row(one, ui) for one in found])
    if link:
        typer.echo(f"in the Prefect UI: {link}")


def _row(one: WaitingFor, ui: str) -> tuple[object, ...]:
    subject, level = f"{one.object_kind} {one.object_key}", f"{one.level} {one.level_name}"
    asked_for = str(one.kind) if one.owner == one.login else f"{one.kind} for {one.owner}"
    return (
        one.theme_key,
        subject,
        level,
        asked_for,
        one.since,
        one.due_at,
        run_url(ui, one.flow_run_id) or one.flow_run_id,
    )


def run_url(ui: str, flow_run_id: UUID | None) -> str | None:
    return f"{ui}/runs/flow-run/{flow_run_id}" if ui and flow_run_id else None


def ui_url() -> str:
    """Where people reach Prefect's UI, without a password that the API's address may hold; "" where nobody says."""
    said = get_settings().prefect_ui_url or os.environ.get("PREFECT_API_URL", "")
    parts = urlsplit(said.rstrip("/").removesuffix("/api"))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def register(root: typer.Typer) -> None:
    root.command("inbox")(inbox)
