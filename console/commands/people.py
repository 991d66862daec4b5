"""`themeline people`: who there is, and how they prove it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from approval.contact import Contact
from approval.identity import Enrolment
from approval.secrecy import Cipher
from approval.service import people as service
from approval.service.rotation import rotate_batch
from console.commands import duties
from console.operator import operator
from console.printing import JsonOption, print_json, print_table, say, tell
from console.refusals import OptionInvalid
from console.verbs import verb_group
from models.database import Database
from models.queries.secrets import Secrets
from settings import get_settings

app = verb_group("People, their roles and their authenticators.")

UNREADABLE = 1
LoginArgument = Annotated[str, typer.Argument(help="The person's login.")]


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
    manager: Annotated[str | None, typer.Option(help="The login of who is above.")] = None,
    product_line: Annotated[list[str] | None, typer.Option(help="A limit; repeat it for more; none for all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a person. Prints the enrolment link and a QR code, once: hand them to nobody else."""
    by, now = operator(), datetime.now(UTC)
    with Database.from_settings().begin() as session:
        enrolment = service.add_person(
            session,
            login=login,
            name=name,
            email=email,
            phone=phone,
            roles=role or [],
            locale=locale,
            by=by,
            cipher=configured_cipher(),
            now=now,
        )
        if manager:
            service.set_manager(session, login=login, manager=manager, by=by, now=now)
        if product_line:
            service.limit_to_lines(session, login=login, product_lines=product_line, by=by, now=now)
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


@app.command("unlock")
def unlock(login: LoginArgument, *, as_json: JsonOption = False) -> None:
    """Lift the lock that too many wrong codes have put on a person."""
    with Database.from_settings().begin() as session:
        service.unlock_person(session, login=login, by=operator(), now=datetime.now(UTC))
    tell({"login": login, "locked_until": None}, f"{login} is not locked", as_json=as_json)


@app.command("change")
def change(
    login: LoginArgument,
    *,
    name: Annotated[str | None, typer.Option(help="How the person is addressed.")] = None,
    email: Annotated[str | None, typer.Option(help='Where reminders go; "" for none.')] = None,
    phone: Annotated[str | None, typer.Option(help='With its country, as +44…; "" for none.')] = None,
    locale: Annotated[str | None, typer.Option(help="en or zh: the language of briefs.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change particulars of a person. What she signed before keeps the name of then."""
    wanted = Contact(name=name, email=email, phone=phone, locale=locale)
    if wanted == Contact():
        raise OptionInvalid("nothing to change: give --name, --email, --phone or --locale")
    with Database.from_settings().begin() as session:
        changed = service.change_person(session, login=login, changes=wanted, by=operator(), now=datetime.now(UTC))
    line = f"{login}: changed {', '.join(changed)}" if changed else f"{login} was so already"
    tell({"login": login, "changed": list(changed)}, line, as_json=as_json)


@app.command("rotate-key")
def rotate_key(
    *,
    batch: Annotated[int, typer.Option(min=1, help="How many secrets one transaction puts under the new key.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Put every stored secret under the first key of THEMELINE_SECRET_KEY; after that the older keys can go."""
    cipher, database = configured_cipher(), Database.from_settings()
    done = [_rotate(database, kept, cipher, batch) for kept in Secrets]
    told = {kept.value: figures for kept, figures in zip(Secrets, done, strict=True)}
    lost = {kept: figures["unreadable"] for kept, figures in told.items() if figures["unreadable"]}
    if as_json:
        print_json(told)
    else:
        for kept, figures in told.items():
            typer.echo(f"{kept}: {figures['rewritten']} put under the newest key, {figures['current']} were already")
        for kept, names in lost.items():
            say(f"{kept}: no key opens the secrets of {', '.join(names)}: enrol or apply them anew")
    if lost:
        raise typer.Exit(UNREADABLE)


def _rotate(database: Database, kept: Secrets, cipher: Cipher, batch: int) -> Mapping[str, Any]:
    """One transaction a batch: whatever was done stays done when this is interrupted."""
    rewritten, current, unreadable = 0, 0, list[str]()
    after: int | None = 0
    while after is not None:
        with database.begin() as session:
            done = rotate_batch(
                session, kept=kept, cipher=cipher, after_id=after, limit=batch, by=operator(), now=datetime.now(UTC)
            )
        rewritten, current, after = rewritten + done.rewritten, current + done.current, done.last_id
        unreadable += done.unreadable
    return {"rewritten": rewritten, "current": current, "unreadable": unreadable}


@app.command("list")
def list_people(*, as_json: JsonOption = False) -> None:
    with Database.from_settings().begin() as session:
        rows = [_row(person) for person in service.roster(session, now=datetime.now(UTC))]
    if as_json:
        print_json(rows)
    else:
        cells = [[_cell(value) for value in row.values()] for row in rows]
        print_table("People", [word.replace("_", " ") for word in rows[0]] if rows else ["login"], cells)


def _row(entry: service.RosterEntry) -> dict[str, Any]:
    person = entry.person
    return {
        "login": person.login,
        "name": person.name,
        "roles": [role.role for role in person.roles],
        "locale": person.locale,
        "enrolled": person.totp_secret is not None,
        "disabled": person.disabled_at is not None,
        "locked_until": person.locked_until,
        "manager": entry.manager,
        "product_lines": list(entry.product_lines),
        "substitutes": [
            {"login": login, "from": one.starts_at.isoformat(), "until": one.ends_at.isoformat()}
            for one, login in entry.substitutes
        ],
    }


def _cell(value: object) -> object:
    if not isinstance(value, list):
        return value
    return ", ".join(
        f"{one['login']} {one['from']}/{one['until']}" if isinstance(one, dict) else str(one) for one in value
    )


def _show(enrolment: Enrolment, *, as_json: bool) -> None:
    if as_json:
        print_json({"login": enrolment.login, "enrolment_link": enrolment.uri})
        return
    typer.echo(enrolment.qr_code())
    typer.echo(f"Enrolment link of {enrolment.login}: {enrolment.uri}")


duties.add_verbs(app)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="people")
