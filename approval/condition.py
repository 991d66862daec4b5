"""Conditions on facts of an object: `budget >= 10000 or "sms" in channels`. Compiled to a closure, never run as Python.

The language: names of facts, numbers, quoted text, lists in brackets, `< <= > >= == !=`, `in`, `not in`, `and`, `or`,
`not`, and `len(channels)` for how many there are. Amounts are in the theme's currency, ratios between 0 and 1.
"""

import ast
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any

from approval.errors import ConditionInvalid, nearest

LONGEST_CONDITION = 500

Value = Decimal | int | str | Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an object when its chain is fixed. None: not available, which makes a condition on it apply."""

    budget: Decimal | None = None  # in the theme's currency, major units
    worst_case_cost: Decimal | None = None  # the same
    deepest_discount: Decimal | None = None  # share of the price, 0 to 1
    worst_margin: Decimal | None = None  # share of the price; negative is a loss
    audience_size: int | None = None
    channels: tuple[str, ...] | None = None
    offer_kinds: tuple[str, ...] | None = None
    window_days: Decimal | None = None
    product_line: str | None = None


class Kind(StrEnum):
    NUMBER = "a number"
    TEXT = "text"
    TEXTS = "several texts"
    NUMBERS = "several numbers"
    TRUTH = "a comparison"


FACT_KINDS = {fact.name: Kind.NUMBER for fact in fields(Facts)} | {
    "channels": Kind.TEXTS,
    "offer_kinds": Kind.TEXTS,
    "product_line": Kind.TEXT,
}

_LISTS = {Kind.NUMBER: Kind.NUMBERS, Kind.TEXT: Kind.TEXTS}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALITY: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
_MEMBERSHIP: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.In: lambda item, group: operator.contains(group, item),
    ast.NotIn: lambda item, group: not operator.contains(group, item),
}

Closure = Callable[[Facts], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition. Two that differ only in spacing or quotes are equal."""

    text: str
    facts: tuple[str, ...]  # the facts it asks for, in order of their names
    holds: Callable[[Facts], bool] = field(repr=False, compare=False)

    def missing(self, facts: Facts) -> tuple[str, ...]:
        return tuple(name for name in self.facts if getattr(facts, name) is None)

    def seen(self, facts: Facts) -> str:
        """The facts that it asks for and their values, in words: `budget = 20000, channels = sms, email`."""
        return ", ".join(f"{name} = {_in_words(getattr(facts, name))}" for name in self.facts)


def parse_condition(source: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionInvalid: it is no condition of this language; says at which column, and the nearest known name.
    """
    if len(source) > LONGEST_CONDITION:
        raise ConditionInvalid(found=f"{len(source)} characters", allowed=f"at most {LONGEST_CONDITION}", column=1)
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError) as broken:
        column = getattr(broken, "offset", None) or 1
        raise ConditionInvalid(
            found=f"{source.strip()!r}",
            allowed='a condition such as budget >= 10000 or "sms" in channels',
            column=column,
        ) from broken
    closure = _truth(tree)
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & FACT_KINDS.keys())
    return Condition(ast.unparse(tree), tuple(names), lambda facts: bool(closure(facts)))


def _truth(node: ast.expr) -> Closure:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            every = [_truth(value) for value in values]
            return lambda facts: all(part(facts) for part in every)
        case ast.BoolOp(values=values):
            some = [_truth(value) for value in values]
            return lambda facts: any(part(facts) for part in some)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _truth(operand)
            return lambda facts: not inner(facts)
        case ast.Compare():
            return _comparison(node)
    _, kind = _value(node)
    raise _refused(node, kind.value, "a comparison, such as budget >= 10000")


def _comparison(node: ast.Compare) -> Closure:
    operands = [(item, *_value(item)) for item in (node.left, *node.comparators)]
    links: list[tuple[Closure, Callable[[Any, Any], bool], Closure]] = []
    for symbol, (_, left, left_kind), (right_node, right, right_kind) in zip(
        node.ops, operands, operands[1:], strict=False
    ):
        test = _test(symbol, left_kind, right_kind, right_node)
        links.append((left, test, right))
    return lambda facts: all(test(left(facts), right(facts)) for left, test, right in links)


def _test(symbol: ast.cmpop, left: Kind, right: Kind, node: ast.expr) -> Callable[[Any, Any], bool]:
    if test := _MEMBERSHIP.get(type(symbol)):
        if left not in _LISTS:
            raise _refused(node, f"{left} before 'in'", "one number or one text before 'in'")
        if right is not _LISTS[left]:
            raise _refused(node, f"{right} after 'in'", f"{_LISTS[left]} after 'in', as {left} stands before it")
        return test
    if test := _ORDER.get(type(symbol)):
        if (left, right) != (Kind.NUMBER, Kind.NUMBER):
            raise _refused(node, f"{left} compared with {right}", "a number on both sides of < <= > >=")
        return test
    if test := _EQUALITY.get(type(symbol)):
        if left is not right or left not in _LISTS:
            raise _refused(
                node, f"{left} compared with {right}", "two numbers or two texts; for several texts use 'in'"
            )
        return test
    raise _refused(node, f"'{type(symbol).__name__.lower()}'", "< <= > >= == != in, not in")


def _value(node: ast.expr) -> tuple[Closure, Kind]:
    match node:
        case ast.Name(id=name):
            return _fact(node, name), FACT_KINDS[name]
        case ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            constant, kind = _constant(node)
            return (lambda _facts: constant), kind
        case ast.List(elts=items) | ast.Tuple(elts=items) if items:
            return _list(node, items)
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name) as group], keywords=[]):
            count = _fact(group, name)
            if FACT_KINDS[name] is not Kind.TEXTS:
                raise _refused(group, f"len({name})", "len of channels or offer_kinds")
            return (lambda facts: len(count(facts))), Kind.NUMBER
    raise _refused(node, repr(ast.unparse(node)), "facts, numbers, quoted text, lists, comparisons, and, or, not")


def _fact(node: ast.Name, name: str) -> Closure:
    if name not in FACT_KINDS:
        known = ", ".join(FACT_KINDS)
        raise _refused(node, f"unknown name {name!r}", f"the facts {known}", nearest(name, FACT_KINDS))
    return operator.attrgetter(name)


def _constant(node: ast.expr) -> tuple[Decimal | str, Kind]:
    sign, constant = (-1, node.operand) if isinstance(node, ast.UnaryOp) else (1, node)
    value = constant.value if isinstance(constant, ast.Constant) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        # repr of a float is the shortest text that means it: 0.15 stays 0.15
        number = Decimal(repr(value))
        if number.is_finite():
            return sign * number, Kind.NUMBER
    if isinstance(value, str) and sign == 1:
        return value, Kind.TEXT
    raise _refused(node, repr(ast.unparse(node)), "a number or quoted text")


def _list(node: ast.expr, items: list[ast.expr]) -> tuple[Closure, Kind]:
    constants = [_constant(item) for item in items]
    kinds = {kind for _, kind in constants}
    if len(kinds) > 1:
        raise _refused(node, "numbers and texts in one list", "a list of numbers, or a list of texts")
    group = tuple(value for value, _ in constants)
    return (lambda _facts: group), _LISTS[kinds.pop()]


def _refused(node: ast.expr, found: str, allowed: str, meant: str | None = None) -> ConditionInvalid:
    return ConditionInvalid(found=found, allowed=allowed, column=node.col_offset + 1, nearest=meant)


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "not available" if value is None else str(value)
