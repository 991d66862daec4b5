"""Offers as a theme file has them: the common keys, and beside them the parameters of a preset."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from documents.problem import did_you_mean, listed
from documents.shape import Findings, read_fields
from documents.source import join_path
from offers.errors import OfferError
from offers.preset import OfferKind, Parameter, ParameterType, Preset
from offers.preset_rule import Common, rule_of
from offers.presets import Catalogue
from offers.refund import RefundPolicy
from themes.notation import Amount, Count, Flag, Key, Line, Notation, Percentage, Text
from themes.offer_rule import plain_terms
from themes.theme import Keys, Offer, PerChannel, Period, RedeemIn, Scope, Validity

EVERYTHING = Scope.model_validate({"all": True})


class OfferFile(BaseModel):
    """The keys that every offer may have."""

    model_config = ConfigDict(extra="forbid")

    id: Key
    preset: Key
    name: Line
    description: Text | None = None
    scope: Scope = EVERYTHING
    total: Count | None = None
    per_customer: Count | None = None
    per_day: Count | None = None
    per_customer_day: Count | None = None
    per_channel: PerChannel = Field(default_factory=dict)
    budget: Amount | None = None
    redeem_in: tuple[RedeemIn, ...] = ()
    priority: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    exclusive: Flag = False
    only_undiscounted: Flag = False
    given_back: Flag = True
    refund: RefundPolicy = RefundPolicy.PRORATED


class CouponFile(OfferFile):
    """What is claimed may have a claim period, and a validity of its own."""

    claim: Period | None = None
    valid: Validity | None = None


class ActivityFile(OfferFile):
    """An activity applies by itself: it has a period, and nothing to claim."""

    valid: Period | None = None


_FILES: Mapping[OfferKind, type[OfferFile]] = {OfferKind.COUPON: CouponFile, OfferKind.ACTIVITY: ActivityFile}
_TYPES: Mapping[ParameterType, Any] = MappingProxyType(
    {
        ParameterType.MONEY: Amount,
        ParameterType.PERCENT: Percentage,
        ParameterType.FLAG: Flag,
        ParameterType.TEXT: Text,
        ParameterType.PRODUCTS: Annotated[Keys, Field(min_length=1)],
        ParameterType.COUPONS: Annotated[Keys, Field(min_length=1)],
        ParameterType.SCOPE: Scope,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOffer:
    """What could be read of one offer: the fields that are right, even where others are not."""

    kind: OfferKind
    path: str
    preset: Preset | None
    fields: Mapping[str, Any]

    @property
    def id(self) -> str | None:
        return self.fields.get("id")

    def parameters(self) -> dict[str, Any]:
        names = self.preset.parameters if self.preset else ()
        given = {name: self.fields[name] for name in names if self.fields.get(name) is not None}
        return {name: _plain(value) for name, value in given.items()}


def read_offer(
    values: object, *, kind: OfferKind, at: str, notation: Notation, catalogue: Catalogue, findings: Findings
) -> ReadOffer:
    presets = catalogue.of_kind(kind)
    name = values.get("preset") if isinstance(values, Mapping) else None
    preset = presets.get(name) if isinstance(name, str) else None
    if preset is not None and isinstance(name, str):
        fields = _read_with(preset, values, kind=kind, at=at, notation=notation, findings=findings)
    else:
        fields = _read_without_preset(
            values, kind=kind, at=at, notation=notation, catalogue=catalogue, findings=findings
        )
    return ReadOffer(kind=kind, path=at, preset=preset, fields=fields)


def _read_with(
    preset: Preset, values: object, *, kind: OfferKind, at: str, notation: Notation, findings: Findings
) -> dict[str, Any]:
    before = len(findings.problems)
    fields = read_fields(_model(kind, _Held(preset)), values, at=at, context=notation, findings=findings)
    _check_alternatives(preset, values, at=at, findings=findings)
    if preset.has_own_scope and isinstance(values, Mapping) and "scope" in values:
        own = listed(list(preset.of_type(ParameterType.SCOPE)))
        findings.add(join_path(at, "scope"), f"would have no effect: what it is for stands in {own}; leave it out")
    if len(findings.problems) == before:
        _check_rule(preset, fields, kind=kind, at=at, findings=findings)
    return fields


def _check_rule(preset: Preset, fields: Mapping[str, Any], *, kind: OfferKind, at: str, findings: Findings) -> None:
    """Whether its terms make a rule: a ladder may not fall."""
    given = {name: fields[name] for name in preset.parameters if fields.get(name) is not None}
    terms = plain_terms({name: _plain(value) for name, value in given.items()})
    try:
        rule_of(preset, terms, Common(id=str(fields["id"]), kind=kind))
    except OfferError as error:
        findings.add(at, str(error))


def make_offer(read: ReadOffer, *, window: Period) -> Offer | None:
    """The offer, where everything about it is right. What it leaves open is the theme's window."""
    if read.preset is None or not OfferFile.model_fields.keys() <= read.fields.keys():
        return None
    fields = {name: read.fields[name] for name in OfferFile.model_fields}
    claim = (read.fields.get("claim") or window) if read.kind is OfferKind.COUPON else None
    valid = read.fields.get("valid") or window
    values = {
        **fields,
        "kind": read.kind,
        "preset_version": read.preset.version,
        "parameters": read.parameters(),
        "claim": claim,
        "valid": Validity.model_validate(valid.model_dump(by_alias=True)),
    }
    return Offer.model_validate(values)


