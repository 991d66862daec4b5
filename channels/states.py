"""The words of delivery: channels, states of a delivery, classes of error."""

from enum import StrEnum


class Channel(StrEnum):
    SMS = "sms"
    EMAIL = "email"
    PUSH = "push"
    MINI_PROGRAM = "mini_program"


class Purpose(StrEnum):
    """What a message is sent for."""

    THEME = "theme"
    CORRECTION = "correction"  # after a takedown, to those whom the theme had reached


class DeliveryState(StrEnum):
    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    HELD = "held"
    UNKNOWN = "unknown"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CAPPED = "capped"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: Nothing more happens to a delivery in one of these, unless a person retries it.
FINAL_STATES = frozenset(
    {
        DeliveryState.SENT,
        DeliveryState.DELIVERED,
        DeliveryState.FAILED,
        DeliveryState.SUPPRESSED,
        DeliveryState.CAPPED,
        DeliveryState.CANCELLED,
        DeliveryState.EXPIRED,
    }
)

#: The provider has these; their number equals the provider's own count.
REACHED_STATES = frozenset({DeliveryState.SENT, DeliveryState.DELIVERED})

#: The person has the message, or may have it.
MAY_BE_REACHED_STATES = REACHED_STATES | {DeliveryState.UNKNOWN}

#: A sender may claim these once their time has come.
CLAIMABLE_STATES = frozenset({DeliveryState.PLANNED, DeliveryState.RETRYING, DeliveryState.HELD})


class ErrorClass(StrEnum):
    """What a provider's refusal means for us, whatever words the provider uses."""

    BAD_RECIPIENT = "bad_recipient"  # the address is no good: suppress it
    UNSUBSCRIBED = "unsubscribed"  # the person opted out: suppress and record it
    CONTENT = "content"  # the message itself is refused: stop this channel's step, tell a person
    CONFIG = "config"  # credentials, template or balance: pause the account, alert
    THROTTLED = "throttled"  # too fast: back off
    DOWN = "down"  # the provider is out of order, or was never reached: back off
    TOKEN = "token"  # noqa: S105 - the class of an expired credential, not a credential
    QUOTA = "quota"  # used up until the next window
    UNKNOWN_OUTCOME = "unknown_outcome"  # the provider may have it: never sent again blindly
    UNRECOGNISED = "unrecognised"  # refused in a term that no table of ours knows: a person looks


#: Worth another try by the engine itself.
TRANSIENT_CLASSES = frozenset({ErrorClass.THROTTLED, ErrorClass.DOWN, ErrorClass.TOKEN, ErrorClass.QUOTA})
