"""The shape of a JPush push object, checked against the limits of REST v3."""

import re
from typing import Any

MAX_REGISTRATION_IDS = 1000
_MAX_TIME_TO_LIVE = 15 * 86_400
_PLATFORMS = frozenset({"android", "ios", "quickapp", "hmos"})
_REGISTRATION_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class PushRefused(Exception):
    """JPush answers with an error code of its own."""

    def __init__(self, status: int, code: int, message: str, *, messages: int = 1) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.messages = messages


def check_push(push: dict[str, Any]) -> None:
    """What every push must hold: a platform, and something to show. Raises PushRefused."""
    platform = push.get("platform")
    if platform is None:
        raise PushRefused(400, 1002, "platform is missing")
    if platform != "all" and not _are_platforms(platform):
        raise PushRefused(400, 1003, f"platform must be all or a list of {', '.join(sorted(_PLATFORMS))}")
    shown = push.get("notification") or push.get("message")
    if not isinstance(shown, dict):
        raise PushRefused(400, 1002, "notification or message is missing")
    if push.get("notification") and not _has_alert(push["notification"]):
        raise PushRefused(400, 1002, "notification.alert is missing")
    _check_options(push.get("options", {}))


def check_single(push: object) -> str:
    """The target of a single push. Raises PushRefused."""
    if not isinstance(push, dict):
        raise PushRefused(400, 1003, "A push must be a JSON object")
    check_push(push)
    target = push.get("target")
    if not _is_registration_id(target):
        raise PushRefused(400, 1003, "target is not a registration id")
    return str(target)


def audience_of(push: dict[str, Any]) -> list[str]:
    """The registration ids of a push; tags, aliases and `all` reach nobody that the sandbox could record."""
    audience = push.get("audience")
    if audience is None:
        raise PushRefused(400, 1002, "audience is missing")
    ids = audience.get("registration_id") if isinstance(audience, dict) else None
    if not isinstance(ids, list):
        raise PushRefused(400, 1003, "The sandbox takes an audience of registration_id only")
    if not 0 < len(ids) <= MAX_REGISTRATION_IDS:
        message = f"registration_id must hold 1 to {MAX_REGISTRATION_IDS} ids"
        raise PushRefused(400, 1003, message, messages=max(len(ids), 1))
    if not all(_is_registration_id(found) for found in ids):
        raise PushRefused(400, 1003, "A registration id has a wrong format", messages=len(ids))
    return list(ids)


def _are_platforms(found: object) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(n, str) and n in _PLATFORMS for n in found)


def _has_alert(notification: object) -> bool:
    if not isinstance(notification, dict):
        return False
    parts = [part for part in notification.values() if isinstance(part, dict)]
    return bool(notification.get("alert")) or any(part.get("alert") for part in parts)


def _check_options(options: object) -> None:
    seconds = options.get("time_to_live", 0) if isinstance(options, dict) else None
    if not isinstance(seconds, int) or not 0 <= seconds <= _MAX_TIME_TO_LIVE:
        raise PushRefused(400, 1003, f"options.time_to_live must be from 0 to {_MAX_TIME_TO_LIVE} seconds")


def _is_registration_id(found: object) -> bool:
    return isinstance(found, str) and _REGISTRATION_ID.fullmatch(found) is not None
