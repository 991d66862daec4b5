"""What WeChat lets a field of a subscribe message hold.

Source: developers.weixin.qq.com, "subscribe message", parameter limits.
The kind is the field's name without its number.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

_DATE = r"(\d{4}年\d{1,2}月\d{1,2}日|\d{4}-\d{1,2}-\d{1,2})"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2})?"
_MOMENT = rf"({_DATE}( {_CLOCK})?|{_CLOCK})"
_CJK = r"[\u3400-\u9fff\uf900-\ufaff]"

#: kind -> (pattern that the whole value has to match, the rule in words)
RULES: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        kind: (re.compile(pattern, re.DOTALL), rule)
        for kind, pattern, rule in (
            ("thing", r".{1,20}", "1 to 20 characters"),
            ("number", r"(?=.{1,32}$)-?\d+(\.\d+)?", "a number of at most 32 digits"),
            ("letter", r"[A-Za-z]{1,32}", "1 to 32 letters"),
            ("symbol", r"[^\w\s]{1,5}", "1 to 5 symbols"),
            ("character_string", r"[\x21-\x7e ]{1,32}", "1 to 32 letters, digits or symbols, no Chinese"),
            ("time", rf"{_MOMENT}(~{_MOMENT})?", "a time such as 15:01 or 2019年10月1日 15:01"),
            ("date", rf"{_DATE}( {_CLOCK})?(~{_DATE}( {_CLOCK})?)?", "a date such as 2019年10月1日"),
            ("amount", r"[^\w\s.,-]?\d{1,10}(\.\d{1,2})?元?", "a currency sign and at most 10 digits"),
            ("phone_number", r"[\d+()\- ]{1,17}", "a telephone number of at most 17 characters"),
            ("car_number", r".{1,8}", "1 to 8 characters"),
            ("name", rf"({_CJK}{{1,10}}|[A-Za-z .'\-]{{1,20}})", "10 Chinese or 20 Latin letters at most"),
            ("phrase", rf"{_CJK}{{1,5}}", "1 to 5 Chinese characters"),
            ("const", r".{1,}", "one of the values that the template lists"),
            ("enum", r".{1,}", "one of the values that the template lists"),
        )
    }
)
KINDS = frozenset(RULES)
_FIELD = re.compile(r"([a-z_]+)\d+", re.ASCII)


def kind_of(field: str) -> str | None:
    """`thing` for `thing1`; None where WeChat has no such kind."""
    match = _FIELD.fullmatch(field)
    return match[1] if match and match[1] in RULES else None


def broken_rule(field: str, value: str) -> str | None:
    """The rule that the value breaks, in words."""
    kind = kind_of(field)
    if kind is None:
        return f"a field that WeChat knows ({', '.join(sorted(KINDS))}, each with a number)"
    pattern, rule = RULES[kind]
    return None if pattern.fullmatch(value) else rule
