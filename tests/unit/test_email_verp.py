from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.email.smtp import SmtpSettings
from channels.email.verp import LONGEST_LOCAL, ReturnPath

DELIVERY = UUID("00000000-0000-5000-8000-0000000000aa")
OURS = ReturnPath(address="bounces@shop.example", key=b"a key of the account")


@given(st.uuids())
def test_delivery_is_read_back_whatever_becomes_of_the_letters_case(delivery: UUID) -> None:
    assert OURS.delivery_of(OURS.of(delivery)) == delivery
    assert OURS.delivery_of(f" <{OURS.of(delivery).upper()}>") == delivery


def test_local_part_of_the_longest_address_has_64_characters() -> None:
    path = ReturnPath(address="b" * LONGEST_LOCAL + "@shop.example", key=b"key")
    assert len(path.of(DELIVERY).partition("@")[0]) == 64


@pytest.mark.parametrize(
    "address",
    [
        OURS.of(DELIVERY).replace("aa=", "ab="),  # another delivery under this signature
        ReturnPath(address="bounces@shop.example", key=b"another key").of(DELIVERY),
        OURS.of(DELIVERY).replace("shop.example", "evil.example"),
        OURS.of(DELIVERY).replace("bounces", "news"),
        OURS.of(DELIVERY).replace("=", "-"),
        f"bounces+{DELIVERY.hex}@shop.example",
        "bounces@shop.example",
        "",
    ],
)
def test_address_that_we_never_wrote_is_of_no_delivery(address: str) -> None:
    assert OURS.delivery_of(address) is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bounce_address": "bounces@shop.example"}, "give both or neither"),
        ({"bounce_key": "k" * 16}, "give both or neither"),
        ({"bounce_address": "bounces", "bounce_key": "k" * 16}, "must be an address"),
        ({"bounce_address": f"{'b' * 15}@shop.example", "bounce_key": "k" * 16}, "14 characters"),
        ({"bounce_address": "bounces@shop.example", "bounce_key": "short"}, "at least 16"),
        ({"message_id_domain": "shop.example\r\nX: y"}, "must be a domain"),
        ({"sender_name": "Shop\r\nBcc: evil@x.example"}, "line break"),
    ],
)
def test_settings_say_what_is_wrong_with_them(given: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SmtpSettings.model_validate({"host": "mail.example", "sender": "news@shop.example", **given})
