"""The quote document: a cart and the offers that it is priced against, from its text or from plain values."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

from documents.problem import Problem, did_you_mean, listed
from documents.shape import Findings, read_fields
from documents.source import Part, SourceUnreadable, join_path, parts_of, read_source
from offers.cart import Cart, CartLine
from offers.combination import Mode
from offers.effect import EFFECTS, Effect, Tiers
from offers.errors import ForcedExcluded, LadderFalls, QuoteInvalid
from offers.pricing import Threshold
from offers.quote_notation import MOST_UNITS, PARTS, CartPart, LinePart, OfferPart, QuotePart, steps_of
from offers.rule import Rule, Stage, excluded

STAGES = tuple(stage.name.lower() for stage in Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What is asked. `returned` are units by line, for the refund; where there are none, no refund is asked for."""

    cart: Cart
    rules: Sequence[Rule]
    mode: Mode
    forced: Sequence[str]
    threshold: Threshold
    sequence: Sequence[str]
    returned: Mapping[int, int]


def read_quotes(text: str) -> Iterator[Quote | QuoteInvalid]:
    """Every document of a file, in order; one that is wrong stops none of the others."""
    for part in parts_of(text):
        try:
            yield _read_part(part)
        except QuoteInvalid as invalid:
            yield invalid


def _read_part(part: Part) -> Quote:
    try:
        source = read_source(part.text, is_not="a quote: keys such as 'cart:' are missing", line=part.line)
    except SourceUnreadable as unreadable:
        raise QuoteInvalid([replace(one, line=one.line or part.line) for one in unreadable.problems]) from unreadable
    return read_quote(source.values, lines={"": part.line, **source.lines}, unread=source.problems)


def read_quote(
    values: Mapping[str, object], *, lines: Mapping[str, int] | None = None, unread: Sequence[Problem] = ()
) -> Quote:
    """A quote from plain values.

    Args:
        values: as the document has them.
        lines: where they stand, if they come from a file.
        unread: what could not even be read there.

    Raises:
        QuoteInvalid: with every problem that could be seen at once.
    """
    findings = Findings(lines=lines or {}, unread=unread)
    fields = read_fields(QuotePart, values, at="", context=None, findings=findings)
    cart = read_cart(fields["cart"], at="cart", findings=findings) if "cart" in fields else None
    offers = fields.get("offers", ())
    rules, known = _read_offers(offers, findings=findings), _ids(offers)
    _check_forced(fields.get("forced", ()), rules, known, findings=findings)
    _check_sequence(fields.get("sequence", ()), known, findings=findings)
    returned = _read_return(fields.get("return", {}), cart, findings=findings)
    if (problems := findings.in_order()) or cart is None:
        raise QuoteInvalid(problems)
    return Quote(
        cart=cart,
        rules=rules,
        mode=fields["mode"],
        forced=fields["forced"],
        threshold=fields["threshold"],
        sequence=fields["sequence"],
        returned=returned,
    )


def read_cart(values: object, *, at: str, findings: Findings) -> Cart | None:
    """None where something is wrong with it; the findings tell what."""
    fields = read_fields(CartPart, values, at=at, context=None, findings=findings)
    lines = [
        _read_line(line, at=join_path(join_path(at, "lines"), number), findings=findings)
        for number, line in enumerate(fields.get("lines", ()))
    ]
    good = [line for line in lines if line is not None]
    units = sum(line.qty for line in good)
    if units > MOST_UNITS:
        findings.add(join_path(at, "lines"), "has too many units", found=units, allowed=f"{MOST_UNITS} in all lines")
    if not CartPart.model_fields.keys() <= fields.keys() or len(good) < len(lines):
        return None
    return Cart(lines=good, freight=fields["freight"])


def _read_line(values: object, *, at: str, findings: Findings) -> CartLine | None:
    fields = read_fields(LinePart, values, at=at, context=None, findings=findings)
    return CartLine(**fields) if LinePart.model_fields.keys() <= fields.keys() else None


def _read_offers(values: Sequence[object], *, findings: Findings) -> Sequence[Rule]:
    """Those that are right; of the others, and of what does not fit together, the findings tell."""
    known, first, rules = _ids(values), dict[str, int](), []
    for number, one in enumerate(values):
        at = join_path("offers", number)
        fields, rule = _read_offer(one, at=at, findings=findings)
        rules.append(rule)
        if "id" in fields and first.setdefault(fields["id"], number) != number:
            same = join_path("offers", first[fields["id"]])
            findings.add(join_path(at, "id"), f"is the id of {same} too", found=fields["id"])
        _check_excludes(fields, known, at=join_path(at, "excludes"), findings=findings)
    return [rule for rule in rules if rule is not None]


def _ids(values: Sequence[object]) -> Collection[str] | None:
    """Of all offers, right or wrong; None: one has no id, and a name that is not known may be its."""
    ids = [one.get("id") if isinstance(one, Mapping) else None for one in values]
    return None if None in ids else {str(offer_id) for offer_id in ids}


