"""Which provider's callbacks are read by what: one line each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from channels.callbacks import Callback, Heard
from channels.email import bounces
from channels.mini_program import wechat_events
from channels.push import jpush_receipts
from channels.sms import aliyun_receipts, twilio_receipts
from channels.states import Channel


class Reader(Protocol):
    """Reads one callback. `settings` are the account's, its secrets among them.

    Raises:
        CallbackRefused: it does not come from the provider.
        CallbackUnreadable: it is not in the provider's format.
    """

    def __call__(self, callback: Callback, *, settings: Mapping[str, Any], now: datetime) -> Heard: ...


#: Those whose signature covers all that they say and the address that they call: no part of it need be kept secret.
#: WeChat signs neither its body nor the address, and JPush shows a password.
SIGNED = frozenset({(Channel.SMS, "twilio")})

READERS: Mapping[tuple[Channel, str], Reader] = {
    (Channel.SMS, "aliyun"): aliyun_receipts.read,
    (Channel.SMS, "twilio"): twilio_receipts.read,
    (Channel.EMAIL, "smtp"): bounces.read,
    (Channel.PUSH, "jpush"): jpush_receipts.read,
    (Channel.MINI_PROGRAM, "wechat"): wechat_events.read,
}
