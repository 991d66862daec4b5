"""The HTTP API over real HTTP and a real database: a shop's way through it, and everything that it is refused."""

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import requests
from pydantic import BaseModel

from console.http.api import app
from console.http.api.answers import CartOffersTold, HeldCoupons, QuoteTold, RedemptionTold, RefundTold
from console.http.api.app import MOST_BYTES
from console.http.api.problems import Problem
from models.database import Database
from models.product_line import ProductLine
from offers.service.api_keys import create_key
from tests.integration.http_service import services_for, serving
from tests.integration.offers_world import NOON, SHARED, THEME, OffersWorld, fresh_key, offers_world
from tests.integration.scene import LINE, Scene, new_rules, populate
from themes.theme import RedeemIn

SECONDS = 20
#: Of the scene: each has ordered before.
_PEOPLE = iter([f"c{number:02}" for number in range(1, 18)])
CART = {"lines": [{"sku": "lamp", "qty": 2, "price": 5_000}, {"sku": "tea", "qty": 1, "price": 300}], "freight": 500}


@dataclass
class Shop:
    """A shop's server with a key of its own."""

    origin: str
    secret: str

    def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.secret}", **({"Idempotency-Key": key} if key else {})}
        return requests.request(
            method,
            f"{self.origin}/v1{path}",
            json=body,
            headers={**headers, **more.pop("headers", {})},
            timeout=20,
            **more,
        )

    def post(self, path: str, body: Any = None, *, key: str | None = None, **more: Any) -> requests.Response:
        return self.ask("POST", path, body, key=key or fresh_key(), **more)

    def claim(self, customer: str, offer: str, **more: Any) -> requests.Response:
        return self.post("/claims", {"customer": customer, "offer": f"{THEME}/{offer}"}, **more)

    def held(self, customer: str, offer: str) -> int:
        """A coupon that was just claimed."""
        return int(told(self.claim(customer, offer), HeldCoupons, 201).coupons[0].id)

    def redeemed(self, order: str, coupon: int, customer: str) -> requests.Response:
        priced = told(self.post("/quotes", {"customer": customer, "cart": CART, "coupons": [coupon]}), QuoteTold)
        activities = [name for name in priced.applied if priced.offers[name].kind == "activity"]
        asked = {"order": order, "customer": customer, "cart": CART, "payable": priced.payable}
        return self.post("/redemptions", {**asked, "coupons": [coupon], "activities": activities})


