"""`themeline people`: who there is, and how they prove it."""

import getpass
import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from approval.identity import Enrolment
from approval.keys import inbox_path
from approval.secrecy import Cipher
from approval.service import people as service
from approval.service import questions
from console.commands.theme import print_waiting
from console.prefect_api import PrefectApi
from console.printing import JsonOption, print_json, print_table, tell
from console.verbs import verb_group
from models.database import Database
from models.queries import people
from settings import get_settings

app = verb_group("People, their roles and their authenticators.")

LoginArgument = Annotated[str, typer.Argument(help="The person's login.")]


def operator() -> str:
    """Who runs the command, for the record: nobody of the database, so it is marked as the machine's word."""
    return f"console:{getpass.getuser()}"


def configured_cipher() -> Cipher:
    """Raises SecretKeyMissing: without a key nothing can be kept secret."""
    key = get_settings().secret_key
    return Cipher.from_setting(key.get_secret_value() if key else None)


@app.command("add")
def add(
    login: LoginArgument,
    *,
    name: Annotated[str, typer.Option(help="How the person is addressed.")],
    email: Annotated[str | None, typer.Option()] = None,
    phone: Annotated[str | None, typer.Option()] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; repeat it for more.")] = None,
    locale: Annotated[str, typer.Option(help="en or zh: the language of briefs.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Add a person. Prints the enrolment link and a QR code, once: hand them to nobody else."""
    with Database.from_settings().begin() as session:
        enrolment = service.add_person(
            session,
            login=login,
            name=name,
            email=email,
            phone=phone,
            roles=role or [],
            locale=locale,
            by=operator(),
            cipher=configured_cipher(),
            now=datetime.now(UTC),
        )
    _show(enrolment, as_json=as_json)


@app.command("enrol")
def enrol(login: LoginArgument, *, as_json: JsonOption = False) -> None:
    """Give a person a new authenticator secret; the old one is worth nothing from then on."""
    with Database.from_settings().begin() as session:
        enrolment = service.enrol_person(
            session, login=login, by=operator(), cipher=configured_cipher(), now=datetime.now(UTC)
        )
    _show(enrolment, as_json=as_json)


@app.command("disable")
def disable(login: LoginArgument, *, as_json: JsonOption = False) -> None:
    """Take the right to decide from a person."""
    with Database.from_settings().begin() as session:
        service.disable_person(session, login=login, by=operator(), now=datetime.now(UTC))
    tell({"login": login, "disabled": True}, f"{login} is disabled", as_json=as_json)


@app.command("enable")
def enable(login: LoginArgument, *, as_json: JsonOption = False) -> None:
    """Give a person back the right to decide."""
    with Database.from_settings().begin() as session:
        service.enable_person(session, login=login, by=operator(), now=datetime.now(UTC))
    tell({"login": login, "disabled": False}, f"{login} is enabled", as_json=as_json)


@app.command("list")
def list_people(*, as_json: JsonOption = False) -> None:
    with Database.from_settings().begin() as session:
        rows = [
            {
                "login": person.login,
                "name": person.name,
                "roles": [role.role for role in person.roles],
                "locale": person.locale,
                "enrolled": person.totp_secret is not None,
                "disabled": person.disabled_at is not None,
                "locked_until": person.locked_until,
            }
            for person in people.everybody(session)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table("People", list(rows[0]) if rows else ["login"], [list(row.values()) for row in rows])


def inbox(login: LoginArgument, *, as_json: JsonOption = False) -> None:
    """The questions that wait for a person."""
    with Database.from_settings().begin() as session:
        service.require_person(session, login)
        found = questions.waiting(session, login=login)
    print_waiting(f"Inbox of {login}", found, as_json=as_json)
    if not as_json and "PREFECT_API_URL" in os.environ:
        typer.echo(f"in the Prefect UI: {PrefectApi.from_environment().ui_url}{inbox_path(login)}")


def _show(enrolment: Enrolment, *, as_json: bool) -> None:
    if as_json:
        print_json({"login": enrolment.login, "enrolment_link": enrolment.uri})
        return
    typer.echo(enrolment.qr_code())
    typer.echo(f"Enrolment link of {enrolment.login}: {enrolment.uri}")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="people")
    root.command("inbox")(inbox)
