"""A correction reaches those whom the theme had reached, on the channels it speaks on, and each of them once."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest

from channels import service
from channels.engine import MOVES
from channels.message import EmailContent, Message, Outcome, PushContent, SmsContent
from channels.service.errors import AccountUnfit
from channels.states import Channel, DeliveryState, ErrorClass, Purpose
from models.delivery import DistributionState
from models.queries import distributions
from models.queries.delivery_rows import RowFilter
from tests.integration.delivery_world import RecordingProvider, World, accept, refuse, run
from tests.integration.moves_guard import guard_moves
from tests.integration.scene import KEY, Scene
from tests.integration.takedown_world import CUSTOMERS, Launched, launched, now, parsed_theme, sender
from themes.lifecycle import ThemeState
from themes.render import Renderer
from themes.service.takedown import say_correction

PUSH = """
channels:
  push: {title: We were wrong, body: "{{ theme.title }} does not take place."}
"""
EVERYWHERE = """
channels:
  sms: {text: "Sorry, {{ customer.name }}."}
  email: {subject: We were wrong, text: sorry.txt}
  push: {title: We were wrong, body: Sorry.}
  mini_program: {template: TPL_SORRY, data: {thing1: Sorry}}
templates:
  sorry.txt: "Dear {{ customer.name }}, {{ coupon('women-20-off-100').name }} is void."
