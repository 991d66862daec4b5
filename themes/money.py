"""Amounts as people write them, and as the books keep them: integer minor units."""

import re
from decimal import Decimal

#: ISO 4217: the currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_HUNDREDTHS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW
KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK
PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS
UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG
"""
EXPONENTS = dict.fromkeys(_HUNDREDTHS.split(), 2) | {
    code: exponent for exponent, codes in _EXPONENTS.items() for code in codes.split()
}
_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$", "CNY": "¥", "JPY": "¥", "KRW": "₩", "INR": "₹"}
_WRITTEN = re.compile(r"([0-9]{1,13})(?:\.([0-9]+))?")


class AmountUnreadable(ValueError):
    """An amount is a decimal string such as "20.00", with no more decimals than its currency has."""

    def __init__(self, *, currency: str) -> None:
        self.currency = currency
        self.allowed = f'a decimal string in {currency}, for example "{as_decimal(1999, currency)}"'
        super().__init__(f"not an amount; allowed: {self.allowed}")


def minor_units(written: str, currency: str) -> int:
    """The amount in minor units of a currency of `EXPONENTS`.

    Raises:
        AmountUnreadable: it is not a plain decimal of at most 13 digits with the currency's decimals.
    """
    match = _WRITTEN.fullmatch(written)
    exponent = EXPONENTS[currency]
    if match is None or len(match[2] or "") > exponent:
        raise AmountUnreadable(currency=currency)
    return int(match[1] + (match[2] or "").ljust(exponent, "0"))


def as_decimal(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-EXPONENTS[currency])


def in_words(minor: int, currency: str) -> str:
    """For people who compare and approve: `20.00 GBP`."""
    return f"{as_decimal(minor, currency):f} {currency}"


def with_sign(minor: int, currency: str) -> str:
    """For a message to a customer: `£20.00`, or `20.00 CHF` where no sign is common."""
    sign = _SIGNS.get(currency)
    return f"{sign}{as_decimal(minor, currency):f}" if sign else in_words(minor, currency)
