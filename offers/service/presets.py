"""Rule presets: those that come with the project, and beside them what was applied."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from models.preset import RulePreset
from models.queries import presets as rows
from offers.errors import PresetUnknown, PresetVersionTaken
from offers.preset import Preset
from offers.presets import Catalogue, read_presets, standard_catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    preset: str
    version: int
    hash: str
    changed: bool  # False: it was there already, and says the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A version of a preset, and where it comes from. `by` and `at` None: it comes with the project."""

    preset: Preset
    newest: bool
    by: str | None
    at: datetime | None


def catalogue_of(session: Session) -> Catalogue:
    """What offers may be built from, and all that they were built from before."""
    return _beside_the_standard(rows.applied(session))


def _beside_the_standard(found: Sequence[RulePreset]) -> Catalogue:
    """What was applied counts also where a later release brings another preset of that name and version."""
    standard = standard_catalogue()
    return standard.beside(map(read, found)) if found else standard


def apply_presets(session: Session, *, text: str, where: str, by: str, now: datetime) -> Sequence[Applied]:
    """Let the presets of a file be there for new offers; all of the file, or none. The same again changes nothing.

    Raises:
        PresetsInvalid: with every problem of the file.
        PresetVersionTaken: a version that is there already says otherwise.
    """
    return [_apply(session, preset, by=by, now=now) for preset in read_presets(text, where=where)]


def known_presets(session: Session) -> Sequence[Known]:
    """Every version of every preset, by name and version."""
    found = rows.applied(session)
    catalogue, stored = _beside_the_standard(found), {(row.name, row.version): row for row in found}
    return [
        Known(
            preset=preset,
            newest=catalogue.presets[preset.preset] is preset,
            by=stored[key].applied_by if key in stored else None,
            at=stored[key].applied_at if key in stored else None,
        )
        for key, preset in sorted(catalogue.versions.items())
    ]


def one_preset(session: Session, name: str, version: int | None = None) -> Known:
    """A version of a preset, the newest unless told.

    Raises:
        PresetUnknown
    """
    found = known_presets(session)
    fits = [one for one in found if one.preset.preset == name and version in {None, one.preset.version}]
    if not fits:
        raise PresetUnknown(preset=name, version=version, known=sorted({one.preset.preset for one in found}))
    return fits[-1]


def read(row: RulePreset) -> Preset:
    return _read(row.content)


@lru_cache(maxsize=256)
def _read(content: str) -> Preset:
    """A version never changes, and each draft reads them all."""
    return Preset.model_validate_json(content)


def _apply(session: Session, preset: Preset, *, by: str, now: datetime) -> Applied:
    name, version = preset.preset, preset.version
    there = standard_catalogue().of(name, version)
    added = there is None and rows.add_if_missing(
        session,
        name=name,
        version=version,
        content=json.dumps(preset.content(), ensure_ascii=False),
        content_hash=preset.hash,
        by=by,
        now=now,
    )
    if not added:
        _require_same(session, preset, there or _stored(session, name, version))
        return Applied(preset=name, version=version, hash=preset.hash, changed=False)
    write_down(
        session,
        Act(
            act="apply_preset",
            actor=by,
            object_kind="preset",
            object_key=name,
            object_hash=preset.hash,
            details={"version": version},
        ),
        now=now,
    )
    return Applied(preset=name, version=version, hash=preset.hash, changed=True)


def _stored(session: Session, name: str, version: int) -> Preset:
    row = rows.find(session, name, version)
    if row is None:
        raise LookupError(f"{name} {version}")  # it was there when it was to be added, and nothing takes it away
    return read(row)


def _require_same(session: Session, preset: Preset, there: Preset) -> None:
    if preset.hash != there.hash:
        taken = [one.version for one in catalogue_of(session).of_name(preset.preset)]
        differs = sorted(_differs(there.content(), preset.content()))
        raise PresetVersionTaken(preset=preset.preset, version=preset.version, differs=differs, free=max(taken) + 1)


def _differs(one: object, other: object, path: str = "") -> Iterator[str]:
    """The places at which two contents differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {*one, *other}:
            yield from _differs(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (was, now) in enumerate(zip(one, other, strict=True)):
            yield from _differs(was, now, f"{path}[{at}]")
    elif one != other:
        yield path
