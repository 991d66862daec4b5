"""How many segments a text message takes: 3GPP TS 23.038 for the alphabet, TS 23.040 for what joins the parts."""

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_ESCAPED = frozenset("^{}\\[~]|€\f")  # two septets each

_SEPTETS_ALONE, _SEPTETS_JOINED = 160, 153
_UNITS_ALONE, _UNITS_JOINED = 70, 67


def segments_of(text: str) -> int:
    """Segments of one message, at least one. What is not in the GSM alphabet makes the whole text UCS-2."""
    if all(character in _GSM or character in _GSM_ESCAPED for character in text):
        widths = [2 if character in _GSM_ESCAPED else 1 for character in text]
        return _parts(widths, alone=_SEPTETS_ALONE, joined=_SEPTETS_JOINED)
    widths = [2 if ord(character) > 0xFFFF else 1 for character in text]  # noqa: PLR2004 - beyond: a pair of units
    return _parts(widths, alone=_UNITS_ALONE, joined=_UNITS_JOINED)


def _parts(widths: list[int], *, alone: int, joined: int) -> int:
    """No character is torn between two parts."""
    if sum(widths) <= alone:
        return 1
    parts, room = 1, joined
    for width in widths:
        if width > room:
            parts, room = parts + 1, joined
        room -= width
    return parts
