"""The theme that scenarios are about, as its file is written: the example, with one coupon and one activity."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from tests.integration.scene import EXAMPLES

COUPON, ACTIVITY = "wander-20", "tea-3-for-2"
_SHORT = {"women-20-off-100": COUPON, "tea-lights-3-for-2": ACTIVITY}
_LISTS = ("coupons", "activities")


def _read() -> dict[str, Any]:
    text = (EXAMPLES / "womens-day" / "theme.yaml").read_text(encoding="utf-8")
    theme: dict[str, Any] = yaml.safe_load(text)
    for name in _LISTS:
        theme[name] = [offer | {"id": _SHORT[offer["id"]]} for offer in theme[name] if offer["id"] in _SHORT]
    del theme["coupons"][0]["claim"]  # claimed as long as the theme is live, whenever that is
    sms = {"account": "sms-main", "text": "Women's Day is on us: {{ link }}"}
    return theme | {"exclusions": [], "channels": {"sms": sms}, "placements": []}


_EXAMPLE = _read()


@dataclass(frozen=True, slots=True)
class ThemeText:
    """A theme file that people edit. Each edit gives a new one."""

    content: dict[str, Any]

    @classmethod
    def new(cls, **changes: object) -> "ThemeText":
        return cls(deepcopy(_EXAMPLE) | changes)

    def with_field(self, field: str, value: str) -> "ThemeText":
        return self._edited(lambda content: content.update({field: value}))

    def with_offer_field(self, offer: str, field: str, value: str) -> "ThemeText":
        written = int(value) if value.isdigit() else value
        return self._edited(lambda content: self._offer(content, offer).update({field: written}))

    def without_offer(self, offer: str) -> "ThemeText":
        def drop(content: dict[str, Any]) -> None:
            for name in _LISTS:
                content[name] = [one for one in content[name] if one["id"] != offer]

        return self._edited(drop)

    def with_coupon(self, offer: str) -> "ThemeText":
        coupon = deepcopy(_EXAMPLE["coupons"][0]) | {"id": offer, "name": offer}
        return self._edited(lambda content: content["coupons"].append(coupon))

    def written(self) -> str:
        return str(yaml.safe_dump(self.content, allow_unicode=True, sort_keys=False))

    def _edited(self, edit: Callable[[dict[str, Any]], object]) -> "ThemeText":
        content = deepcopy(self.content)
        edit(content)
        return ThemeText(content)

    def _offer(self, content: dict[str, Any], offer: str) -> dict[str, Any]:
        return next(one for name in _LISTS for one in content[name] if one["id"] == offer)
