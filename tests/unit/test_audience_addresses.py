import pytest

from audience.addresses import InvalidAddress, NormalisedAddress, normalise
from channels.states import Channel


@pytest.mark.parametrize(
    ("channel", "country", "original", "address"),
    [
        (Channel.SMS, "GB", "07700 900123", "+447700900123"),
        (Channel.SMS, "GB", "+44 7700 900123", "+447700900123"),
        (Channel.SMS, "GB", "0044 (0)7700 900 123", "+447700900123"),
        (Channel.SMS, "DE", "+44 7700 900123", "+447700900123"),  # abroad with a number from home
        (Channel.SMS, "FR", "06 39 98 00 01", "+33639980001"),
        (Channel.SMS, "CY", "+88800000012370", "+88800000012370"),
        (Channel.EMAIL, "GB", "  Ann@Shop.EXAMPLE.com ", "ann@shop.example.com"),
        (Channel.EMAIL, "DE", "ann@bücher.example", "ann@xn--bcher-kva.example"),
        (Channel.EMAIL, "GB", "a.b+tag@example.com", "a.b+tag@example.com"),
        (Channel.PUSH, "GB", " 1a0018970a000002f3a\n", "1a0018970a000002f3a"),
        (Channel.MINI_PROGRAM, "GB", "oAbC_0", "oAbC_0"),  # openids tell cases apart
    ],
)
def test_an_address_gets_the_one_spelling_of_its_channel(
    channel: Channel, country: str, original: str, address: str
) -> None:
    assert normalise(channel, original, country=country) == NormalisedAddress(address=address, original=original)


@pytest.mark.parametrize(
    ("channel", "original", "reason"),
    [
        (Channel.SMS, "", "no phone number"),
        (Channel.SMS, "call me", "no phone number"),
        (Channel.SMS, "07700", "no possible phone number"),
        (Channel.SMS, "+999123456789", "no phone number"),
        (Channel.EMAIL, "", "the @ is missing"),
        (Channel.EMAIL, "ann", "the @ is missing"),
        (Channel.EMAIL, "@example.com", "what stands before the @"),
        (Channel.EMAIL, "a..b@example.com", "what stands before the @"),
        (Channel.EMAIL, "ann smith@example.com", "what stands before the @"),
        (Channel.EMAIL, "ann\r\nBcc: x@example.com", "what stands before the @"),
        (Channel.EMAIL, "a@b@example.com", "what stands before the @"),
        (Channel.EMAIL, "ann@localhost", "the domain is none"),
        (Channel.EMAIL, "ann@exa mple.com", "the domain is none"),
        (Channel.EMAIL, "ann@.com", "the domain is none"),
        (Channel.EMAIL, "ann@" + "a" * 64 + ".com", "the domain is none"),
        (Channel.EMAIL, "a" * 65 + "@example.com", "what stands before the @"),
        (Channel.EMAIL, "a" * 60 + "@" + ".".join(["b" * 60] * 4), "longer than 254"),
        (Channel.PUSH, "  ", "no id"),
        (Channel.MINI_PROGRAM, "o'; DROP TABLE", "no id"),
    ],
)
def test_what_nobody_can_be_reached_by_is_invalid_with_the_reason(channel: Channel, original: str, reason: str) -> None:
    found = normalise(channel, original, country="GB")
    assert isinstance(found, InvalidAddress)
    assert reason in found.reason
    assert found.original == original
