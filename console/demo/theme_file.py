"""The example theme, moved to now: its dates are made to lie just ahead."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

EXAMPLE = Path("examples/womens-day/theme.yaml")
_FORMAT = "%Y-%m-%dT%H:%M:%S"


def theme_starting(start: datetime, *, source: Path, changes: dict[str, Any]) -> str:
    """The example's text with its window beginning at `start`, lasting three days, and some fields changed."""
    theme = yaml.safe_load(source.read_text(encoding="utf-8"))
    end = start + timedelta(days=3)
    theme["window"] = {"from": _local(start), "to": _local(end)}
    for coupon in theme["coupons"]:
        if "claim" in coupon:
            coupon["claim"] = {"from": _local(start), "to": _local(end - timedelta(minutes=1))}
        if "from" in coupon.get("valid", {}):
            coupon["valid"] = {"from": _local(start), "to": _local(end + timedelta(days=20))}
    theme["placements"] = [{"place": one["place"]} for one in theme["placements"]]
    return str(yaml.safe_dump({**theme, **changes}, allow_unicode=True, sort_keys=False))


def _local(moment: datetime) -> str:
    return moment.strftime(_FORMAT)
