"""A cart as the catalogue completes it."""

import json

import pytest

from offers.cart import Cart, CartLine
from offers.live_cart import Facts, completed, cost_of, read, told

CATALOGUE = {
    "mug": Facts(category="mugs", brand="acme", shop="s1", floor=700, cost=400),
    "cup": Facts(category="mugs", cost=300),
    "tea": Facts(category="tea"),
}


def line(**values: object) -> CartLine:
    return CartLine(**{"qty": 1, "price": 1_000, **values})  # type: ignore[arg-type]


def one(given: CartLine, **more: int) -> CartLine:
    return completed(Cart(lines=[given]), CATALOGUE, **more).lines[0]


def test_category_and_brand_are_the_catalogues_whatever_the_line_says() -> None:
    found = one(line(sku="mug", category="jewels", brand="other"))
    assert (found.category, found.brand, found.shop) == ("mugs", "acme", "s1")


def test_where_it_is_sold_and_for_how_much_the_line_says() -> None:
    found = one(line(sku="mug", shop="s2", price=1_234))
    assert (found.shop, found.price) == ("s2", 1_234)


def test_what_the_catalogue_does_not_know_the_line_may_say() -> None:
    assert one(line(sku="tea", brand="leaf")).brand == "leaf"
    unknown = line(sku="nothing", category="toys", brand="b", shop="s", floor=3)
    assert one(unknown) == unknown
    assert one(line(category="toys")) == line(category="toys")


@pytest.mark.parametrize(
    ("given", "margin", "floor"),
    [
        (line(sku="mug"), None, 700),  # the product's
        (line(sku="mug", floor=900), None, 900),  # the line's is higher
        (line(sku="mug", floor=100), None, 700),
        (line(sku="mug"), 5_000, 800),  # half of 800 is the cost
        (line(sku="cup"), 1_000, 334),  # 333.33 rounded up: the margin is kept
        (line(sku="cup"), 9_999, 1_000),  # never above the price
        (line(sku="mug", price=500), None, 500),  # sold below its floor already
        (line(sku="tea"), 5_000, 0),  # its cost is not known
        (line(sku="nothing", floor=2_000), None, 1_000),
    ],
)
def test_the_highest_floor_counts_and_never_more_than_the_price(
    given: CartLine, margin: int | None, floor: int
) -> None:
    assert completed(Cart(lines=[given]), CATALOGUE, least_margin_bp=margin).lines[0].floor == floor


def test_the_cost_of_a_cart_is_known_where_that_of_all_its_lines_is() -> None:
    assert cost_of(Cart(lines=[line(sku="mug", qty=2), line(sku="cup")]), CATALOGUE) == 1_100
    assert cost_of(Cart(lines=[line(sku="mug"), line(sku="tea")]), CATALOGUE) is None
    assert cost_of(Cart(lines=[line(sku="mug"), line()]), CATALOGUE) is None


def test_a_cart_is_read_as_it_was_told() -> None:
    cart = completed(Cart(lines=[line(sku="mug", qty=3), line(price=5)], freight=800), CATALOGUE)
    assert read(json.loads(json.dumps(told(cart, [2_900, 5])))) == (cart, [2_900, 5])
