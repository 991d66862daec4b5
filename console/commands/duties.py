"""The verbs of `themeline people` for what a person may do, and who stands above or in for her."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from approval.service import people as service
from console.operator import operator
from console.printing import JsonOption, tell
from console.reading import read_instant
from console.refusals import OptionInvalid
from models.database import Database

LoginArgument = Annotated[str, typer.Argument(help="The person's login.")]
RoleArgument = Annotated[str, typer.Argument(help="The role, as policies name it after `role:`.")]


def grant(login: LoginArgument, role: RoleArgument, *, as_json: JsonOption = False) -> None:
    """Give a person a role. Questions that are open already stay with those who were asked."""
    with Database.from_settings().begin() as session:
        new = service.grant_role(session, login=login, role=role, by=operator(), now=datetime.now(UTC))
    line = f"{login} has the role {role}" + ("" if new else " already")
    tell({"login": login, "role": role, "granted": new}, line, as_json=as_json)


def revoke(login: LoginArgument, role: RoleArgument, *, as_json: JsonOption = False) -> None:
    """Take a role from a person."""
    with Database.from_settings().begin() as session:
        service.revoke_role(session, login=login, role=role, by=operator(), now=datetime.now(UTC))
    tell({"login": login, "role": role, "revoked": True}, f"{login} has the role {role} no more", as_json=as_json)


def manager(
    login: LoginArgument,
    manager: Annotated[str | None, typer.Argument(help="The manager's login.")] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="The person has no manager any more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say who is above a person: whom questions escalate to."""
    if none == (manager is not None):
        raise OptionInvalid("name the manager's login, or give --none")
    with Database.from_settings().begin() as session:
        service.set_manager(session, login=login, manager=manager, by=operator(), now=datetime.now(UTC))
    line = f"{manager} is the manager of {login}" if manager else f"{login} has no manager"
    tell({"login": login, "manager": manager}, line, as_json=as_json)


def limit(
    login: LoginArgument,
    product_lines: Annotated[list[str] | None, typer.Argument(help="Product lines; none for all of them.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Limit a person to product lines: elsewhere she may neither decide nor act. Without any she may everywhere."""
    wanted = sorted(set(product_lines or []))
    with Database.from_settings().begin() as session:
        service.limit_to_lines(session, login=login, product_lines=wanted, by=operator(), now=datetime.now(UTC))
    where = f"is limited to {', '.join(wanted)}" if wanted else "may act on all product lines"
    tell({"login": login, "product_lines": wanted}, f"{login} {where}", as_json=as_json)


def substitute(
    login: LoginArgument,
    by: Annotated[str, typer.Argument(help="The login of who stands in.")],
    *,
    begin: Annotated[str, typer.Option("--from", help="Since when, as 2027-03-01T09:00+00:00.")],
    until: Annotated[str, typer.Option(help="Until when; not part of it.")],
    as_json: JsonOption = False,
) -> None:
    """Put questions that open for a person in a time to somebody else, who decides on her behalf."""
    starts_at, ends_at = read_instant("--from", begin), read_instant("--until", until)
    with Database.from_settings().begin() as session:
        service.set_substitute(
            session,
            login=login,
            substitute=by,
            starts_at=starts_at,
            ends_at=ends_at,
            by=operator(),
            now=datetime.now(UTC),
        )
    told = {"login": login, "substitute": by, "from": starts_at.isoformat(), "until": ends_at.isoformat()}
    line = f"{by} stands in for {login} from {starts_at.isoformat()} until {ends_at.isoformat()}"
    tell(told, line, as_json=as_json)


def end_substitute(
    login: LoginArgument,
    by: Annotated[str | None, typer.Argument(help="Only this one; without, all of them.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """End a substitution now, or call off one that was set for later. Questions put meanwhile stay where they are."""
    with Database.from_settings().begin() as session:
        ended = service.end_substitute(session, login=login, substitute=by, by=operator(), now=datetime.now(UTC))
    line = f"{', '.join(ended)} no longer stand{'s' if len(ended) == 1 else ''} in for {login}"
    tell({"login": login, "ended": list(ended)}, line, as_json=as_json)


def add_verbs(app: typer.Typer) -> None:
    for verb in (grant, revoke, manager, limit, substitute, end_substitute):
        app.command(verb.__name__.replace("_", "-"))(verb)
