"""The language of messages: sandboxed Jinja2 with few names, few filters, and no way to be silent about a gap."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, Template, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer

from channels.states import Channel
from themes.money import with_sign
from themes.notation import Money
from themes.theme import Offer, Period, Scope, Theme, Validity

#: Jinja's own filters that only shape text. `safe` is not among them: what a customer is called is never markup.
_JINJA_FILTERS = [
    "abs",
    "capitalize",
    "d",
    "default",
    "e",
    "escape",
    "first",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "reverse",
    "round",
    "sort",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
]
_JINJA_TESTS = [
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "integer",
    "boolean",
    "eq",
    "==",
    "equalto",
    "ne",
    "!=",
    "gt",
    ">",
    "ge",
    ">=",
    "lt",
    "<",
    "le",
    "<=",
    "in",
    "even",
    "odd",
    "divisibleby",
    "lower",
    "upper",
    "sequence",
    "iterable",
    "mapping",
    "filter",
    "test",
]
#: The same for every recipient of a theme, and different for each.
THEME_NAMES = frozenset({"coupon", "activity", "window", "theme"})
RECIPIENT_NAMES = frozenset({"customer", "link", "unsubscribe_link", "code"})
#: Asked with the id of a coupon: the recipient's own code for it.
CODE = "code"
NAMES = THEME_NAMES | RECIPIENT_NAMES
_MAX_TEXT = 100_000


class NotThere(Exception):
    """A message needs a value that this recipient does not have."""

    def __init__(self, variable: str) -> None:
        self.variable = variable
        super().__init__(
            f"{variable} is missing; use `{{{{ {variable} | default(…) }}}}` where a recipient may lack it"
        )


class Record:
    """Named values as a template sees them, read only. A value that is missing or blank counts as not there."""

    __slots__ = ("__dict__", "_label")

    def __init__(self, label: str, values: Mapping[str, Any]) -> None:
        self._label = label
        self.__dict__ = {name: value for name, value in values.items() if value is not None and value != ""}

    def __str__(self) -> str:
        raise NotThere(f"{self._label}.{next(iter(self.__dict__), 'name')}")


class Missing(StrictUndefined):
    """Every use but `is defined` and `default` tells the whole name of what is missing."""

    def _fail_with_undefined_error(self, *_args: Any, **_kwargs: Any) -> NoReturn:  # noqa: ANN401 - as Jinja calls it
        owner = self._undefined_obj
        label = f"{owner._label}." if isinstance(owner, Record) else ""  # noqa: SLF001 - the label is kept from templates only
        raise NotThere(f"{label}{self._undefined_name}")

    __iter__ = __str__ = __len__ = __bool__ = __hash__ = _fail_with_undefined_error
    __eq__ = __ne__ = __contains__ = _fail_with_undefined_error
    __add__ = __radd__ = __mod__ = __mul__ = __sub__ = __getitem__ = __call__ = _fail_with_undefined_error
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = __html__ = _fail_with_undefined_error


class MessageEnvironment(ImmutableSandboxedEnvironment):
    """Without loops over ranges, powers or long repetitions: a template cannot hold up a sender."""

    intercepted_binops = frozenset({"**", "*"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - as Jinja calls it
        if operator == "**" or not all(isinstance(side, int | float | Decimal) for side in (left, right)):
            raise SecurityError(f"{operator} works on numbers only, and powers are not available")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - as Jinja calls it
        if type(obj) is Record:  # ours, all of it public: no need for the sandbox's questions
            return obj.__dict__[attribute] if attribute in obj.__dict__ else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


_DIRECTIVE = re.compile(r"%-?[A-Za-z%]")
#: The form that WeChat demands; elsewhere the one that every country reads the same.
_NOTATIONS = MappingProxyType(
    {
        True: ("%Y年%-m月%-d日", "%Y年%-m月%-d日 %H:%M"),
        False: ("%Y-%m-%d", "%Y-%m-%d %H:%M"),
    }
)


def _formatter(default: str) -> Callable[..., str]:
    def formatted(value: datetime, notation: str = default) -> str:
        if not isinstance(value, datetime):
            raise TypeError(f"a time is needed here, not {value!r}")
        return _DIRECTIVE.sub(lambda directive: value.strftime(directive[0]), notation)

    return formatted


def _money(value: Money) -> str:
    if not isinstance(value, Money):
        raise TypeError(f"an amount is needed here, not {value!r}")
    return with_sign(value.minor, value.currency)


def _truncate_chars(value: object, length: int, end: str = "…") -> str:
    """At most `length` characters, the end sign among them; combined characters of one code point count as one."""
    text = str(value)
    return text if len(text) <= length else text[: max(length - len(end), 0)].rstrip() + end[:length]


@lru_cache
def environment(*, html: bool = False, chinese_dates: bool = False) -> MessageEnvironment:
    date, moment = _NOTATIONS[chinese_dates]
    made = MessageEnvironment(undefined=Missing, autoescape=html, keep_trailing_newline=True, cache_size=0)
    made.globals = {}
    made.tests = {name: TESTS[name] for name in _JINJA_TESTS}
    made.filters = {
        **{name: FILTERS[name] for name in _JINJA_FILTERS},
        "date": _formatter(date),
        "datetime": _formatter(moment),
        "time": _formatter("%H:%M"),
        "money": _money,
        "truncate_chars": _truncate_chars,
    }
    return made


def environment_of(channel: Channel, *, html: bool = False) -> MessageEnvironment:
    return environment(html=html, chinese_dates=channel is Channel.MINI_PROGRAM)


def theme_names(theme: Theme) -> dict[str, Any]:
    """What every message of the theme can name: `coupon`, `activity`, `window`, `theme`."""
    coupons = {offer.id: _offer_record(offer, theme.zone) for offer in theme.coupons}
    activities = {offer.id: _offer_record(offer, theme.zone) for offer in theme.activities}
    facts = {"key": theme.key, "title": theme.title, "currency": theme.currency, "timezone": theme.timezone}
    return {
        "coupon": _lookup("coupon", coupons),
        "activity": _lookup("activity", activities),
        "window": _period_record("window", theme.window, theme.zone),
        "theme": Record("theme", facts),
    }


def _lookup(noun: str, records: Mapping[str, Record]) -> Callable[[str], Record]:
    def look_up(offer_id: str) -> Record:
        try:
            return records[offer_id]
        except KeyError:
            raise NotThere(f"{noun}('{offer_id}')") from None

    return look_up


def code_name(coupon: str) -> str:
    return f"{CODE}('{coupon}')"


def codes_by_coupon(codes: Mapping[str, str]) -> Callable[[str], object]:
    """What `code` is in a template: one recipient's codes, by the id of the coupon."""

    def look_up(coupon: str) -> object:
        return codes[coupon] if coupon in codes else Missing(name=code_name(coupon))

    return look_up


