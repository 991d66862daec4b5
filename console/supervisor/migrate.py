"""Brings the database up to date: `python -m console.supervisor.migrate [--grant-to ROLE]`.

The address comes from THEMELINE_DATABASE_URL. With `--grant-to` it is that of the role that owns the tables, and the
role named, which the application works as, is given what it needs and no more: it cannot change the audit.
"""

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m console.supervisor.migrate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--grant-to", metavar="ROLE", help="the role that the application works as; it must exist")
    parser.add_argument("--embedded-owner", metavar="FILE", type=Path, help="the owner's password on our own server")
    arguments = parser.parse_args()
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - a missing package is this step's failure, and told

    from models.roles import RoleMissing, RoleTooPowerful  # noqa: PLC0415 - the same

    url = os.environ["THEMELINE_DATABASE_URL"]
    try:
        if arguments.embedded_owner:
            _migrate_embedded(url, arguments.embedded_owner.read_text(encoding="utf-8").strip())
        else:
            _migrate(url, arguments.grant_to)
    except (RoleMissing, RoleTooPowerful) as refused:
        return _failed(str(refused))
    except SQLAlchemyError as error:
        return _failed(_reason(error))
    sys.stdout.write("the database is up to date\n")
    return 0


def _migrate(url: str, role: str | None) -> None:
    from models import database, roles  # noqa: PLC0415 - the same

    database.upgrade(url)
    if role:
        roles.grant(url, role)


def _migrate_embedded(url: str, owner_password: str) -> None:
    """As the owner of everything, whom nothing else speaks for; then the role of the address is made and granted to."""
    from sqlalchemy import make_url  # noqa: PLC0415 - the same

    from console.supervisor.passwords import scram_verifier  # noqa: PLC0415 - the same
    from models import roles  # noqa: PLC0415 - the same

    ours = make_url(url)
    owner = ours.set(username="postgres", password=owner_password).render_as_string(hide_password=False)
    roles.create_database(owner)
    roles.ensure_role(owner, str(ours.username), verifier=scram_verifier(str(ours.password)))
    _migrate(owner, str(ours.username))


def _reason(error: Exception) -> str:
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    if getattr(getattr(error, "orig", None), "pgcode", None) == "42501":  # insufficient privilege
        reason += (
            "; the role of THEMELINE_DATABASE_URL may not migrate: run `python -m console.supervisor.migrate "
            "--grant-to` that role with the address of the role that owns the tables, then `themeline up`"
        )
    return f"the database could not be migrated: {reason}"


def _failed(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
