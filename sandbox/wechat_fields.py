"""The limits of a subscribe message's fields, which follow from the name of the key (`thing3`, `time1`)."""

import re
from collections.abc import Collection
from functools import lru_cache

_KEY = re.compile(r"([a-z_]+?)\d+")
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d"
_DAY = r"\d{4}年(?:0?[1-9]|1[0-2])月(?:0?[1-9]|[12]\d|3[01])日"
_MOMENT = rf"(?:{_DAY} ?{_CLOCK}|{_CLOCK})"
_DATE = rf"(?:{_DAY}(?: ?{_CLOCK})?)"
_CJK = r"[\u3400-\u9fff]"
_LIMITS = {
    prefix: re.compile(pattern)
    for prefix, pattern in {
        "thing": r".{1,20}",
        "number": r"-?(?=[\d.]{1,32}$)\d+(?:\.\d+)?",
        "letter": r"[A-Za-z]{1,32}",
        "symbol": r"[^\w\s]{1,5}",
        "character_string": r"[!-~ ]{1,32}",
        "time": rf"{_MOMENT}(?: ?~ ?{_MOMENT})?",
        "date": rf"{_DATE}(?: ?~ ?{_DATE})?",
        "amount": r"[^\w\s]?\d{1,10}(?:\.\d+)?元?",
        "phone_number": r"[\d+*() #-]{1,17}",
        "car_number": r".{1,8}",
        "name": rf"(?:{_CJK}|·){{1,10}}|[^\u3400-\u9fff]{{1,20}}",
        "phrase": rf"{_CJK}{{1,5}}",
        "enum": r".{1,64}",
        "const": r".{1,64}",
    }.items()
}


def problem_of(data: object, keys: Collection[str] | None) -> str | None:
    """What is wrong with the fields, in WeChat's words; None if nothing. `keys` None: the template may have any."""
    if not isinstance(data, dict) or not data:
        return "data is empty"
    for key in keys or ():
        if key not in data:
            return f"data.{key}.value is empty"
    for key, field in data.items():
        if keys is not None and key not in keys:
            return f"data.{key} is not in the template"
        if not _is_within_limits(key, field.get("value") if isinstance(field, dict) else None):
            return f"data.{key}.value invalid"
    return None


@lru_cache(maxsize=1024)
def _limit_of(key: str) -> re.Pattern[str] | None:
    named = _KEY.fullmatch(key)
    return _LIMITS.get(named[1]) if named else None


def _is_within_limits(key: str, value: object) -> bool:
    limit = _limit_of(key)
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    return limit is not None and isinstance(text, str) and limit.fullmatch(text) is not None