def told(answer: requests.Response, model: type[BaseModel], status: int = 200) -> Any:
    """The answer, which is as the document has it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return model.model_validate_json(answer.content)


def problem(answer: requests.Response, status: int, name: str, why: str | None = None) -> Problem:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    found = Problem.model_validate_json(answer.content)
    assert (answer.status_code, found.status, found.type, found.why) == (status, status, f"/problems/{name}", why)
    return found


def key_of(scene: Scene, line: str = LINE, *, channel: RedeemIn = RedeemIn.APP, per_second: int = 10_000) -> str:
    with scene.begin() as session:
        return create_key(
            session,
            product_line=line,
            name=fresh_key(),
            channel=channel,
            per_second=per_second,
            by="test",
            now=NOON,
        )


@pytest.fixture(scope="module")
def world(database: Database) -> OffersWorld:
    rules = new_rules()
    with database.begin() as session:
        secrets = populate(session, rules.cipher)
    return offers_world(Scene(database=database, rules=rules, secrets=secrets))


@pytest.fixture(scope="module")
def shop(world: OffersWorld, database_url: str) -> Iterator[Shop]:
    services = services_for(database_url, None)
    services.clock = lambda: NOON
    with serving(services) as origin:
        yield Shop(origin, key_of(world.scene))


@pytest.fixture
def who() -> str:
    """A customer who has done nothing yet."""
    return next(_PEOPLE)


@pytest.fixture
def order() -> str:
    return f"order-{fresh_key()}"


def test_cart_is_priced_and_the_quote_is_what_the_order_pays(shop: Shop, who: str, order: str) -> None:
    coupon = shop.held(who, "plain")
    quoted = told(shop.post("/quotes", {"customer": who, "cart": CART}), QuoteTold)
    # Two lamps a fifth off, and the coupon's 5.00.
    assert (quoted.list_total, quoted.discount, quoted.payable) == (10_300, 2_500, 8_300)
    assert quoted.offers[f"{THEME}/plain"].held == coupon
    redeemed = told(shop.redeemed(order, coupon, who), RedemptionTold, 201)
    assert (redeemed.payable, redeemed.state) == (8_300, "redeemed")
    assert told(shop.ask("GET", f"/redemptions/{order}"), RedemptionTold) == redeemed
    held = told(shop.ask("GET", f"/customers/{who}/coupons?state=used"), HeldCoupons).coupons
    assert [one.id for one in held] == [coupon]


def test_offers_for_a_cart_tell_what_is_missing_and_what_could_be_claimed(shop: Shop, who: str) -> None:
    few = {"lines": [{"sku": "tea", "qty": 1, "price": 300}]}
    found = told(shop.post("/offers-for-cart", {"customer": who, "cart": few}), CartOffersTold)
    hot = next(one for one in found.offers if one.offer == f"{THEME}/hot")
    assert (hot.claimable, hot.why.reason, hot.why.needed, hot.why.found) == (True, "below_amount", 5_000, 300)


def test_order_that_is_cancelled_gives_its_coupon_back_and_one_that_is_refunded_its_money(
    shop: Shop, who: str, order: str
) -> None:
    coupon = shop.held(who, "plain")
    told(shop.redeemed(order, coupon, who), RedemptionTold, 201)
    cancelled = told(shop.post(f"/redemptions/{order}/cancellation"), RedemptionTold)
    assert (cancelled.state, cancelled.uses[0].given_back) == ("cancelled", True)
    problem(shop.post(f"/redemptions/{order}/cancellation"), 409, "already-cancelled")
    told(shop.redeemed(f"{order}-2", coupon, who), RedemptionTold, 201)
    back = told(shop.post(f"/redemptions/{order}-2/refunds", {"lines": [{"line": 0, "qty": 1}]}), RefundTold, 201)
    assert back.total == back.goods == back.redemption.refunded > 0
    problem(shop.post(f"/redemptions/{order}-2/refunds", {"lines": [{"line": 9, "qty": 1}]}), 409, "line-unknown")
    problem(shop.post(f"/redemptions/{order}-2/refunds", {"lines": [{"line": 0, "qty": 2}]}), 409, "return-too-large")
    problem(shop.post(f"/redemptions/{order}-2/cancellation"), 409, "already-refunded")


def test_locked_coupon_is_kept_for_its_order(shop: Shop, who: str, order: str) -> None:
    coupon = shop.held(who, "plain")
    asked = {"order": order, "customer": who, "coupons": [coupon]}
    assert told(shop.post("/locks", asked), HeldCoupons).coupons[0].locked_for == order
    problem(shop.post("/locks", {**asked, "order": f"{order}-2"}), 409, "offer-unusable", "locked")
    assert [one.id for one in told(shop.ask("DELETE", f"/locks/{order}"), HeldCoupons).coupons] == [coupon]
    assert told(shop.ask("DELETE", f"/locks/{order}"), HeldCoupons).coupons == []
    told(shop.post("/locks", {**asked, "order": f"{order}-2"}), HeldCoupons)


def test_paid_order_brings_its_coupon_once(shop: Shop, who: str, order: str) -> None:
    paid = {"customer": who, "paid": 8_000}
    first = told(shop.post(f"/orders/{order}/payment", paid), HeldCoupons).coupons
    assert [one.offer for one in first] == [f"{THEME}/thanks"]
    assert told(shop.post(f"/orders/{order}/payment", paid), HeldCoupons).coupons == first
    assert told(shop.post(f"/orders/{order}-2/payment", {**paid, "paid": 100}), HeldCoupons).coupons == []


def test_what_an_order_brought_goes_with_it_by_its_redemption_where_there_is_one(
    shop: Shop, who: str, order: str
) -> None:
    shop.post(f"/orders/{order}/payment", {"customer": who, "paid": 8_000})
    taken = told(shop.post(f"/orders/{order}/cancellation"), HeldCoupons).coupons
    assert [one.state for one in taken] == ["void"]
    assert told(shop.post(f"/orders/{order}-unheard-of/cancellation"), HeldCoupons).coupons == []
    redeemed = f"{order}-redeemed"
    asked = {"order": redeemed, "customer": who, "cart": CART, "payable": 10_800}
    assert shop.post("/redemptions", asked).status_code == 201
    problem(shop.post(f"/orders/{redeemed}/cancellation"), 409, "order-redeemed")
    shop.post(f"/redemptions/{redeemed}/cancellation")
    assert told(shop.post(f"/orders/{redeemed}/cancellation"), HeldCoupons).coupons == []


def test_every_act_is_answered_the_same_as_often_as_it_is_sent(
    shop: Shop, world: OffersWorld, who: str, order: str
) -> None:
    def twice(path: str, body: Any, status: int) -> Any:
        key = fresh_key()
        first, second = (shop.post(path, body, key=key) for _ in range(2))
        assert (first.status_code, first.json()) == (status, second.json())
        assert second.status_code == status
        problem(shop.post(path, {**body, **CHANGED[path.rpartition("/")[2]]}, key=key), 409, "key-reused")
        return first.json()

    coupon = twice("/claims", {"customer": who, "offer": f"{THEME}/plain"}, 201)["coupons"][0]["id"]
    twice("/claims", {"customer": who, "offer": f"{THEME}/own-code"}, 409)
    twice("/locks", {"order": order, "customer": who, "coupons": [coupon]}, 200)
    asked = {"order": order, "customer": who, "cart": CART, "coupons": [coupon], "payable": 10_300}
    twice("/redemptions", {**asked, "payable": 1}, 409)
    twice("/redemptions", asked, 201)
    twice(f"/redemptions/{order}/refunds", {"lines": [{"line": 1, "qty": 1}]}, 201)
    twice(f"/orders/{order}/payment", {"customer": who, "paid": 8_000}, 200)
    assert [one.state for one in world.coupons("plain") if one.id == coupon] == ["used"]


#: What makes another request of one of these.
CHANGED: dict[str, dict[str, Any]] = {
    "claims": {"customer": "nobody"},
    "locks": {"order": "B"},
    "redemptions": {"order": "B"},
    "refunds": {"lines": [{"line": 0, "qty": 1}]},
    "payment": {"paid": 1},
}


def test_key_stands_for_its_verb_its_order_and_its_channel_too(
    shop: Shop, world: OffersWorld, who: str, order: str
) -> None:
    key, paid = fresh_key(), {"customer": who, "paid": 1}
    told(shop.post(f"/orders/{order}/payment", paid, key=key), HeldCoupons)
    problem(shop.post(f"/orders/{order}-2/payment", paid, key=key), 409, "key-reused")
    problem(shop.post(f"/redemptions/{order}/cancellation", key=key), 409, "key-reused")
    elsewhere = Shop(shop.origin, key_of(world.scene, channel=RedeemIn.WEB))
    problem(elsewhere.post(f"/orders/{order}/payment", paid, key=key), 409, "key-reused")


def test_refused_act_leaves_nothing_but_its_refusal(shop: Shop, world: OffersWorld, who: str, order: str) -> None:
    coupon = shop.held(who, "plain")
    asked = {"order": order, "customer": who, "cart": CART, "coupons": [coupon], "payable": 1}
    problem(shop.post("/redemptions", asked), 409, "price-changed")
    assert shop.post("/redemptions", asked).json()["found"] == 10_300
    problem(shop.ask("GET", f"/redemptions/{order}"), 404, "order-unknown")
    assert [one.state for one in world.coupons("plain") if one.id == coupon] == ["issued"]


@pytest.mark.parametrize(
    ("customer", "offer", "status", "why"),
    [
        ("nobody", "hot", 404, "customer_unknown"),
        ("c01", "nothing", 404, "offer_unknown"),
        ("c01", "own-code", 409, "code_needed"),
        ("c01", "points", 409, "points_missing"),
        ("c01", "thanks", 409, "not_claimable"),
        ("c01", "welcome", 409, "not_newcomer"),
    ],
)
def test_claim_that_gets_nothing_is_told_why(shop: Shop, customer: str, offer: str, status: int, why: str) -> None:
    problem(shop.claim(customer, offer), status, "claim-refused", why)


def test_code_is_claimed_and_repeated_in_no_answer_and_no_line_of_the_log(
    shop: Shop, world: OffersWorld, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    caplog.set_level(logging.DEBUG)
    code, other = world.codes[0], next(_PEOPLE)
    first = shop.post("/claims", {"customer": who, "code": code})
    told(first, HeldCoupons, 201)
    taken = shop.post("/claims", {"customer": other, "code": code})
    problem(taken, 409, "claim-refused", "code_taken")
    wrong = shop.post("/claims", {"customer": other, "code": "x" * 12, "offer": f"{THEME}/own-code"})
    problem(wrong, 404, "claim-refused", "code_unknown")
    garbled = shop.post("/claims", {"customer": other, "code": f"\n{code}"})
    problem(garbled, 422, "invalid")
    shared = told(shop.post("/claims", {"customer": other, "code": SHARED.lower()}), HeldCoupons, 201)
    assert shared.coupons[0].offer == f"{THEME}/one-code"
    for text in (*(one.text for one in (first, taken, wrong, garbled)), caplog.text):
        assert code not in text
        assert shop.secret not in text


def test_key_sees_its_own_product_line_only(shop: Shop, world: OffersWorld, who: str, order: str) -> None:
    with world.scene.begin() as session:
        session.add(ProductLine(key="other", name="Other", currency="GBP"))
    other = Shop(shop.origin, key_of(world.scene, "other"))
    coupon = shop.held(who, "plain")
    told(shop.redeemed(order, coupon, who), RedemptionTold, 201)
    problem(other.ask("GET", f"/redemptions/{order}"), 404, "order-unknown")
    problem(other.post(f"/redemptions/{order}/cancellation"), 404, "order-unknown")
    problem(other.ask("GET", f"/customers/{who}/coupons"), 404, "customer-unknown")
    problem(other.claim(who, "hot"), 404, "claim-refused", "offer_unknown")
    priced = told(other.post("/quotes", {"customer": who, "cart": CART, "coupons": [coupon]}), QuoteTold)
    assert (priced.customer_known, priced.discount, priced.not_usable[0].why) == (False, 0, "unknown")
    assert told(other.ask("DELETE", f"/locks/{order}"), HeldCoupons).coupons == []


def test_claims_are_counted_in_the_channel_of_the_key(shop: Shop, world: OffersWorld, who: str) -> None:
    other, web = next(_PEOPLE), Shop(shop.origin, key_of(world.scene, channel=RedeemIn.WEB))
    told(web.claim(who, "places"), HeldCoupons, 201)
    problem(web.claim(other, "places"), 409, "claim-refused", "channel_limit")
    told(shop.claim(other, "places"), HeldCoupons, 201)


def test_everything_that_is_wrong_is_told_at_once_with_its_place(shop: Shop) -> None:
    body = {"cart": {"lines": [{"qty": 0, "price": "1", "colour": "vermilion"}], "freight": -1}, "mode": "cheap"}
    found = problem(shop.ask("POST", "/redemptions", body), 422, "invalid")
    assert found.problems is not None
    assert {one.place for one in found.problems} == {
        "header Idempotency-Key",
        "order",
        "payable",
        "mode",
        "cart.freight",
        "cart.lines[0].qty",
        "cart.lines[0].price",
        "cart.lines[0].colour",
    }
    assert found.problems[0].message == "is missing"
    assert "vermilion" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("data", "content_type", "status", "name"),
    [
        (b"{", "application/json", 400, "unreadable"),
        (b"", "application/json", 400, "unreadable"),
        (b"[" * 100_000, "application/json", 400, "unreadable"),
        (b"\xff\xfe", "application/json", 400, "unreadable"),
        (b'{"customer": "\\ud800", "offer": "a/b"}', "application/json", 400, "unreadable"),
        (b'{"customer": "\\u0000", "offer": "a/b"}', "application/json", 422, "invalid"),
        (b'{"customer": "c01"}', "application/json; charset=utf-8", 422, "invalid"),
        (b"[]", "application/json", 422, "invalid"),
        (b"null", "application/json", 422, "invalid"),
        (b"{}", "text/plain", 415, "no-json"),
        (b"{}", "", 415, "no-json"),
        (b" " * (MOST_BYTES + 1), "application/json", 413, "too-large"),
    ],
)
def test_body_that_cannot_be_used_is_refused(
    shop: Shop, data: bytes, content_type: str, status: int, name: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    problem(shop.post("/claims", headers=headers, data=data), status, name)


def test_address_or_method_that_is_not_there_is_told_as_a_problem(shop: Shop) -> None:
    for path in ("", "/", "/nothing", "/redemptions/a/b", "/redemptions/%2F", "/redemptions//refunds", "/claims/"):
        problem(shop.ask("GET", path), 404, "not-found")
    for path, allowed in (
        ("/claims", "POST"),
        ("/locks/A", "DELETE"),
        ("/redemptions/A", "GET"),
        ("/openapi.json", "GET"),
    ):
        refused = shop.ask("PUT", path)
        problem(refused, 405, "method-not-allowed")
        assert refused.headers["Allow"] == allowed


def test_key_is_asked_for_before_anything_that_was_sent_is_looked_at(shop: Shop) -> None:
    for secret in ("", "tl_" + "x" * 43, shop.secret + "x"):
        refused = Shop(shop.origin, secret).post("/claims", headers={"Content-Type": "x"}, data=b"{")
        problem(refused, 401, "no-key")
        assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_document_is_served_without_a_key_and_tells_of_every_endpoint(shop: Shop) -> None:
    document = requests.get(f"{shop.origin}/v1/openapi.json", timeout=SECONDS).json()
    assert document["openapi"].startswith("3.1.")
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == {
        ("/quotes", "post"),
        ("/offers-for-cart", "post"),
        ("/claims", "post"),
        ("/customers/{customer}/coupons", "get"),
        ("/locks", "post"),
        ("/locks/{order}", "delete"),
        ("/redemptions", "post"),
        ("/redemptions/{order}", "get"),
        ("/redemptions/{order}/cancellation", "post"),
        ("/redemptions/{order}/refunds", "post"),
        ("/orders/{order}/payment", "post"),
        ("/orders/{order}/cancellation", "post"),
    }
    assert requests.get(f"{shop.origin}/openapi.json", timeout=SECONDS).status_code == 404


def test_key_that_asks_too_often_is_told_so_in_the_same_form(shop: Shop, world: OffersWorld) -> None:
    slow = Shop(shop.origin, key_of(world.scene, per_second=1))
    answers = [slow.ask("GET", "/customers/c01/coupons") for _ in range(2)]
    assert answers[0].status_code == 200
    problem(answers[1], 429, "too-many-requests")
    assert answers[1].headers["Retry-After"] == "1"


def test_who_comes_while_too_much_is_under_way_is_told_to_come_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOST_AT_ONCE", 1)
    host, port = shop.origin.removeprefix("http://").split(":")
    body = json.dumps({"cart": CART})
    head = (
        f"POST /v1/quotes HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {shop.secret}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=SECONDS) as slow:
        slow.sendall(head.encode())
        assert slow.recv(1_000).startswith(b"HTTP/1.1 100 ")  # it is being answered, and its body is waited for
        refused = shop.post("/quotes", {"cart": CART})
        slow.sendall(body.encode())
        assert slow.recv(10_000).startswith(b"HTTP/1.1 200 ")
    problem(refused, 503, "unavailable")
    assert refused.headers["Retry-After"] == "1"
    told(shop.post("/quotes", {"cart": CART}), QuoteTold)


def test_database_that_is_away_is_told_as_such_and_tells_nothing_of_itself(world: OffersWorld) -> None:
    away = services_for("postgresql://nobody:secret@127.0.0.1:1/none", None)
    with serving(away) as origin:
        refused = Shop(origin, key_of(world.scene)).claim("c01", "hot")
    problem(refused, 503, "unavailable")
    assert refused.headers["Retry-After"] == "30"
    assert "127.0.0.1" not in refused.text


def test_unforeseen_is_told_as_a_problem_and_logged_without_what_it_says(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    typed = "SECRET-CODE"

    def fall_over(*_: object, **__: object) -> None:
        raise ValueError(typed)

    monkeypatch.setattr("console.http.api.quotes.quote", fall_over)
    problem(shop.post("/quotes", {"customer": who, "cart": CART}), 500, "unforeseen")
    assert "unforeseen at a POST: ValueError" in caplog.text
    assert "fall_over" in caplog.text
    assert typed not in caplog.text


def test_time_of_an_answer_is_the_time_of_the_service(shop: Shop, who: str) -> None:
    held = told(shop.claim(who, "hot"), HeldCoupons, 201).coupons[0]
    assert (held.claimed_at, held.valid_to) == (NOON, NOON + timedelta(days=14))
    assert shop.claim(who, "hot").json()["offer"] == f"{THEME}/hot"


def test_order_that_is_sent_twice_at_once_with_one_key_is_redeemed_once(shop: Shop, who: str, order: str) -> None:
    coupon, key, barrier = shop.held(who, "plain"), fresh_key(), Barrier(4)
    asked = {"order": order, "customer": who, "cart": CART, "coupons": [coupon], "payable": 10_300}

    def send(_: int) -> requests.Response:
        barrier.wait()
        return shop.post("/redemptions", asked, key=key)

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(send, range(4)))
    assert {one.status_code for one in sent} == {201}
    assert all(one.json() == sent[0].json() for one in sent)


def test_claims_of_many_at_once_never_give_one_too_many(shop: Shop, world: OffersWorld) -> None:
    before = world.offer("hot").claimed
    customers, barrier = world.more_customers(130), Barrier(16)

    def ask(part: int) -> list[int]:
        barrier.wait()
        return [shop.claim(one, "hot").status_code for one in customers[part::16]]

    with ThreadPoolExecutor(16) as pool:
        statuses = [status for part in pool.map(ask, range(16)) for status in part]
    assert (statuses.count(201), statuses.count(409)) == (100 - before, 30 + before)
    assert (world.offer("hot").claimed, len(world.coupons("hot")), world.miscounted()) == (100, 100, [])
