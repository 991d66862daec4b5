"""`themeline policy`: who must say yes, as a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from approval.service import policies
from console.operator import operator
from console.printing import JsonOption, print_json, print_table
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database
from models.queries import approvals

app = verb_group("Approval policies.")


@app.command("apply")
def apply(file: Annotated[Path, typer.Argument(help="The policy file.")], *, as_json: JsonOption = False) -> None:
    """Make a policy file the newest version of its policy. Rounds that are open keep theirs."""
    text = read_text(file)
    with Database.from_settings().begin() as session:
        row = policies.apply_policy(session, text=text, by=operator(), now=datetime.now(UTC))
        found = {"policy": row.key, "version": row.version, "hash": row.hash}
    if as_json:
        print_json(found)
    else:
        typer.echo(f"policy {found['policy']} is at version {found['version']} ({found['hash']})")


@app.command("list")
def list_policies(*, as_json: JsonOption = False) -> None:
    with Database.from_settings().begin() as session:
        rows = [policies.policy_for(session, key) for key in approvals.policy_keys(session)]
        found = [{"policy": row.key, "version": row.version, "hash": row.hash, "at": row.applied_at} for row in rows]
    if as_json:
        print_json(found)
    else:
        print_table("Policies", ["policy", "version", "hash", "applied"], [list(row.values()) for row in found])


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="policy")
