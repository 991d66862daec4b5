"""`themeline presets`: the rules that offers are built from."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from console.operator import operator
from console.printing import JsonOption, print_json, print_table
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database
from offers.preset import OfferKind, Parameter, Preset
from offers.preset_schema import json_schema
from offers.service.presets import Known, apply_presets, known_presets, one_preset

app = verb_group("The rule presets that offers are built from.")


@app.command("list")
def list_presets(
    *,
    every_version: Annotated[bool, typer.Option("--all", help="Older versions as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The presets that new offers can use, and where they come from."""
    with Database.from_settings().begin() as session:
        found = [one for one in known_presets(session) if every_version or one.newest]
    if as_json:
        print_json([_brief(one) for one in found])
        return
    rows = [(one.preset.preset, one.preset.version, one.preset.title.en, one.preset.title.zh,
             ", ".join(sorted(one.preset.kinds)), _origin(one)) for one in found]  # fmt: skip
    print_table("Rule presets", ["preset", "version", "English", "中文", "for", "from"], rows)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The preset.")],
    *,
    version: Annotated[int | None, typer.Option(min=1, help="The newest unless told.")] = None,
    as_json: JsonOption = False,
) -> None:
    """One preset: its parameters, what an offer of it does, and how that reads. With --json its JSON Schema as well."""
    with Database.from_settings().begin() as session:
        found = one_preset(session, name, version)
    preset = found.preset
    if as_json:
        print_json({**_brief(found), "schema": json_schema(preset), "content": preset.content()})
        return
    typer.echo(f"{preset.preset}, version {preset.version}: {preset.title.en} · {preset.title.zh}")
    typer.echo(f"for {' and '.join(sorted(preset.kinds))}, {_origin(found)}")
    print_table("", ["parameter", "type", "given", "what"], list(_parameters(preset)))
    if preset.either:
        typer.echo(f"either {', or '.join(' and '.join(group) for group in preset.either)}")
    if OfferKind.COUPON in preset.kinds:
        typer.echo(f"coupons of it are claimed by {preset.claim.by}{_whose(preset)}")
    print_table("", ["where", "reads", "中文"], list(_rules(preset)))


@app.command("apply")
def apply(file: Annotated[Path, typer.Argument(help="The presets file.")], *, as_json: JsonOption = False) -> None:
    """Let the presets of a file be there for new offers. Offers keep the version they were drafted with."""
    text = read_text(file)
    with Database.from_settings().begin() as session:
        found = apply_presets(session, text=text, where=str(file), by=operator(), now=datetime.now(UTC))
    if as_json:
        print_json(found)
    else:
        rows = [(one.preset, one.version, one.hash, "applied" if one.changed else "as before") for one in found]
        print_table("Presets applied", ["preset", "version", "hash", ""], rows)


def _brief(known: Known) -> dict[str, object]:
    preset = known.preset
    return {
        "preset": preset.preset,
        "version": preset.version,
        "newest": known.newest,
        "title": preset.title.model_dump(),
        "kinds": sorted(preset.kinds),
        "hash": preset.hash,
        "applied_by": known.by,
        "applied_at": known.at,
    }


def _origin(known: Known) -> str:
    return "the project" if known.at is None else f"{known.by} at {known.at:%Y-%m-%d %H:%M %Z}"


def _whose(preset: Preset) -> str:
    return ", by newcomers alone" if preset.claim.newcomers else ""


def _parameters(preset: Preset) -> Iterator[tuple[str, str, str, str]]:
    for name, parameter in preset.parameters.items():
        yield name, _type(parameter), _given(parameter), parameter.about
        for inner, field in parameter.fields.items():
            yield f"  {inner}", _type(field), _given(field), field.about


def _type(parameter: Parameter) -> str:
    choices = f": {', '.join(parameter.choices)}" if parameter.choices else ""
    return f"{parameter.type}{choices}" + (f" from {parameter.min}" if parameter.min > 1 else "")


def _given(parameter: Parameter) -> str:
    if parameter.default is not None:
        return f"else {str(parameter.default).lower()}"
    return "always" if parameter.must_be_given else ""


def _rules(preset: Preset) -> Iterator[tuple[str, str, str]]:
    for rule in preset.rules:
        where = f"given {', '.join(rule.given)}" if rule.given else "else" if len(preset.rules) > 1 else "always"
        yield where, rule.reads.en, rule.reads.zh
        if rule.reads.each is not None:
            yield "  each step", rule.reads.each.en, rule.reads.each.zh


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="presets")