def _read_without_preset(
    values: object, *, kind: OfferKind, at: str, notation: Notation, catalogue: Catalogue, findings: Findings
) -> dict[str, Any]:
    """Without its preset nobody knows which other keys an offer may have: only the common ones are judged."""
    presets = catalogue.of_kind(kind)
    given = dict(values) if isinstance(values, Mapping) else values
    if isinstance(given, dict):
        found = given.get("preset")
        if isinstance(found, str):
            other = " for the other kind of offer" if found in catalogue.presets else did_you_mean(found, presets)
            message = f"is a preset{other}" if found in catalogue.presets else f"is not a known preset{other}"
            findings.add(join_path(at, "preset"), message, found=found, allowed=listed(presets))
        given = {name: value for name, value in given.items() if name in _FILES[kind].model_fields}
    return read_fields(_FILES[kind], given, at=at, context=notation, findings=findings)


def _check_alternatives(preset: Preset, values: object, *, at: str, findings: Findings) -> None:
    if not preset.either or not isinstance(values, Mapping):
        return
    names = {name for group in preset.either for name in group}
    given = {name for name in names if values.get(name) is not None}
    if given not in [set(group) for group in preset.either]:
        allowed = " or ".join(" and ".join(group) for group in preset.either)
        found = listed(given) if given else "none of them"
        findings.add(at, f"needs one of its alternatives; it has {found}", allowed=allowed)


class _Held:
    """A preset as part of a cache key: the same object is the same preset."""

    def __init__(self, preset: Preset) -> None:
        self.preset = preset

    def __hash__(self) -> int:
        return id(self.preset)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.preset is self.preset


@lru_cache(maxsize=256)
def _model(kind: OfferKind, held: _Held) -> type[OfferFile]:
    name, parameters = held.preset.preset, held.preset.parameters
    fields: dict[str, Any] = {key: _field(f"{name}_{key}", parameter) for key, parameter in parameters.items()}
    return create_model(f"{kind}_{name}_{held.preset.version}", __base__=_FILES[kind], **fields)


def _field(name: str, parameter: Parameter) -> tuple[Any, Any]:
    annotation = _annotation(name, parameter)
    if parameter.must_be_given:
        return (annotation, ...)
    return (annotation if parameter.default is not None else annotation | None, parameter.default)


def _annotation(name: str, parameter: Parameter) -> Any:  # noqa: ANN401 - a type, made from data
    if parameter.type is ParameterType.COUNT:
        return Annotated[int, Field(strict=True, ge=parameter.min, le=1_000_000_000)]
    if parameter.type is ParameterType.CHOICE:
        return Literal[parameter.choices]
    if parameter.type is ParameterType.STEPS:
        fields: dict[str, Any] = {key: _field(f"{name}_{key}", inner) for key, inner in parameter.fields.items()}
        step = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        return Annotated[tuple[step, ...], Field(min_length=1)]
    return _TYPES[parameter.type]


def _plain(value: object) -> object:
    """Steps are records of their preset's own making: in an offer they are plain mappings."""
    if isinstance(value, tuple):
        return tuple(_step(item) if isinstance(item, BaseModel) else item for item in value)
    return value


def _step(step: BaseModel) -> dict[str, Any]:
    return {name: value for name, value in step if value is not None}
