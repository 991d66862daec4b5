"""`themeline codes`: what customers type to get a coupon."""

import csv
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from console.operator import operator
from console.printing import JsonOption, print_json, print_table, tell
from console.reading import opened
from console.signing import KeyArgument
from console.verbs import verb_group
from console.writing import written_whole
from models.database import Database
from offers.code_file import CodeLine, read_lines
from offers.service import codes
from offers.service.codes import Pool

app = verb_group("The codes of coupons.")
OfferArgument = Annotated[str, typer.Argument(help="The coupon, by its id in the theme.")]
_OWNER_ONLY = 0o600  # a code is worth what its coupon takes off


@app.command("generate")
def generate(
    key: KeyArgument,
    offer: OfferArgument,
    *,
    count: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many more.")],
    as_json: JsonOption = False,
) -> None:
    """Make codes, each for one person. They are shown by `export` only."""
    with Database.from_settings().begin() as session:
        found = codes.generate(session, theme_key=key, offer=offer, count=count, by=operator(), now=datetime.now(UTC))
    tell(_plain(found), f"{key}/{offer}: {count} codes made; it has {found.generated}", as_json=as_json)


@app.command("share")
def share(
    key: KeyArgument,
    offer: OfferArgument,
    code: Annotated[str, typer.Argument(help="Letters and digits; how they are spaced, and their case, mean nothing.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Let all customers get a coupon with one code; within its limits, as always."""
    with Database.from_settings().begin() as session:
        found = codes.share(session, theme_key=key, offer=offer, code=code, by=operator(), now=datetime.now(UTC))
    tell(_plain(found), f"{key}/{offer}: customers get it with {found.shared}", as_json=as_json)


@app.command("load")
def load(
    key: KeyArgument,
    offer: OfferArgument,
    file: Annotated[Path, typer.Argument(help="A code in each line, or CSV as `export` writes it.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Take codes that were made elsewhere, each for one person: all of the file that nobody has, or none."""
    lines, by, now = _lines(file), operator(), datetime.now(UTC)
    with Database.from_settings().begin() as session:
        found = codes.load(session, theme_key=key, offer=offer, lines=lines, by=by, now=now)
    left = f"; {found.left_out} of the file are somebody's and were left out" if found.left_out else ""
    told = f"{key}/{offer}: {found.loaded} codes loaded; it has {found.pool.generated}{left}"
    tell(_plain(found.pool) | {"loaded": found.loaded, "left_out": found.left_out}, told, as_json=as_json)


def _lines(file: Path) -> Iterator[CodeLine]:
    with opened(file) as source:
        yield from read_lines(source)


@app.command("list")
def list_codes(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """How many codes each coupon of a theme has, and how many of them are left."""
    with Database.from_settings().begin() as session:
        found = codes.pools(session, key)
    if as_json:
        print_json([_plain(one) for one in found])
        return
    rows = [
        (one.offer, one.shared, *((None,) * 4 if one.shared else (one.generated, one.free, one.reserved, one.claimed)))
        for one in found
    ]
    print_table(f"Codes of {key}", ["coupon", "one for all", "made", "free", "in messages", "claimed"], rows)


@app.command("export")
def export(
    key: KeyArgument,
    offer: OfferArgument,
    *,
    to: Annotated[Path, typer.Option(help="The file to write: CSV, and for your eyes only.")],
    as_json: JsonOption = False,
) -> None:
    """Write all codes of a coupon into a file, each with what became of it. Only the free ones may be given away."""
    with Database.from_settings().begin() as session:
        found = codes.export(session, theme_key=key, offer=offer)
        with written_whole(to) as target:
            os.fchmod(target.fileno(), _OWNER_ONLY)
            rows = csv.writer(target, lineterminator="\n")
            rows.writerow(["code", "state"])
            written = sum(1 for one in found if rows.writerow([one.text, one.state.value]))
    tell({"file": str(to), "codes": written}, f"{to}: {written} codes of {key}/{offer}", as_json=as_json)


def _plain(pool: Pool) -> dict[str, object]:
    return {name: getattr(pool, name) for name in (*Pool.__slots__, "claimed")}


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="codes")
