"""What can be said of a theme's messages without rendering them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from channels.states import Channel
from documents.problem import did_you_mean, listed
from documents.shape import Findings
from offers.preset import ClaimWay, OfferKind
from themes.messages import TextField, fields_of
from themes.notation import Vocabulary
from themes.offer_file import ReadOffer
from themes.templating import (
    CODE,
    NAMES,
    OFFER_ATTRIBUTES,
    THEME_ATTRIBUTES,
    WINDOW_ATTRIBUTES,
    MessageEnvironment,
    environment_of,
    inline_assignments,
)
from themes.variables import code_of

_STATEMENTS = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What messages of this theme may name."""

    offers: Mapping[str, Mapping[str, frozenset[str]]]  # coupon | activity -> id -> attributes
    codes: frozenset[str] = frozenset()  # coupons whose codes this message may carry
    recipient_variables: frozenset[str] | None
    after_order: frozenset[str] = frozenset()  # coupons that nobody claims


#: Ids of the coupons whose codes the message of a channel may carry.
CodesOf = Callable[[Channel], Collection[str]]


def check_messages(
    messages: Mapping[Channel, Mapping[str, Any]],
    templates: Mapping[str, str],
    *,
    offers: Sequence[ReadOffer],
    known: Vocabulary,
    findings: Findings,
    codes_of: CodesOf | None = None,
) -> None:
    """Add what is wrong with any text of the messages; without `codes_of` every coupon's code may be named."""
    names = _names(offers, known)
    coupons = {offer.id for offer in offers if offer.id and offer.kind is OfferKind.COUPON and not _after_order(offer)}
    for channel, message in messages.items():
        own = replace(names, codes=frozenset(coupons if codes_of is None else codes_of(channel)))
        for field in fields_of(channel, message, templates):
            _check_field(field, environment_of(channel, html=field.html), own, findings)


def _names(offers: Sequence[ReadOffer], known: Vocabulary) -> Names:
    kinds: dict[str, dict[str, frozenset[str]]] = {kind.value: {} for kind in OfferKind}
    for offer in offers:
        if offer.id:
            own = frozenset(offer.preset.parameters) if offer.preset else frozenset()
            kinds[offer.kind.value][offer.id] = OFFER_ATTRIBUTES | own
    after_order = frozenset(offer.id for offer in offers if offer.id and _after_order(offer))
    return Names(offers=kinds, recipient_variables=known.recipient_variables, after_order=after_order)


def _after_order(offer: ReadOffer) -> bool:
    return offer.preset is not None and offer.preset.claim.by is ClaimWay.ORDER


def _check_field(field: TextField, env: MessageEnvironment, names: Names, findings: Findings) -> None:
    try:
        tree = inline_assignments(env.parse(field.text))
    except TemplateSyntaxError as error:
        findings.add(field.path, f"{field.place(error.lineno)}is not a template: {error.message}")
        return
    found = list(_mistakes(tree, env, names))
    for line, message, allowed in found:
        findings.add(field.path, f"{field.place(line)}{message}", allowed=allowed)
    if not found:
        _compile(field, env, findings)


def _compile(field: TextField, env: MessageEnvironment, findings: Findings) -> None:
    try:
        env.from_string(field.text)
    except TemplateSyntaxError as error:  # what only the compiler sees, such as a name assigned twice
        findings.add(field.path, f"{field.place(error.lineno)}is not a template: {error.message}")


Mistake = tuple[int, str, str]


def _mistakes(tree: nodes.Template, env: MessageEnvironment, names: Names) -> Iterator[Mistake]:
    for node in tree.find_all(tuple(_STATEMENTS)):
        yield node.lineno, f"{{% {_STATEMENTS[type(node)]} %}} is not available: a message is one text", ""
    for filtering in tree.find_all(nodes.Filter):
        yield from _unknown_name("filter", filtering, env.filters)
    for test in tree.find_all(nodes.Test):
        yield from _unknown_name("test", test, env.tests)
    yield from _unknown_variables(tree)
    for call in tree.find_all(nodes.Call):
        yield from _unknown_offer(call, names)
    yield from _unfit_codes(tree, names)
    for attribute in tree.find_all(nodes.Getattr):
        yield from _unknown_attribute(attribute, attribute.attr, names)
    for item in tree.find_all(nodes.Getitem):
        yield from _unknown_attribute(item, _literal(item.arg), names)