"""


def answer(message: Message) -> Outcome:
    """Of twenty: c..1 is in doubt, c..2 refused, c..3 has unsubscribed; the others have it."""
    kinds = {"1": ErrorClass.UNKNOWN_OUTCOME, "2": ErrorClass.UNRECOGNISED, "3": ErrorClass.UNSUBSCRIBED}
    error = kinds.get(message.address[-1])
    return refuse(error)(message) if error else accept(message)


def addresses(world: World, *states: str) -> set[str]:
    found = world.rows(
        "SELECT address FROM deliveries WHERE distribution_id = :distribution_id AND state = ANY(:states)",
        states=list(states),
    )
    return {address for (address,) in found}


def taken_down_after_some_were_reached(scene: Scene, correction: str = PUSH) -> Launched:
    guard_moves(scene.database, "deliveries", MOVES)
    world = launched(scene)
    run(sender(world.push, RecordingProvider(answer=answer)))
    world.take_down(correction=world.correction(correction))
    return world


def test_a_correction_reaches_exactly_those_who_were_reached_or_may_have_been_and_once(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    reached = addresses(world.push, "sent", "unknown")
    assert 0 < len(reached) < CUSTOMERS
    assert world.undo().state is ThemeState.REVOKED
    correction = world.correction_world()
    provider = RecordingProvider()
    run(sender(correction, provider), sender(correction, provider))
    assert provider.reached == Counter(reached)
    run(sender(correction, provider))
    assert provider.reached == Counter(reached)
    assert addresses(correction, "sent") == reached
    (row,) = world.progress(Purpose.CORRECTION)
    assert (row.planned, row.states) == (len(reached), {DeliveryState.SENT: len(reached)})
    (act,) = [act for act in scene.audit("revoke_channel") if act.details["channel"] == "push"]
    assert act.details["corrections"] == len(reached)


def test_a_correction_may_leave_while_another_channel_is_still_being_undone_and_after_the_themes_end(
    scene: Scene,
) -> None:
    world = launched(scene, channels=(Channel.PUSH, Channel.SMS))
    run(sender(world.push, RecordingProvider()))
    ledger = world.worlds[Channel.SMS].at_work()
    (held,) = ledger.claim(limit=1, replays_of=(), now=now()).deliveries
    world.take_down(correction=world.correction(PUSH))
    assert world.undo().state is ThemeState.REVOKING
    world.push.change("UPDATE themes SET ends_at = now() WHERE id = :theme_id")
    ledger.release([held.seq], now())
    with scene.begin() as session:  # what came back of the theme is swept, and its correction is not
        swept = service.sweep_deliveries(session, now=now())
    assert (swept.expired, swept.cancelled) == (0, 1)
    provider = RecordingProvider()
    run(sender(world.correction_world(), provider))
    assert len(provider.reached) == CUSTOMERS


def test_who_was_suppressed_or_withdrew_consent_since_is_spared(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    reached = sorted(addresses(world.push, "sent"))
    world.push.change(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        " VALUES (:line, 'push', :address, 'by_hand', 'test', now())",
        address=reached[0],
    )
    withdraw = (
        "UPDATE consents SET granted = false WHERE channel = 'push' AND customer_id ="
        " (SELECT customer_id FROM addresses WHERE address = :address)"
    )
    world.push.change(withdraw, address=reached[1])
    world.undo()
    world.push.change(withdraw, address=reached[2])  # after it was planned: asked again when it is claimed
    provider = RecordingProvider()
    correction = world.correction_world()
    run(sender(correction, provider))
    assert addresses(correction, "suppressed") == set(reached[:3])
    assert not set(provider.reached) & set(reached[:3])
    assert set(provider.reached) == addresses(world.push, "sent", "unknown") - set(reached[:3])


def test_without_a_correction_and_on_channels_that_it_does_not_speak_on_nobody_is_written_to(scene: Scene) -> None:
    world = launched(scene, channels=(Channel.PUSH, Channel.SMS))
    for of_channel in world.worlds.values():
        run(sender(of_channel, RecordingProvider()))
    world.take_down(correction=world.correction(PUSH))
    world.undo()
    assert [one.channel for one in world.progress(Purpose.CORRECTION)] == [Channel.PUSH]


def test_a_takedown_without_a_correction_plans_none(scene: Scene) -> None:
    world = launched(scene)
    run(sender(world.push, RecordingProvider()))
    world.take_down()
    world.undo()
    assert world.progress(Purpose.CORRECTION) == []


def test_a_correction_is_not_sent_of_a_theme_that_was_not_taken_down(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    world.undo()
    world.push.set_theme("live")
    ledger = world.correction_world().at_work()
    assert ledger.claim(limit=10, replays_of=(), now=now()).deliveries == []
    assert ledger.gate(now()).closed_because == "the theme is live"


def test_rows_of_theme_and_correction_are_told_apart_and_have_ids_of_their_own(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    world.undo()
    with scene.begin() as session:
        rows = service.list_deliveries(session, wanted=RowFilter(theme_key=KEY))
        header, *lines = service.export_deliveries(session, wanted=RowFilter(theme_key=KEY))
    assert Counter(row["purpose"] for row in rows)[Purpose.THEME] == CUSTOMERS
    assert len({row["id"] for row in rows}) == len(rows) > CUSTOMERS
    assert {line[header.index("purpose")] for line in lines} == {"theme", "correction"}


def test_failed_corrections_are_retried_and_the_themes_own_failures_are_not(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    world.undo()
    correction = world.correction_world()
    run(sender(correction, RecordingProvider(answer=refuse(ErrorClass.UNRECOGNISED))))
    planned = sum(correction.states().values())
    with scene.begin() as session:
        assert service.complete_if_done(session, distribution_id=correction.distribution_id, now=now())
        report = service.retry_failed(session, theme_key=KEY, now=now())
    assert (report.taken, report.held_up) == ({Channel.PUSH: planned}, {})
    assert report.left_by_reason["theme_over"] > 0
    with scene.begin() as session:
        assert [one.id for one, _ in distributions.corrections_under_way(session)] == [correction.distribution_id]
    run(sender(correction, RecordingProvider()))
    assert correction.states() == {"sent": planned}


def test_a_correction_in_doubt_is_settled_by_a_person(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    world.undo()
    correction = world.correction_world()
    run(sender(correction, RecordingProvider(answer=refuse(ErrorClass.UNKNOWN_OUTCOME))))
    ids = [row[0] for row in correction.rows("SELECT id FROM deliveries WHERE distribution_id = :distribution_id")]
    with scene.begin() as session:
        again = service.Settlement.SEND_AGAIN
        assert service.settle_unknown(session, ids=ids, settlement=again, by="dan", now=now()) == len(ids)
    provider = RecordingProvider()
    run(sender(correction, provider))
    assert len(provider.reached) == len(ids)


def test_an_end_of_the_correction_is_seen_and_not_before(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    world.undo()
    correction = world.correction_world()
    with scene.begin() as session:
        (found, _) = distributions.corrections_under_way(session)[0]
        assert (found.id, found.state) == (correction.distribution_id, DistributionState.SENDING)
        assert not service.complete_if_done(session, distribution_id=correction.distribution_id, now=now())
    run(sender(correction, RecordingProvider()))
    with scene.begin() as session:
        assert service.complete_if_done(session, distribution_id=correction.distribution_id, now=now())


RECIPIENT = {"customer": {"id": "c1", "name": "Mei", "country": "GB", "language": "en", "timezone": "Europe/London"}}


def test_senders_render_what_was_frozen_with_the_takedown(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene, EVERYWHERE)
    with scene.begin() as session:
        value = say_correction(session, theme_id=world.theme_id, value=parsed_theme())

    def rendered(channel: Channel, recipient: Mapping[str, object] = RECIPIENT) -> object:
        return Renderer(value, channel).render(recipient)

    assert rendered(Channel.SMS) == SmsContent(text="Sorry, Mei.")
    assert rendered(Channel.PUSH) == PushContent(title="We were wrong", body="Sorry.")
    email = rendered(Channel.EMAIL)
    assert isinstance(email, EmailContent)
    assert (email.subject, email.text, email.html) == (
        "We were wrong",
        "Dear Mei, 20 off from 100 is void.",
        "",
    )


def test_a_correction_over_an_account_of_another_channel_is_refused_before_anything_happens(scene: Scene) -> None:
    world = launched(scene)
    crossed = world.correction("channels: {push: {account: sms-main, title: Sorry, body: Sorry}}")
    with pytest.raises(AccountUnfit, match="does not serve push"):
        world.take_down(correction=crossed)
    assert (world.state(), world.states()) == (ThemeState.LIVE, {"planned": CUSTOMERS})


def test_a_look_long_after_changes_nothing_of_a_correction_that_is_done(scene: Scene) -> None:
    world = taken_down_after_some_were_reached(scene)
    world.undo()
    correction = world.correction_world()
    run(sender(correction, RecordingProvider()))
    before = correction.states()
    world.undo(at=now() + timedelta(days=2))
    assert correction.states() == before