def _read_offer(values: object, *, at: str, findings: Findings) -> tuple[dict[str, Any], Rule | None]:
    fields = read_fields(OfferPart, values, at=at, context=None, findings=findings)
    effect = (
        _read_effect(fields["effect"], at=join_path(at, "effect"), findings=findings) if "effect" in fields else None
    )
    if effect is None or not OfferPart.model_fields.keys() <= fields.keys():
        return fields, None
    parts = {
        "effect": effect,
        "excludes": frozenset(fields["excludes"]),
        "scope": fields["scope"].scope(),
        "condition": fields["condition"].condition(),
    }
    return fields, Rule(**{**fields, **parts})


def _read_effect(values: object, *, at: str, findings: Findings) -> Effect | None:
    """By its own type: of one that is not known nobody knows which keys it may have."""
    if not isinstance(values, Mapping):
        findings.add(at, "has to be a mapping of keys", found=values)
        return None
    name = values.get("type")
    part = PARTS.get(name) if isinstance(name, str) else None
    if part is None:
        message = f"is not a type of effect{did_you_mean(str(name), PARTS)}" if "type" in values else "is missing"
        findings.add(join_path(at, "type"), message, found=name, allowed=listed(PARTS))
        return None
    fields = read_fields(part, values, at=at, context=None, findings=findings)
    return _effect(fields, at=at, findings=findings) if part.model_fields.keys() <= fields.keys() else None


def _effect(fields: Mapping[str, Any], *, at: str, findings: Findings) -> Effect | None:
    """What no single key of it tells: whether they fit together."""
    kind, values = EFFECTS[fields["type"]], {name: value for name, value in fields.items() if name != "type"}
    if "tiers" in values:
        return _ladder(values, at=at, findings=findings)
    if values.get("n", 0) > values.get("group", MOST_UNITS):
        allowed = f"{values['group']} or less"
        findings.add(join_path(at, "n"), "is more than its group has", found=values["n"], allowed=allowed)
    return kind(**values)


def _ladder(fields: Mapping[str, Any], *, at: str, findings: Findings) -> Tiers | None:
    steps, falls = steps_of(fields["tiers"]), False
    for number, pair in enumerate(pairwise(steps), start=1):
        try:
            Tiers(by=fields["by"], tiers=pair)
        except LadderFalls as fall:
            falls = True
            findings.add(join_path(join_path(at, "tiers"), number), str(fall))
    return None if falls else Tiers(by=fields["by"], tiers=steps)


def _check_excludes(fields: Mapping[str, Any], known: Collection[str] | None, *, at: str, findings: Findings) -> None:
    for number, other in enumerate(fields.get("excludes", ())):
        if other == fields.get("id"):
            findings.add(join_path(at, number), "is the offer itself", found=other)
        else:
            _check_known(other, known, at=join_path(at, number), findings=findings)


def _check_known(offer_id: str, known: Collection[str] | None, *, at: str, findings: Findings) -> None:
    if known is not None and offer_id not in known:
        near = did_you_mean(offer_id, known)
        findings.add(at, f"is not among the offers{near}", found=offer_id, allowed=listed(known))


def _check_forced(
    forced: Sequence[str], rules: Sequence[Rule], known: Collection[str] | None, *, findings: Findings
) -> None:
    _check_once(forced, at="forced", findings=findings)
    for number, offer_id in enumerate(forced):
        _check_known(offer_id, known, at=join_path("forced", number), findings=findings)
    there = sorted((rule for rule in rules if rule.id in forced), key=lambda rule: rule.id)
    for one, other in combinations(there, 2):
        if excluded(one, other) and one.id != other.id:
            findings.add("forced", str(ForcedExcluded(pair=(one.id, other.id))))


def _check_sequence(sequence: Sequence[str], known: Collection[str] | None, *, findings: Findings) -> None:
    """It names stages, or else offers."""
    _check_once(sequence, at="sequence", findings=findings)
    if known is None or set(sequence) <= set(STAGES) or set(sequence) <= set(known):
        return
    near = {name: did_you_mean(name, [*STAGES, *known]) for name in sequence if name not in known}
    for number, name in enumerate(sequence):
        if name in near:
            message = "is a stage among offers" if name in STAGES else f"is neither a stage nor an offer{near[name]}"
            path = join_path("sequence", number)
            findings.add(path, message, found=name, allowed="all stages, or all ids of offers")


def _check_once(names: Sequence[str], *, at: str, findings: Findings) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        findings.add(at, "has one more than once", found=twice)


def _read_return(values: Mapping[str, int], cart: Cart | None, *, findings: Findings) -> Mapping[int, int]:
    if cart is None:
        return {}
    lines = {str(number): line for number, line in enumerate(cart.lines)}
    for name, qty in values.items():
        path = join_path("return", name)
        if name not in lines:
            findings.add(path, "is not a line of the cart", allowed=f"0 to {len(lines) - 1}")
        elif qty > lines[name].qty:
            findings.add(path, "is more than the line has", found=qty, allowed=f"1 to {lines[name].qty}")
    return {int(name): qty for name, qty in values.items() if name in lines}