#: What a template can ask of an offer beside the parameters of its preset, and of a window.
OFFER_ATTRIBUTES = frozenset(
    {"id", "name", "description", "preset", "total", "per_customer", "per_day", "claim", "valid"}
)
WINDOW_ATTRIBUTES = frozenset({"from", "to"})
THEME_ATTRIBUTES = frozenset({"key", "title", "currency", "timezone"})


def _offer_record(offer: Offer, zone: ZoneInfo) -> Record:
    label = f"{offer.kind}('{offer.id}')"
    common = {name: getattr(offer, name) for name in OFFER_ATTRIBUTES - {"claim", "valid"}}
    periods = {
        "claim": _period_record(f"{label}.claim", offer.claim, zone) if offer.claim else None,
        "valid": _period_record(f"{label}.valid", offer.valid, zone),
    }
    parameters = {name: value for name, value in offer.parameters.items() if not isinstance(value, Scope)}
    return Record(label, {**parameters, **common, **periods})


def _period_record(label: str, period: Period | Validity, zone: ZoneInfo) -> Record:
    times = {
        "from": period.starts_at.astimezone(zone) if period.starts_at else None,
        "to": period.ends_at.astimezone(zone) if period.ends_at else None,
    }
    return Record(label, {**times, "days": getattr(period, "days", None)})


class _Inlining(NodeTransformer):
    def __init__(self, values: Mapping[str, nodes.Expr]) -> None:
        self.values = values

    def visit_Name(self, node: nodes.Name) -> nodes.Expr:  # noqa: N802 - as Jinja calls it
        return self.values.get(node.name, node) if node.ctx == "load" else node


def inline_assignments(tree: nodes.Template) -> nodes.Template:
    """Put `{% set x = coupon('…') %}` of the outermost level in place of each `x`: the same for every recipient."""
    stored = Counter(node.name for node in tree.find_all(nodes.Name) if node.ctx != "load")
    values: dict[str, nodes.Expr] = {}
    for statement in tree.body:
        target = statement.target if isinstance(statement, nodes.Assign) else None
        if isinstance(statement, nodes.Assign) and isinstance(target, nodes.Name) and stored[target.name] == 1:
            value = _Inlining(values).visit(nodes.Output([statement.node])).nodes[0]
            if names_in(value) <= THEME_NAMES:
                values[target.name] = value
    gone = [
        node for node in tree.body if isinstance(node, nodes.Assign) and getattr(node.target, "name", None) in values
    ]
    tree.body = [_Inlining(values).visit(node) for node in tree.body if node not in gone]
    return tree


def names_in(node: nodes.Node) -> set[str]:
    inner = {name.name for name in node.find_all(nodes.Name)}
    return inner | {node.name} if isinstance(node, nodes.Name) else inner


def line_of_failure(error: BaseException, template: Template) -> int | None:
    """The line of the template in which the error came up."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(step.tb_lineno)
        step = step.tb_next
    return line
