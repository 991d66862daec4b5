"""Links of a letter: only ours are read, and none leads anywhere but where the letter did."""

import hmac
from base64 import urlsafe_b64decode
from html import unescape
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some

from approval.secrecy import Cipher, new_key
from channels.message import EmailContent
from themes.recipient import RecipientLinks, links
from themes.signed_links import PURPOSE, LinkKind, LinkSigner, Tracking

KEY, OTHER = b"k" * 32, b"o" * 32
SIGNER = LinkSigner([KEY])
DELIVERY = UUID("7d9f2b6e-8c1d-8a4e-9f00-1234567890ab")
PUBLIC = "https://go.example.org"
SHOP = "https://shop.example/sale?a=1&b=2"


def letter(html: str) -> EmailContent:
    return EmailContent(subject="s", text="t", html=html)


def tracked(html: str, *, opens: bool = True, clicks: bool = True) -> str:
    tracking = Tracking(signer=SIGNER, public_url=PUBLIC, opens=opens, clicks=clicks)
    return tracking.tracked(letter(html), DELIVERY).html


def test_token_is_the_delivery_and_an_hmac_over_it() -> None:
    token = SIGNER.token(LinkKind.CLICKED, DELIVERY, SHOP)
    raw = urlsafe_b64decode(token + "=")
    expected = hmac.digest(KEY, b"c\0" + DELIVERY.bytes + SHOP.encode(), "sha256")
    assert (raw[:16], raw[16:]) == (DELIVERY.bytes, expected[:16])


@given(delivery_id=some.uuids(), target=some.text())
def test_a_link_is_read_back_only_for_what_it_was_made_for(delivery_id: UUID, target: str) -> None:
    target = target.encode("utf-8", "ignore").decode()
    token = SIGNER.token(LinkKind.CLICKED, delivery_id, target)
    assert len(token) == 43
    assert SIGNER.delivery_of(LinkKind.CLICKED, token, target) == delivery_id
    assert SIGNER.delivery_of(LinkKind.CLICKED, token, target + "x") is None
    assert SIGNER.delivery_of(LinkKind.OPENED, token, target) is None
    assert LinkSigner([OTHER]).delivery_of(LinkKind.CLICKED, token, target) is None


@given(text=some.one_of(some.text(max_size=60), some.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True)))
def test_made_up_token_is_nobodys(text: str) -> None:
    assert SIGNER.delivery_of(LinkKind.UNSUBSCRIBE, text) is None


def test_changing_any_character_of_a_token_makes_it_nobodys() -> None:
    token = SIGNER.token(LinkKind.UNSUBSCRIBE, DELIVERY)
    for place in range(len(token) - 1):
        other = "A" if token[place] != "A" else "B"
        assert SIGNER.delivery_of(LinkKind.UNSUBSCRIBE, token[:place] + other + token[place + 1 :]) is None


def test_links_of_before_a_new_key_work_for_as_long_as_the_old_one_is_kept() -> None:
    old, new = new_key(), new_key()
    token = LinkSigner(Cipher([old]).keys_for(PURPOSE)).token(LinkKind.UNSUBSCRIBE, DELIVERY)
    both = LinkSigner(Cipher([new, old]).keys_for(PURPOSE))
    assert both.delivery_of(LinkKind.UNSUBSCRIBE, token) == DELIVERY
    assert LinkSigner(Cipher([new]).keys_for(PURPOSE)).delivery_of(LinkKind.UNSUBSCRIBE, token) is None
    assert both.token(LinkKind.UNSUBSCRIBE, DELIVERY) != token


def test_keys_of_different_purposes_and_of_a_passphrase_differ_and_stay_the_same() -> None:
    cipher = Cipher(["a passphrase of some length", new_key()])
    assert len({*cipher.keys_for("a"), *cipher.keys_for("b")}) == 4
    assert Cipher(["a passphrase of some length"]).keys_for("a") == cipher.keys_for("a")[:1]
    assert all(len(key) == 32 for key in cipher.keys_for("a"))


def test_unsubscribe_link_names_its_delivery_and_is_signed() -> None:
    made = RecipientLinks("womens day", public_url=PUBLIC, signer=SIGNER).of(DELIVERY)
    assert made["link"] == links("womens day", public_url=PUBLIC, reference="x")["link"]
    stem, _, token = made["unsubscribe_link"].rpartition("/")
    assert stem == f"{PUBLIC}/u"
    assert SIGNER.delivery_of(LinkKind.UNSUBSCRIBE, token) == DELIVERY


@pytest.mark.parametrize(
    "anchor",
    [
        '<a href="https://shop.example/sale?a=1&amp;b=2">x</a>',
        "<a class='b' href='https://shop.example/sale?a=1&amp;b=2'>x</a>",
        '<A target=_blank\n HREF = "https://shop.example/sale?a=1&b=2">x</A>',
    ],
)
def test_click_leads_through_us_to_the_address_that_the_letter_held(anchor: str) -> None:
    html = tracked(anchor, opens=False)
    address = urlsplit(unescape(html.split('"')[-2]))
    token, to = address.path.rpartition("/")[2], parse_qs(address.query)["to"][0]
    assert f"{address.scheme}://{address.netloc}" == PUBLIC
    assert to == SHOP
    assert SIGNER.delivery_of(LinkKind.CLICKED, token, to) == DELIVERY


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:a@example.org">x</a>',
        '<a href="#top">x</a>',
        '<a href="tel:+44">x</a>',
        f'<a href="{PUBLIC}/u/token">out</a>',
        '<a name="here">x</a>',
        '<link href="https://cdn.example/x.css">',
        "https://shop.example is not a link",
    ],
)
def test_what_is_no_address_of_the_web_stays_as_it_is(html: str) -> None:
    assert tracked(html, opens=False) == html


def test_image_stands_at_the_end_of_the_body() -> None:
    html = tracked("<html><body>hello</BODY></html>", clicks=False)
    before, _, after = html.partition("<img ")
    assert before == "<html><body>hello"
    assert after.endswith("></BODY></html>")
    token = after.partition(f"{PUBLIC}/o/")[2].partition(".gif")[0]
    assert SIGNER.delivery_of(LinkKind.OPENED, token) == DELIVERY
    assert tracked("no body", clicks=False).startswith("no body<img ")


def test_what_is_switched_off_is_not_in_the_letter() -> None:
    html = '<body><a href="https://shop.example">x</a></body>'
    assert tracked(html, opens=False, clicks=False) == html
    assert "<img" not in tracked(html, opens=False)
    assert "/c/" not in tracked(html, clicks=False)


def test_letter_of_text_alone_stays_as_it_is() -> None:
    content = EmailContent(subject="s", text="see https://shop.example")
    tracking = Tracking(signer=SIGNER, public_url=PUBLIC, opens=True, clicks=True)
    assert tracking.tracked(content, uuid4()) is content
