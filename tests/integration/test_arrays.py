"""Arrays as literals: what the database reads is what was written."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from channels.states import DeliveryState
from models.database import Database
from models.queries.arrays import plain_array, text_array

ANY_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


def read(database: Database, literal: str, kind: str) -> list[object]:
    with database.begin() as session:
        found = session.scalar(text(f"SELECT CAST(:literal AS {kind}[])"), {"literal": literal})
        assert isinstance(found, list)
        return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.none() | ANY_TEXT | st.sampled_from(["NULL", "null", "{", "}", ",", '"', "\\", "a\nb", "'"]), max_size=9
    )
)
def test_any_text_comes_back_as_it_was(database: Database, values: list[str | None]) -> None:
    assert read(database, text_array(values), "text") == values


def test_what_the_database_cannot_hold_is_left_out_and_nothing_else_is_lost(database: Database) -> None:
    assert read(database, text_array(["a\x00b", "\ud83d", "c"]), "text") == ["ab", "?", "c"]


def test_numbers_moments_and_the_like_come_back_as_they_were(database: Database) -> None:
    moment = datetime(2027, 3, 8, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    assert read(database, plain_array([1, None, 2**62]), "bigint") == [1, None, 2**62]
    assert read(database, plain_array([moment, datetime(2027, 1, 1, tzinfo=UTC)]), "timestamptz") == [
        moment,
        datetime(2027, 1, 1, tzinfo=UTC),
    ]
    assert read(database, plain_array([UUID(int=7)]), "uuid") == [UUID(int=7)]
    assert read(database, plain_array([DeliveryState.SENT, None]), "text") == ["sent", None]
    assert read(database, plain_array([True, False]), "boolean") == [True, False]
    assert read(database, plain_array(iter([])), "int") == []
