"""Following the links of a message over real HTTP: out of the list, the image of a letter, a click."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from approval.secrecy import Cipher, new_key
from channels.message import EmailContent
from channels.states import Channel
from models.database import Database
from tests.integration.delivery_world import until
from tests.integration.http_service import PUBLIC_URL, services_for, serving
from tests.integration.receipt_world import ReceiptWorld, Taken
from themes.recipient import RecipientLinks
from themes.signed_links import PURPOSE, LinkKind, LinkSigner, Tracking

CIPHER = Cipher([new_key()])
SIGNER = LinkSigner(CIPHER.keys_for(PURPOSE))
SECONDS = 20
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture(scope="module")
def origin(database_url: str) -> Iterator[str]:
    with serving(services_for(database_url, CIPHER)) as address:
        yield address


@pytest.fixture
def world(database: Database) -> ReceiptWorld:
    made = ReceiptWorld(database, channel=Channel.EMAIL)
    made.take()
    return made


def way_out(origin: str, one: Taken) -> str:
    link = RecipientLinks("theme", public_url=PUBLIC_URL, signer=SIGNER).of(one.id)["unsubscribe_link"]
    return link.replace(PUBLIC_URL, origin)


def letter(one: Taken, html: str) -> str:
    tracking = Tracking(signer=SIGNER, public_url=PUBLIC_URL, opens=True, clicks=True)
    return tracking.tracked(EmailContent(subject="s", text="t", html=html), one.id).html


def kept(world: ReceiptWorld) -> list[tuple[Any, ...]]:
    return world.world.rows(
        "SELECT kind, detail FROM receipts WHERE account_id = :account ORDER BY id", account=world.account_id
    )


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=SECONDS, allow_redirects=False)


def test_looking_at_the_way_out_changes_nothing(world: ReceiptWorld, origin: str) -> None:
    link = way_out(origin, world.deliveries[0])
    page = get(link)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert requests.head(link, timeout=SECONDS).status_code == 200
    assert (world.suppressed(), world.opted_out(), kept(world)) == ({}, set(), [])


@pytest.mark.parametrize("as_form", ["urlencoded", "multipart", "nothing"])
def test_one_post_takes_the_person_off_the_list_and_a_second_does_no_harm(
    world: ReceiptWorld, origin: str, as_form: str
) -> None:
    one = world.deliveries[0]
    sent: dict[str, Any] = {
        "urlencoded": {"data": ONE_CLICK},
        "multipart": {"files": {"List-Unsubscribe": (None, "One-Click")}},
    }
    for _ in range(2):
        answer = requests.post(way_out(origin, one), timeout=SECONDS, allow_redirects=False, **sent.get(as_form, {}))
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
    assert world.suppressed() == {one.address: "unsubscribed"}
    assert world.opted_out() == {one.customer_id}
    assert kept(world) == [("unsubscribed", "")]
    assert world.standing(one)[0] == "sent"


def test_who_agreed_again_can_leave_again_by_the_same_link(world: ReceiptWorld, origin: str) -> None:
    one = world.deliveries[0]
    requests.post(way_out(origin, one), data=ONE_CLICK, timeout=SECONDS)
    world.world.change("DELETE FROM suppressions WHERE product_line_id = :line")
    world.world.change("UPDATE consents SET granted = true WHERE customer_id = :id", id=one.customer_id)
    requests.post(way_out(origin, one), data=ONE_CLICK, timeout=SECONDS)
    assert (world.suppressed(), world.opted_out()) == ({one.address: "unsubscribed"}, {one.customer_id})


def test_made_up_way_out_leads_nowhere(world: ReceiptWorld, origin: str) -> None:
    link = way_out(origin, world.deliveries[0])
    other = LinkSigner([b"x" * 32]).token(LinkKind.UNSUBSCRIBE, world.deliveries[0].id)
    nobody = SIGNER.token(LinkKind.UNSUBSCRIBE, uuid4())
    for token in (world.deliveries[0].id, other, nobody, "x", link.rpartition("/")[2][:-2]):
        url = f"{origin}/u/{token}"
        assert get(url).status_code == 404
        assert requests.post(url, data=ONE_CLICK, timeout=SECONDS).status_code == 404
    assert (world.suppressed(), kept(world)) == ({}, [])


def test_way_out_of_a_preview_says_so(origin: str) -> None:
    for answer in (get(f"{origin}/u/preview"), requests.post(f"{origin}/u/preview", timeout=SECONDS)):
        assert (answer.status_code, "preview" in answer.text) == (200, True)


def test_page_is_in_the_language_of_the_person(world: ReceiptWorld, origin: str) -> None:
    one = world.deliveries[0]
    world.world.change("UPDATE customers SET language = 'zh-CN' WHERE id = :id", id=one.customer_id)
    page = get(way_out(origin, one))
    assert "退订" in page.text
    assert 'lang="zh"' in page.text


def test_name_of_a_product_line_is_no_markup(world: ReceiptWorld, origin: str) -> None:
    world.world.change("UPDATE product_lines SET name = '<b>&' WHERE id = :line")
    page = get(way_out(origin, world.deliveries[0]))
    assert "&lt;b&gt;&amp;" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_image_is_served_and_counted_once(world: ReceiptWorld, origin: str) -> None:
    html = letter(world.deliveries[0], "hello")
    image = html.partition('src="')[2].partition('"')[0].replace(PUBLIC_URL, origin)
    for _ in range(2):
        answer = get(image)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
        assert answer.content.startswith(b"GIF89a")
    assert get(f"{origin}/o/{'A' * 43}.gif").status_code == 200
    assert kept(world) == [("opened", "")]


def test_click_goes_on_to_where_the_letter_led_and_nowhere_else(world: ReceiptWorld, origin: str) -> None:
    html = letter(world.deliveries[0], '<a href="https://shop.example/a?b=c&amp;d=%C3%A4#e">x</a>')
    link = html.partition('href="')[2].partition('"')[0].replace(PUBLIC_URL, origin)
    for _ in range(2):
        answer = get(link)
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://shop.example/a?b=c&d=%C3%A4#e")
    stem = link.partition("?to=")[0]
    for elsewhere in ("https://evil.example", "https://shop.example/a?b=c", "//evil.example", "javascript:x", ""):
        assert requests.get(stem, params={"to": elsewhere}, timeout=SECONDS, allow_redirects=False).status_code == 404
    assert get(stem).status_code == 404
    assert kept(world) == [("clicked", "https://shop.example/a?b=c&d=%C3%A4#e")]


def test_old_links_lead_on_and_count_nothing_once_tracking_is_switched_off(world: ReceiptWorld, origin: str) -> None:
    html = letter(world.deliveries[0], '<a href="https://shop.example/">x</a>')
    link = html.partition('href="')[2].partition('"')[0].replace(PUBLIC_URL, origin)
    image = html.partition('src="')[2].partition('"')[0].replace(PUBLIC_URL, origin)
    world.world.change("UPDATE product_lines SET tracks_opens = false, tracks_clicks = false WHERE id = :line")
    assert (get(link).status_code, get(image).status_code) == (302, 200)
    assert kept(world) == []


def test_click_on_a_letter_in_doubt_shows_that_it_went_out(world: ReceiptWorld, origin: str) -> None:
    one = world.deliveries[0]
    world.put(one, state="unknown", error_class="unknown_outcome", provider_message_id=None)
    html = letter(one, '<a href="https://shop.example/">x</a>')
    get(html.partition('href="')[2].partition('"')[0].replace(PUBLIC_URL, origin))
    asyncio.run(until(lambda: world.standing(one)[0] == "sent", seconds=SECONDS))


def test_click_goes_on_even_when_the_database_is_away(world: ReceiptWorld) -> None:
    html = letter(world.deliveries[0], '<a href="https://shop.example/">x</a>')
    link = html.partition('href="')[2].partition('"')[0]
    away = services_for("postgresql://nobody@127.0.0.1:1/none", CIPHER)
    with serving(away) as origin:
        assert get(link.replace(PUBLIC_URL, origin)).headers["Location"] == "https://shop.example/"
        left = requests.post(way_out(origin, world.deliveries[0]), data=ONE_CLICK, timeout=SECONDS)
        assert left.status_code == 503  # the mail program tries again, and nobody is told that she is off the list


def test_nothing_else_is_served(origin: str) -> None:
    for path in ("/", "/docs", "/openapi.json", "/c/", "/u/", "/callbacks", "/o/x.png"):
        assert get(origin + path).status_code == 404
    assert urlsplit(get(origin + "/u//").headers.get("Location", "")).netloc in {"", urlsplit(origin).netloc}
