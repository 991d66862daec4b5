"""What a provider's word settles of a delivery in doubt."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from channels.inquiries import ABSENT_AFTER, ABSENT_TIMES, WAITS, ask_again_at, is_absent, settles
from channels.message import Fate, Found
from channels.states import DeliveryState

ID = UUID(int=1)
BEGAN = datetime(2027, 3, 6, tzinfo=UTC)
LATER = BEGAN + ABSENT_AFTER
_S = DeliveryState


def found(fate: Fate | None, *references: str) -> Found:
    return Found(delivery_id=ID, fate=fate, references=references)


@pytest.mark.parametrize(
    ("answer", "whose", "state"),
    [
        (found(Fate.SENT, "a"), "ours", _S.SENT),
        (found(Fate.DELIVERED, "a"), "ours", _S.DELIVERED),
        (found(Fate.FAILED, "a"), "ours", _S.FAILED),
        # beside others' messages to the same address only that it was taken is known
        (found(Fate.DELIVERED, "a", "b"), "both", _S.SENT),
        (found(Fate.FAILED, "a", "b"), "both", _S.SENT),
        # of others alone, or of nobody can tell whom
        (found(Fate.DELIVERED, "b"), "others", None),
        (found(Fate.DELIVERED), "others", None),
        (found(None), "others", None),
    ],
)
def test_what_is_found_settles_what_is_ours(answer: Found, whose: str, state: DeliveryState | None) -> None:
    ours, only_ours = whose != "others", whose == "ours"
    assert settles(answer, ours=ours, only_ours=only_ours, absent_before=0, began_at=BEGAN, now=LATER) is state


@pytest.mark.parametrize(
    ("answer", "before", "at", "state"),
    [
        (found(None), ABSENT_TIMES - 1, LATER, _S.RETRYING),
        (found(Fate.SENT, "of-another"), ABSENT_TIMES - 1, LATER, _S.RETRYING),
        (found(None), ABSENT_TIMES - 2, LATER, None),  # not said often enough
        (found(None), ABSENT_TIMES + 5, LATER - timedelta(seconds=1), None),  # not long enough after
        (found(Fate.SENT), ABSENT_TIMES + 5, LATER, None),  # something is there, and may be ours
    ],
)
def test_a_message_that_the_provider_never_had_goes_out_again_only_when_that_is_certain(
    answer: Found, before: int, at: datetime, state: DeliveryState | None
) -> None:
    assert settles(answer, ours=False, only_ours=False, absent_before=before, began_at=BEGAN, now=at) is state


def test_what_cannot_be_told_apart_is_no_absence() -> None:
    assert is_absent(found(None), ours=False)
    assert is_absent(found(Fate.SENT, "of-another"), ours=False)
    assert not is_absent(found(Fate.SENT), ours=False)
    assert not is_absent(found(Fate.SENT, "a"), ours=True)


def test_the_questions_grow_rarer_and_end_with_a_person() -> None:
    times = [ask_again_at(asked=asked, now=BEGAN) for asked in range(len(WAITS) + 1)]
    waits = [at - BEGAN for at in times if at is not None]
    assert waits == sorted(waits) == list(WAITS)
    assert times[-1] is None


def test_absence_can_be_established_before_the_questions_end() -> None:
    asked_at, at = [], BEGAN
    for wait in WAITS:
        at += wait
        asked_at.append(at)
    assert sum(one - BEGAN >= ABSENT_AFTER for one in asked_at) >= 1
    assert len(asked_at) >= ABSENT_TIMES
