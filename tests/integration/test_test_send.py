"""Test messages to our own people: over the real provider module and a sandbox, and counted nowhere."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.errors import NotSent
from channels.message import EmailContent
from channels.service import test_send
from channels.service.errors import AccountUnfit, TestRecipientUnfit
from channels.service.test_send import Prepared
from channels.states import Channel, ErrorClass
from tests.integration.delivery_world import RecordingProvider
from tests.integration.scene import KEY, Scene
from themes.render import ChannelUnused


@pytest.fixture
def drafted(scene: Scene) -> Scene:
    scene.run("UPDATE people SET email = 'ann@our-house.example', phone = '+447700900123' WHERE login = 'ann'")
    scene.draft()
    return scene


def prepare(scene: Scene, **values: Any) -> Prepared:
    asked = {"theme_key": KEY, "channel": Channel.EMAIL, "login": "ann", "by": "console:olga", **values}
    with scene.begin() as session:
        return test_send.prepare(session, public_url="https://go.example.com", now=datetime.now(UTC), **asked)


def count(scene: Scene, table: str) -> int:
    with scene.begin() as session:
        return int(session.connection().exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())  # noqa: S608


def test_a_draft_can_be_looked_at_where_it_arrives_and_that_is_on_record(drafted: Scene) -> None:
    prepared = prepare(drafted)
    provider = RecordingProvider(keys=True)
    outcome = asyncio.run(test_send.send(prepared, provider))
    with drafted.begin() as session:
        test_send.note_outcome(session, prepared, outcome, now=datetime.now(UTC))
    ((message,),) = provider.calls
    assert isinstance(message.content, EmailContent)
    assert message.address == "ann@our-house.example"
    assert message.content.subject.startswith("[Test] ")
    assert "Ann" in message.content.text
    assert "/u/preview" in message.content.text + message.content.html
    (audit,) = drafted.audit("test send")
    assert (audit.actor, audit.theme_key, audit.details["to"]) == ("console:olga", KEY, "ann")
    assert "our-house" not in str(audit.details)
    with drafted.begin() as session:
        (row,) = session.connection().exec_driver_sql("SELECT finished_at IS NOT NULL, error_class FROM test_sends")
    assert tuple(row) == (True, None)


def test_it_takes_nothing_from_caps_codes_or_counts(drafted: Scene) -> None:
    tables = ("deliveries", "attempts", "tallies", "cap_reservations", "distributions", "used_codes", "left_out")
    before = {table: count(drafted, table) for table in tables}
    prepare(drafted)
    assert {table: count(drafted, table) for table in tables} == before


def test_a_theme_in_review_shows_its_revision(drafted: Scene) -> None:
    draft = prepare(drafted)
    drafted.submit()
    assert prepare(drafted, channel=Channel.SMS).address == "+447700900123"
    with drafted.begin() as session:
        hashes = session.connection().exec_driver_sql(
            "SELECT s.content_hash = r.hash FROM test_sends s, revisions r ORDER BY s.id"
        )
        assert [row[0] for row in hashes] == [True, True]  # the draft that was submitted has the same content
    assert draft.reference


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"login": "nobody"}, "nobody of that login"),
        ({"login": "bob"}, "no address for email"),
        ({"channel": Channel.PUSH}, "name her device"),
        ({"address": "other@example.com"}, "at her own address alone"),
        ({"channel": Channel.PUSH, "address": "not a device"}, "is no good"),
    ],
)
def test_it_goes_to_our_own_people_alone(drafted: Scene, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(TestRecipientUnfit, match=problem):
        prepare(drafted, **values)
    assert drafted.audit("test send") == []


def test_a_disabled_person_and_a_paused_account_get_none(drafted: Scene) -> None:
    drafted.run("UPDATE provider_accounts SET paused_because = 'by hand' WHERE key = 'mail-main'")
    with pytest.raises(AccountUnfit, match="is paused: by hand"):
        prepare(drafted)
    drafted.run("UPDATE people SET disabled_at = now() WHERE login = 'ann'")
    with pytest.raises(TestRecipientUnfit, match="disabled"):
        prepare(drafted)


def test_it_leaves_at_the_moment_that_its_permit_is_for(drafted: Scene) -> None:
    drafted.run(
        """UPDATE provider_accounts SET windows = '[{"per_seconds": 1, "at_most": 4, "counts": "calls"}]'"""
        " WHERE key = 'mail-main'"
    )
    left: list[float] = []
    provider = RecordingProvider(on_call=lambda _: left.append(time.monotonic()))
    prepare(drafted)
    began, second = time.monotonic(), prepare(drafted)
    asyncio.run(test_send.send(second, provider))
    assert second.leaves_in > timedelta(milliseconds=50)
    assert left[0] - began >= second.leaves_in.total_seconds()


def test_a_channel_that_the_theme_does_not_use_is_refused(drafted: Scene) -> None:
    drafted.run("UPDATE themes SET draft = jsonb_set(draft, '{theme,channels,sms}', 'null')")
    with pytest.raises(ChannelUnused):
        prepare(drafted, channel=Channel.SMS)


class Closed(RecordingProvider):
    async def allocate_keys(self, count: int) -> Sequence[str]:
        raise NotSent(f"no route for {count}")


def test_a_provider_without_keys_to_give_is_an_outcome_too(drafted: Scene) -> None:
    outcome = asyncio.run(test_send.send(prepare(drafted), Closed(keys=True)))
    assert (outcome.error, "no route" in outcome.detail) == (ErrorClass.DOWN, True)
