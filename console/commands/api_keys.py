"""`themeline api-keys`: who may ask the HTTP API, for which product line, through which channel, how often."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from console.operator import operator
from console.printing import JsonOption, print_json, print_table, say, tell
from console.verbs import verb_group
from models.database import Database
from offers.service import api_keys
from themes.theme import RedeemIn

app = verb_group("Keys of the HTTP API.")

LineArgument = Annotated[str, typer.Argument(metavar="PRODUCT_LINE", help="The product line's key.")]
NameOption = Annotated[str, typer.Option(help="What the key is called among those of its product line.")]


@app.command("create")
def create(
    product_line: LineArgument,
    *,
    name: NameOption,
    channel: Annotated[RedeemIn, typer.Option(help="Through which its claims and redemptions come.")],
    per_second: Annotated[int, typer.Option(help="Requests; more are told to come back.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Make a key. Its secret is shown now and never again: only its hash is kept."""
    with Database.from_settings().begin() as session:
        secret = api_keys.create_key(
            session,
            product_line=product_line,
            name=name,
            channel=channel,
            per_second=per_second,
            by=operator(),
            now=datetime.now(UTC),
        )
    if not as_json:
        say(f"the secret of {name}, shown this once:")
    tell({"product_line": product_line, "name": name, "secret": secret}, secret, as_json=as_json)


@app.command("list")
def list_keys(*, as_json: JsonOption = False) -> None:
    """All keys, revoked ones among them; without their secrets, which nobody has."""
    with Database.from_settings().begin() as session:
        found = api_keys.keys(session)
    if as_json:
        print_json(found)
        return
    columns = ["product line", "name", "channel", "a second", "made by", "made at", "revoked by", "revoked at"]
    print_table("API keys", columns, [_row(one) for one in found])


@app.command("revoke")
def revoke(product_line: LineArgument, *, name: NameOption, as_json: JsonOption = False) -> None:
    """Let a key be refused from now on: within 5 seconds, wherever the API is served."""
    with Database.from_settings().begin() as session:
        found = api_keys.revoke_key(session, product_line=product_line, name=name, by=operator(), now=datetime.now(UTC))
    tell(found, f"key {found.name} of {found.product_line} is revoked", as_json=as_json)


def _row(one: api_keys.KeyReport) -> tuple[object, ...]:
    made = f"{one.created_at:%F %T %Z}"
    revoked = f"{one.revoked_at:%F %T %Z}" if one.revoked_at else None
    return one.product_line, one.name, one.channel, one.per_second, one.created_by, made, one.revoked_by, revoked


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="api-keys")
