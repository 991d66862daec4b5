"""Reserved contact details for customers whose data has none: nobody can be reached by them.

They follow from the customer's number alone, so that importing again gives the same. E-mail is under example.com
(RFC 2606). Phone numbers come from what regulators keep free for fiction, country by country:

- GB, JE: Ofcom, telephone numbers for use in drama
- DE: Bundesnetzagentur, notice 148/2021 (drama numbers), and the mobile blocks named there
- FR: Arcep, numbers for audiovisual works
- IE: ComReg, 020 91X XXXX for drama use
- AU: ACMA, numbers for use in radio, television and film
- SE: PTS, numbers for books, film and television

Other countries keep none. Their customers, and those whose number falls outside a country's ranges, get one under +888,
which libphonenumber knows by an example (12345678901) and no network serves. Push and mini-program ids are made up.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from channels.states import Channel

#: Per cent of the registered customers who have an address on the channel, and who agree to marketing on it.
REACH: Mapping[Channel, int] = {
    Channel.EMAIL: 100,
    Channel.SMS: 90,
    Channel.PUSH: 60,
    Channel.MINI_PROGRAM: 55,
}
CONSENT_PERCENT = 95

#: (what a national number begins with, how many digits follow), in the order they are given out.
_UK_RANGES = (
    *(("07700 900", 3), ("01632 960", 3), ("020 7946 0", 3), ("0113 496 0", 3), ("0114 496 0", 3), ("0115 496 0", 3)),
    *(("0116 496 0", 3), ("0117 496 0", 3), ("0118 496 0", 3), ("0121 496 0", 3), ("0131 496 0", 3)),
    *(("0141 496 0", 3), ("0151 496 0", 3), ("0161 496 0", 3), ("0191 498 0", 3), ("028 9649 6", 3)),
    *(("029 2018 0", 3), ("03069 990", 3)),
)
FICTION_RANGES: Mapping[str, tuple[tuple[str, int], ...]] = {
    "GB": _UK_RANGES,
    "JE": _UK_RANGES,
    "DE": (
        *(("0171 39200", 2), ("0176 040690", 2), ("030 23125", 3), ("069 90009", 3), ("040 66969", 3)),
        *(("0221 4710", 3), ("089 99998", 3)),
    ),
    "FR": (("06 39 98 ", 4), ("01 99 00 ", 4), ("02 61 91 ", 4), ("03 53 01 ", 4), ("04 65 71 ", 4)),
    "IE": (("020 91", 5),),
    "AU": (("02 5550 ", 4), ("03 5550 ", 4), ("07 5550 ", 4), ("08 5550 ", 4), ("02 7010 ", 4)),
    "SE": (("08 465 004 ", 2), ("031 390 06 ", 2), ("040 628 04 ", 2)),
}
#: The customers of the data set are numbered from here on.
FIRST_CUSTOMER = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """An address as a customer would give it, not normalised, and whether marketing may use it."""

    channel: Channel
    address: str
    consent: bool


def contacts_of(customer_id: str, country: str) -> tuple[Contact, ...]:
    """The reserved contact details of a registered customer: all follow from the number and the country's ISO code."""
    return tuple(
        Contact(
            channel=channel,
            address=_ADDRESS[channel](int(customer_id), country),
            consent=_share(f"consent:{channel}:{customer_id}") < CONSENT_PERCENT,
        )
        for channel, percent in REACH.items()
        if _share(f"reach:{channel}:{customer_id}") < percent
    )


def display_name(customer_id: str) -> str:
    """What a message calls the customer; the data has no names, and most of its customers are gift shops."""
    return f"Gift Shop {customer_id}"


def reserved_email(number: int, country: str) -> str:
    return f"customer-{number}@{country.lower()}.example.com"


def reserved_phone(number: int, country: str) -> str:
    """A number of the country's fiction ranges as one would write it there, or an international one under +888."""
    slot = number - FIRST_CUSTOMER
    if slot >= 0:
        for prefix, digits in FICTION_RANGES.get(country, ()):
            if slot < 10**digits:
                return f"{prefix}{slot:0{digits}d}"
            slot -= 10**digits
    return f"+888{number:011d}"


def reserved_registration_id(number: int, _country: str) -> str:
    """Shaped like a JPush registration id: 19 hexadecimal digits."""
    return f"1a0018970a{number:09x}"


def reserved_openid(number: int, _country: str) -> str:
    """Shaped like a WeChat openid: an o and 27 more characters."""
    return f"oSandbox_{number:019d}"


_ADDRESS = {
    Channel.EMAIL: reserved_email,
    Channel.SMS: reserved_phone,
    Channel.PUSH: reserved_registration_id,
    Channel.MINI_PROGRAM: reserved_openid,
}


def _share(name: str) -> int:
    """0 to 99, evenly spread over names and always the same for one name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 100
