"""Whether the rules and words of a preset fit its parameters, and the effects that there are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from documents.problem import did_you_mean, listed
from documents.shape import Findings
from documents.source import join_path
from offers.allocation import WHOLE
from offers.effect import EFFECTS, By, Per, Step, Target
from offers.preset import Alternative, Claiming, ClaimWay, CodesFor, OfferKind, Parameter, ParameterType, Preset
from offers.preset_template import FORMS, parameter_of, places

#: What a key of a condition, an effect or a step takes: a type of parameter, or the words of a choice.
Takes = ParameterType | type[StrEnum]

_MONEY, _PERCENT, _COUNT, _FLAG = ParameterType.MONEY, ParameterType.PERCENT, ParameterType.COUNT, ParameterType.FLAG
_CONDITION: Mapping[str, Takes] = MappingProxyType(
    {"min_amount": _MONEY, "min_qty": _COUNT, "scope": ParameterType.SCOPE, "apart": _COUNT}
)
#: What each type of effect takes.
EFFECT_KEYS: Mapping[str, Mapping[str, Takes]] = MappingProxyType(
    {
        "percent": {"bp": _PERCENT, "per": Per, "cap": _MONEY},
        "amount": {"value": _MONEY},
        "unit_amount": {"value": _MONEY},
        "unit_price": {"value": _MONEY},
        "tiers": {"by": By, "tiers": ParameterType.STEPS},
        "every": {"step": _MONEY, "amount": _MONEY, "max_times": _COUNT},
        "cheapest": {"group": _COUNT, "n": _COUNT, "bp": _PERCENT, "target": Target, "most": _COUNT},
        "bundle": {"qty": _COUNT, "price": _MONEY, "repeat": _FLAG},
        "freight_percent": {"bp": _PERCENT},
        "freight_amount": {"value": _MONEY},
        "freight_fixed": {"value": _MONEY},
        "gift": {"one_of": ParameterType.PRODUCTS, "qty": _COUNT},
    }
)
#: The parameter by which each way of claiming is told.
CLAIM_KEYS: Mapping[ClaimWay, tuple[str, Takes]] = MappingProxyType(
    {
        ClaimWay.CODE: ("codes", CodesFor),
        ClaimWay.PACKAGE: ("coupons", ParameterType.COUPONS),
        ClaimWay.ORDER: ("spent", _MONEY),
        ClaimWay.POINTS: ("points", _COUNT),
    }
)


@dataclass(frozen=True, slots=True)
class _At:
    """A place in the file, and what is known there."""

    path: str
    parameters: Mapping[str, Parameter]
    certain: frozenset[str]  # parameters that are given whenever this is used
    findings: Findings

    def inner(self, key: str | int) -> "_At":
        return _At(join_path(self.path, key), self.parameters, self.certain, self.findings)

    def add(self, message: str, *, found: object = None, allowed: str = "") -> None:
        self.findings.add(self.path, message, found=found, allowed=allowed)


def check_preset(preset: Preset, *, at: str, findings: Findings) -> None:
    """Add what is wrong: unknown parameters, unknown keys of effects, what may be absent where it is needed, words."""
    here = _At(at, preset.parameters, frozenset(), findings)
    for number, group in enumerate(preset.either):
        for name in group:
            _check_known(name, here.inner("either").inner(number))
    _check_claim(preset, here)
    if preset.rules[-1].given:
        here.inner("rules").add("ends with an alternative that is not for everything: leave out its `given`")
    for number, alternative in enumerate(preset.rules):
        place = here.inner("rules").inner(number)
        for name in alternative.given:
            _check_known(name, place.inner("given"))
        certain = _certain(preset, number)
        if certain is None:
            place.add("is never used: one before it is for the same")
        else:
            _check_alternative(alternative, _At(place.path, preset.parameters, certain, findings))


def _certain(preset: Preset, number: int) -> frozenset[str] | None:
    """The parameters that are given whenever an alternative is used; None: it never is."""
    always = {name for name, one in preset.parameters.items() if one.must_be_given or one.default is not None}
    false = {name for name, one in preset.parameters.items() if one.type is ParameterType.FLAG}
    optional = {name for group in preset.either for name in group}
    given, earlier = set(preset.rules[number].given), [set(one.given) for one in preset.rules[:number]]
    sets = []
    for group in preset.either or ((),):
        there = always | set(group)
        taken = any(before <= there - false for before in earlier)
        if given & optional <= there and not taken:
            sets.append(frozenset(there | given))
    return frozenset.intersection(*sets) if sets else None


def _check_claim(preset: Preset, at: _At) -> None:
    way = preset.claim.by
    if preset.claim != Claiming() and preset.kinds != {OfferKind.COUPON}:
        at.inner("claim").add("is of coupons alone: activities are not claimed", found=sorted(preset.kinds))
    if way in CLAIM_KEYS:
        _check_claimed_by(preset, *CLAIM_KEYS[way], at.inner("claim").inner("by"))
    is_package = way is ClaimWay.PACKAGE
    for name in preset.of_type(ParameterType.COUPONS):
        if not (is_package and name == CLAIM_KEYS[way][0]):
            allowed = "the parameter coupons, with claim: {by: package}"
            at.inner("parameters").inner(name).add("is a list of coupons, which packages alone have", allowed=allowed)
    for number, rule in enumerate(preset.rules):
        if is_package and rule.effect is not None:
            place = at.inner("rules").inner(number).inner("effect")
            place.add("is of no use: the coupons of a package take off, and the package does not")


def _check_claimed_by(preset: Preset, name: str, takes: Takes, at: _At) -> None:
    of = preset.parameters.get(name)
    used = [certain for number in range(len(preset.rules)) if (certain := _certain(preset, number)) is not None]
    if of is None or not _fits(of, takes):
        at.add(f"takes a parameter {name!r}: {_said(takes)}")
    elif not all(name in certain for certain in used):
        at.add(f"takes the parameter {name!r}, which may be absent here: it has to be given always")


def _check_known(name: str, at: _At) -> bool:
    if name not in at.parameters:
        at.add(
            f"names the unknown parameter {name!r}{did_you_mean(name, at.parameters)}", allowed=listed(at.parameters)
        )
    return name in at.parameters


def _check_alternative(alternative: Alternative, at: _At) -> None:
    if alternative.scope is not None:
        _check_value(alternative.scope, ParameterType.SCOPE, at.inner("scope"), needed=True)
    _check_keys(alternative.condition, _CONDITION, at.inner("condition"))
    if alternative.effect is not None:
        _check_effect(alternative.effect, at.inner("effect"))
    _check_words(alternative, at.inner("reads"))


def _check_effect(effect: Mapping[str, Any], at: _At) -> None:
    name = str(effect.get("type"))
    if name not in EFFECT_KEYS:
        near = did_you_mean(name, EFFECT_KEYS)
        at.inner("type").add(f"is not a type of effect{near}", found=name, allowed=listed(EFFECT_KEYS))
        return
    required = {one.name for one in fields(EFFECTS[name]) if one.default is MISSING}
    needed = {"one_of"} if name == "gift" else required
    values = {key: value for key, value in effect.items() if key != "type"}
    steps = values.pop("tiers", None) if name == "tiers" else None
    _check_keys(values, EFFECT_KEYS[name], at, needed=needed - ({"tiers"} if steps is not None else set()))
    if steps is not None:
        by_amount = effect.get("by") == By.AMOUNT
        _check_steps(steps, _MONEY if by_amount else _COUNT, at.inner("tiers"))


def _check_steps(steps: object, reached: Takes, at: _At) -> None:
    takes: Mapping[str, Takes] = {"at": reached, "amount": _MONEY, "bp": _PERCENT, "freight_free": _FLAG}
    needed = {one.name for one in fields(Step) if one.default is MISSING}
    if isinstance(steps, Mapping) and "each" in steps:
        name = parameter_of(steps["each"])
        if name is None or not _check_known(name, at.inner("each")):
            return
        of = at.parameters[name]
        if of.type is not ParameterType.STEPS:
            at.inner("each").add(f"is of the type {of.type}, and only steps have each", found=name)
            return
        certain = frozenset(key for key, one in of.fields.items() if one.must_be_given or one.default is not None)
        rest = {key: value for key, value in steps.items() if key != "each"}
        _check_keys(rest, takes, _At(at.path, of.fields, certain, at.findings), needed=needed)
    elif isinstance(steps, Sequence) and not isinstance(steps, str) and steps:
        for number, step in enumerate(steps):
            _check_keys(step, takes, at.inner(number), needed=needed)
    else:
        at.add("has to be a list of steps, or one of `each`", found=steps)


def _check_keys(values: object, takes: Mapping[str, Takes], at: _At, *, needed: set[str] | None = None) -> None:
    if not isinstance(values, Mapping):
        at.add("has to be a mapping of keys", found=values)
        return
    for key in values.keys() - takes.keys():
        at.inner(key).add(f"is not a known key{did_you_mean(key, takes)}", allowed=listed(takes))
    for key in (needed or set()) - values.keys():
        at.inner(key).add("is missing")
    for key in takes.keys() & values.keys():
        _check_value(values[key], takes[key], at.inner(key), needed=key in (needed or ()))


def _check_value(value: object, takes: Takes, at: _At, *, needed: bool) -> None:
    name = parameter_of(value)
    if name is None:
        _check_literal(value, takes, at)
    elif _check_known(name, at):
        of = at.parameters[name]
        if not _fits(of, takes):
            at.add(f"takes {_said(takes)}, and the parameter {name} is {_said_of(of)}")
        elif needed and name not in at.certain:
            at.add(f"is needed, and the parameter {name} may be absent here: name it in `given`")


def _fits(parameter: Parameter, takes: Takes) -> bool:
    if isinstance(takes, ParameterType):
        return parameter.type is takes
    return parameter.type is ParameterType.CHOICE and set(parameter.choices) <= {word.value for word in takes}


def _check_literal(value: object, takes: Takes, at: _At) -> None:
    if not isinstance(takes, ParameterType):
        if value not in list(takes):
            at.add("is not one of those allowed", found=value, allowed=listed([word.value for word in takes]))
    elif takes is _FLAG:
        if not isinstance(value, bool):
            at.add("has to be true or false", found=value)
    elif takes in {_COUNT, _PERCENT}:
        most = WHOLE if takes is _PERCENT else None
        if type(value) is not int or value < 1 or (most and value > most):
            at.add(f"has to be {_said(takes)}", found=value, allowed="1 to 10000 basis points" if most else "1 or more")
    else:
        at.add(f"takes {_said(takes)}, which only a parameter has: write $name", found=value)


def _said(takes: Takes) -> str:
    if isinstance(takes, ParameterType):
        return {_MONEY: "an amount of money", _PERCENT: "a percentage", _COUNT: "a number"}.get(takes, takes.value)
    return f"one of {listed([word.value for word in takes])}"


def _said_of(parameter: Parameter) -> str:
    return f"one of {listed(parameter.choices)}" if parameter.choices else _said(parameter.type)


def _check_words(alternative: Alternative, at: _At) -> None:
    reads = alternative.reads
    named = {language: set(_check_places(getattr(reads, language), at.inner(language))) for language in ("en", "zh")}
    if named["en"] != named["zh"]:
        only = sorted(named["en"] ^ named["zh"])
        at.add(f"tells {', '.join(only)} in one language and not in the other")
    steps = [name for name in named["en"] if at.parameters[name].type is ParameterType.STEPS]
    if bool(steps) != (reads.each is not None):
        at.inner("each").add("is needed where steps are told, and nowhere else")
    if reads.each is not None and steps:
        of = at.parameters[steps[0]].fields
        inner = _At(at.inner("each").path, of, frozenset(of), at.findings)
        for language in ("en", "zh"):
            list(_check_places(getattr(reads.each, language), inner.inner(language)))


def _check_places(text: str, at: _At) -> Iterator[str]:
    for place in places(text):
        if not _check_known(place.name, at):
            continue
        if place.form and (place.form not in FORMS or at.parameters[place.name].type is not _PERCENT):
            at.add(f"has no form {place.form!r} for {place.name}", allowed=f"{listed(FORMS)}, of a percentage")
        if not place.optional and place.name not in at.certain:
            at.add(f"tells {place.name}, which may be absent here: put its part in [brackets]")
        yield place.name