def _unknown_name(noun: str, node: nodes.Filter | nodes.Test, known: Collection[str]) -> Iterator[Mistake]:
    if node.name not in known:
        yield node.lineno, f"uses the unknown {noun} {node.name!r}{did_you_mean(node.name, known)}", listed(known)


def _unknown_variables(tree: nodes.Template) -> Iterator[Mistake]:
    names = list(tree.find_all(nodes.Name))
    known = NAMES | {"loop"} | {node.name for node in names if node.ctx != "load"}
    first = {node.name: node for node in reversed(names) if node.name not in known}
    for name, node in first.items():
        yield node.lineno, f"uses the unknown variable {name!r}{did_you_mean(name, NAMES)}", listed(NAMES)


def _unknown_offer(call: nodes.Call, names: Names) -> Iterator[Mistake]:
    if not isinstance(call.node, nodes.Name) or call.node.name not in names.offers:
        return
    kind = call.node.name
    if len(call.args) != 1 or call.kwargs or call.dyn_args or call.dyn_kwargs:
        yield call.lineno, f"{kind}(…) takes one id", f"{kind}('…')"
        return
    offer_id = _literal(call.args[0])
    ids = names.offers[kind]
    if offer_id is None or offer_id in ids:
        return
    others = [other for other in names.offers if other != kind and offer_id in names.offers[other]]
    hint = f"; it is an {others[0]}" if others == ["activity"] else "; it is a coupon" if others else ""
    message = f"names the unknown {kind} {offer_id!r}{hint or did_you_mean(offer_id, ids)}"
    yield call.lineno, message, listed(ids)


def _unfit_codes(tree: nodes.Template, names: Names) -> Iterator[Mistake]:
    """Which codes a message carries has to be known before it is rendered: they are reserved when it is planned."""
    used = [node for node in tree.find_all(nodes.Name) if node.name == CODE]
    if any(node.ctx != "load" for node in used):
        line = next(node.lineno for node in used if node.ctx != "load")
        yield line, f"gives {CODE!r} a value of its own; it is the recipient's code for a coupon", ""
        return
    asked = [call for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name) and call.node.name == CODE]
    known = [(call, code_of(call)) for call in asked]
    if len(used) > len(asked) or any(coupon is None for _, coupon in known):
        whole = {id(call.node) for call, coupon in known if coupon is not None}
        line = next(node.lineno for node in used if id(node) not in whole)
        yield line, f"{CODE}(…) takes the id of one coupon as it stands", listed([f"{CODE}('…')"])
    for call, coupon in known:
        if coupon is not None and coupon not in names.codes:
            yield call.lineno, _unknown_code(coupon, names), listed(names.codes)


def _unknown_code(coupon: str, names: Names) -> str:
    if coupon in names.after_order:
        return f"carries a code of {coupon!r}, which is given after an order and by no code"
    if coupon in names.offers[OfferKind.COUPON.value]:
        return f"carries a code of {coupon!r}, which the theme's own message on this channel does not"
    is_other = coupon in names.offers[OfferKind.ACTIVITY.value]
    hint = "; it is an activity, and has no codes" if is_other else did_you_mean(coupon, names.codes)
    return f"carries a code of the unknown coupon {coupon!r}{hint}"


def _unknown_attribute(node: nodes.Getattr | nodes.Getitem, attribute: str | None, names: Names) -> Iterator[Mistake]:
    if attribute is not None and attribute.startswith("_"):
        yield node.lineno, f"asks for {attribute!r}; names that begin with _ are not available", ""
        return
    known = _attributes_of(node.node, names)
    if known is None or attribute is None or attribute in known:
        return
    yield node.lineno, f"asks for the unknown {attribute!r}{did_you_mean(attribute, known)}", listed(known)


def _attributes_of(node: nodes.Expr, names: Names) -> frozenset[str] | None:
    """What the value of this expression has, where that is known."""
    if isinstance(node, nodes.Name):
        customer = names.recipient_variables
        own = frozenset(name.partition(".")[2] for name in customer if "." in name) if customer is not None else None
        return {"window": WINDOW_ATTRIBUTES, "theme": THEME_ATTRIBUTES, "customer": own}.get(node.name)
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and len(node.args) == 1:
        offer_id = _literal(node.args[0])
        return names.offers.get(node.node.name, {}).get(offer_id) if offer_id else None
    return None


def _literal(node: nodes.Node) -> str | None:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else None
