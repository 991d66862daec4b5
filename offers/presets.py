"""The catalogue of rule presets, kept as data in presets.yaml: every version of each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from documents.shape import Findings, read_fields
from documents.source import SourceUnreadable, join_path, read_source
from offers.errors import PresetsInvalid
from offers.preset import OfferKind, Parameter, ParameterType, Preset
from offers.preset_checks import check_preset

__all__ = ["Catalogue", "OfferKind", "Parameter", "ParameterType", "Preset", "read_catalogue", "standard_catalogue"]


@dataclass(frozen=True)
class Catalogue:
    """Every version of every preset, by name and version."""

    versions: Mapping[tuple[str, int], Preset]

    @cached_property
    def presets(self) -> Mapping[str, Preset]:
        """The newest of each: what new offers are built from."""
        return {name: self.versions[name, version] for name, version in sorted(self.versions)}

    def of_kind(self, kind: OfferKind) -> Mapping[str, Preset]:
        return {name: preset for name, preset in self.presets.items() if kind in preset.kinds}

    def of(self, name: str, version: int) -> Preset | None:
        return self.versions.get((name, version))

    def of_name(self, name: str) -> Iterator[Preset]:
        return (preset for (key, _), preset in sorted(self.versions.items()) if key == name)

    def beside(self, others: Iterable[Preset]) -> "Catalogue":
        """With these as well, which count where the same version is in both."""
        return Catalogue({**self.versions, **{(one.preset, one.version): one for one in others}})


def catalogue_of(presets: Iterable[Preset]) -> Catalogue:
    return Catalogue({}).beside(presets)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    presets: Annotated[list[Any], Field(strict=True, min_length=1)]


def read_presets(text: str, *, where: str) -> list[Preset]:
    """The presets of a file, each version of one by itself.

    Args:
        text: the YAML.
        where: what the file is called.

    Raises:
        PresetsInvalid: with every problem that could be seen at once.
    """
    try:
        source = read_source(text, is_not="a catalogue of presets: the key 'presets:' is missing")
    except SourceUnreadable as unreadable:
        raise PresetsInvalid(where=where, problems=unreadable.problems) from unreadable
    findings = Findings(lines=source.lines, unread=source.problems)
    fields = read_fields(_File, source.values, at="", context=None, findings=findings)
    entries = [_read(values, f"presets[{at}]", findings) for at, values in enumerate(fields.get("presets", ()))]
    presets = [preset for preset in entries if preset is not None]
    _check_once(presets, findings)
    if problems := findings.in_order():
        raise PresetsInvalid(where=where, problems=problems)
    return presets


def read_catalogue(text: str, *, where: str = "the catalogue") -> Catalogue:
    """Raises PresetsInvalid: with every problem that could be seen at once."""
    return catalogue_of(read_presets(text, where=where))


@lru_cache
def standard_catalogue() -> Catalogue:
    """The presets that come with the project."""
    return read_catalogue(files("offers").joinpath("presets.yaml").read_text(encoding="utf-8"), where="presets.yaml")


def _read(values: object, at: str, findings: Findings) -> Preset | None:
    before = len(findings.problems)
    fields = read_fields(Preset, values, at=at, context=None, findings=findings)
    if len(findings.problems) > before:
        return None
    preset = Preset.model_construct(**fields)
    check_preset(preset, at=at, findings=findings)
    return preset


def _check_once(presets: Iterable[Preset], findings: Findings) -> None:
    seen: set[tuple[str, int]] = set()
    for at, preset in enumerate(presets):
        if (preset.preset, preset.version) in seen:
            found = f"{preset.preset} {preset.version}"
            findings.add(join_path(f"presets[{at}]", "version"), "stands there twice", found=found)
        seen.add((preset.preset, preset.version))
