from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from audience.netting import Cancellation, Line, Netting, net

DAY_ONE = datetime(2010, 12, 1, tzinfo=UTC)


def line(day: int, quantity: int, *, price: int = 100, buyer: str = "a", code: str = "X") -> Line:
    return Line(
        invoice=f"{buyer}-{day}",
        buyer=buyer,
        at=DAY_ONE + timedelta(days=day),
        code=code,
        sku=code,
        label=code,
        quantity=quantity,
        kept_quantity=quantity,
        unit_price_minor=price,
    )


def cancellation(day: int, quantity: int, *, price: int = 100, buyer: str = "a", code: str = "X") -> Cancellation:
    at = DAY_ONE + timedelta(days=day)
    return Cancellation(buyer=buyer, at=at, code=code, quantity=quantity, unit_price_minor=price)


def kept(netting: Netting) -> list[int]:
    return [left.kept_quantity for left in netting.lines]


def test_the_latest_earlier_line_is_cancelled_first() -> None:
    assert kept(net([line(1, 5), line(2, 5), line(4, 5)], [cancellation(3, 7)])) == [3, 0, 5]


def test_a_line_at_the_cancelled_price_comes_before_a_later_one() -> None:
    assert kept(net([line(1, 5, price=210), line(2, 5, price=185)], [cancellation(3, 5, price=210)])) == [0, 5]


def test_other_customers_and_products_are_not_touched() -> None:
    lines = [line(1, 5, buyer="b"), line(1, 5, code="Y"), line(1, 5)]
    assert kept(net(lines, [cancellation(2, 5)])) == [5, 5, 0]


def test_a_line_of_the_same_minute_counts_as_earlier() -> None:
    assert kept(net([line(1, 5)], [cancellation(1, 5)])) == [0]


def test_what_finds_no_line_is_counted() -> None:
    netting = net([line(1, 5)], [cancellation(0, 1), cancellation(2, 8), cancellation(3, 1)])
    assert (netting.whole, netting.partly, netting.unmatched) == (0, 1, 2)


numbers = st.integers(1, 9)
some_lines = st.lists(st.builds(line, st.integers(0, 9), numbers, price=st.sampled_from([100, 200])), max_size=8)
some_cancellations = st.lists(
    st.builds(cancellation, st.integers(0, 9), numbers, price=st.sampled_from([100, 200])), max_size=8
)


@given(some_lines, some_cancellations)
def test_no_line_falls_below_zero_and_every_cancellation_is_accounted_for(
    lines: list[Line], cancellations: list[Cancellation]
) -> None:
    netting = net(lines, cancellations)
    assert all(0 <= left.kept_quantity <= left.quantity for left in netting.lines)
    assert netting.whole + netting.partly + netting.unmatched == len(cancellations)
    taken = sum(left.quantity - left.kept_quantity for left in netting.lines)
    assert taken <= sum(given_back.quantity for given_back in cancellations)
