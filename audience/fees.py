"""Stock codes of the retail data that are charges, not products."""

_FEES = {
    "POST": "Postage",
    "DOT": "Postage of the web shop",
    "C2": "Carriage",
    "M": "Manual entry",
    "D": "Discount",
    "S": "Samples",
    "B": "Bad debt",
    "AMAZONFEE": "Marketplace fee",
    "BANK CHARGES": "Bank charges",
    "CRUK": "Charity commission",
}
#: Gift vouchers are money paid ahead; their codes go on with a number and the amount.
_VOUCHER_PREFIX = "GIFT_"


def fee_name(code: str) -> str | None:
    """What an upper-case stock code charges for, None when it names a product."""
    if code.startswith(_VOUCHER_PREFIX):
        return "Gift voucher"
    return _FEES.get(code)
