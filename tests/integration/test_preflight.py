"""Looking ahead on a real PostgreSQL: what a preflight counts is what planning then makes of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels import service
from channels.service import planning
from channels.states import Channel, DeliveryState
from models.queries import outlooks, themes
from tests.integration.scene import ENDS_AT, KEY, LINE, MORNING, STARTS_AT, Scene, theme_text
from themes.preflight import ChannelOutlook, FindingKind, Outlook
from themes.revision import load
from themes.service.preflight import audience_of, look_ahead

_QUIET = {"channels": ["sms"], "hours": "18:00-09:00", "countries": ["US"]}
_CAP = {"cap": "weekly", "most": 1, "per": "7d"}


def ahead(scene: Scene, *, now: datetime = MORNING) -> Outlook:
    with scene.begin() as session:
        theme = themes.theme_by_key(session, KEY)
        assert theme is not None
        return look_ahead(session, theme=theme, value=load(theme.draft), public_url="https://go.example.com", now=now)


def sms(outlook: Outlook) -> ChannelOutlook:
    return next(one for one in outlook.channels if one.channel is Channel.SMS)


def limits(scene: Scene, **content: Any) -> None:
    scene.run(
        "INSERT INTO limits (product_line_id, content, applied_by, applied_at) VALUES (1, :content, 'ann', now())",
        content=json.dumps({"product_line": LINE, **content}),
    )


def had(scene: Scene, customer_id: int, at: datetime) -> None:
    scene.run(
        "INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)"
        " VALUES (-:id, 0, :id, 'email', :at)",
        id=customer_id,
        at=at,
    )


def rough(scene: Scene) -> None:
    """Of the fourteen customers of the audience nine can be reached by SMS."""
    scene.run("DELETE FROM addresses WHERE channel = 'sms' AND customer_id = 1")
    scene.run("UPDATE addresses SET valid = false WHERE channel = 'sms' AND customer_id = 2")
    scene.run("UPDATE consents SET granted = false WHERE channel = 'sms' AND customer_id = 3")
    scene.run("UPDATE addresses SET address = '+447700900199' WHERE channel = 'sms' AND customer_id IN (4, 5)")
    scene.run(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        " SELECT 1, channel, address, 'unsubscribed', 'test', now() FROM addresses"
        " WHERE channel = 'sms' AND customer_id = 6"
    )


def test_recipients_are_counted_by_channel_and_segment(scene: Scene) -> None:
    scene.draft()

    seen = ahead(scene)

    assert (seen.audience, seen.by_segment) == (14, {"at_most_two_orders": 14, "ordered_once": 8})
    assert {one.channel: one.recipients for one in seen.channels} == dict.fromkeys(Channel, 14)
    assert sms(seen).by_segment == {"at_most_two_orders": 14, "ordered_once": 8}


def test_who_gets_nothing_is_counted_by_the_reason(scene: Scene) -> None:
    scene.draft()
    rough(scene)
    limits(scene, caps=[_CAP])
    had(scene, 7, STARTS_AT - timedelta(days=1))
    had(scene, 8, STARTS_AT - timedelta(days=8))

    one = sms(ahead(scene, now=STARTS_AT))

    assert one.left_out == {"duplicate": 1, "invalid": 1, "no_address": 1, "no_consent": 1}
    assert (one.recipients, one.suppressed, one.capped) == (8, 1, 1)


def test_who_shares_an_address_is_one_recipient_of_every_segment_that_one_of_them_is_in(scene: Scene) -> None:
    scene.draft()
    # One of the three is in both segments; of those in one only, two still have an address to themselves.
    scene.run("UPDATE addresses SET address = '+447700900199' WHERE channel = 'sms' AND customer_id IN (8, 9, 10)")
    scene.run("UPDATE customers SET country = 'US', timezone = 'America/New_York' WHERE id IN (9, 10)")

    one = sms(ahead(scene))

    assert (one.recipients, one.left_out) == (12, {"duplicate": 2})
    assert one.by_segment == {"at_most_two_orders": 12, "ordered_once": 8}


def test_a_customer_with_several_addresses_that_are_of_no_use_is_left_out_once(scene: Scene) -> None:
    scene.draft()
    scene.run(
        "UPDATE addresses SET valid = false WHERE channel = 'sms' AND customer_id = 1",
        "INSERT INTO addresses (customer_id, channel, address, original, valid) VALUES (1, 'sms', '12', '12', false)",
    )

    one = sms(ahead(scene))

    assert (one.recipients, one.left_out) == (13, {"invalid": 1})


def test_the_first_recipient_is_found_behind_many_who_cannot_be_reached(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlooks, "_FIRST", 2)
    scene.draft(theme_text(("{{ customer.name }}, {{ coupon", "{{ customer.name }} – " + "a" * 9 + " {{ coupon")))
    scene.run("DELETE FROM addresses WHERE channel = 'sms' AND customer_id < 14")

    assert sms(ahead(scene)).segments_a_message == 2


def test_a_cap_that_is_full_today_and_has_room_at_the_start_stops_nobody(scene: Scene) -> None:
    scene.draft()
    limits(scene, caps=[_CAP])
    had(scene, 7, MORNING - timedelta(days=1))

    assert sms(ahead(scene)).capped == 0


def test_a_plan_makes_of_the_same_audience_what_the_preflight_counted(scene: Scene) -> None:
    scene.draft()
    rough(scene)
    limits(scene, caps=[_CAP])
    had(scene, 7, STARTS_AT - timedelta(days=1))
    one = sms(ahead(scene, now=STARTS_AT))
    with scene.begin() as session:
        theme = themes.theme_by_key(session, KEY)
        assert theme is not None
        value = load(theme.draft)
    distribution_id = _live(scene)

    report = planning.plan(
        scene.database,
        distribution_id=distribution_id,
        audience_of=lambda _, row: audience_of(theme, value, as_of=row.segment_as_of),
        now=STARTS_AT,
    )

    assert report.states == {
        DeliveryState.PLANNED: one.recipients + one.capped,
        DeliveryState.SUPPRESSED: one.suppressed,
    }
    assert report.over_cap == one.capped
    assert report.left_out == one.left_out


def _live(scene: Scene) -> int:
    scene.run(
        "WITH made AS (INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id,"
        " created_at) SELECT id, 1, 'h', 'h', '{}', draft, author_id, now() FROM themes RETURNING id)"
        " UPDATE themes SET state = 'live', revision_id = made.id FROM made"
    )
    with scene.begin() as session:
        theme = themes.theme_by_key(session, KEY)
        assert theme is not None
        opened = service.open_distributions(
            session, theme=theme, accounts={Channel.SMS: "sms-main"}, segment_as_of=MORNING
        )
        return opened[0].id


def test_a_price_and_windows_make_a_cost_and_a_duration(scene: Scene) -> None:
    scene.draft(theme_text(("{{ customer.name }}, {{ coupon", "{{ customer.name }} – " + "a" * 9 + " {{ coupon")))
    scene.run(
        "UPDATE provider_accounts SET price_amount = 0.045, price_per = 'segment',"
        ' windows = \'[{"per_seconds": 60, "at_most": 1, "counts": "recipients"}]\' WHERE key = \'sms-main\''
    )

    seen = ahead(scene)

    one = sms(seen)
    assert one.segments_a_message == 2
    assert one.cost_minor == 14 * 2 * 4.5
    assert (one.duration, one.done_at) == (timedelta(minutes=13), STARTS_AT + timedelta(minutes=13))
    assert seen.cost_minor is None  # of the other channels no price is known
    assert {finding.channel for finding in seen.findings if finding.kind is FindingKind.COST_UNKNOWN} == {
        Channel.EMAIL,
        Channel.PUSH,
        Channel.MINI_PROGRAM,
    }


def test_accounts_of_a_pool_share_the_work_and_a_paused_one_is_told(scene: Scene) -> None:
    scene.draft()
    scene.run(
        "UPDATE provider_accounts SET pool = 'texts', windows ="
        ' \'[{"per_seconds": 60, "at_most": 1, "counts": "recipients"}]\' WHERE key = \'sms-main\''
    )
    for key, paused in (("sms-second", None), ("sms-third", "no balance")):
        scene.run(
            "INSERT INTO provider_accounts (key, product_line_id, channel, provider, settings, pool, windows,"
            " paused_because) SELECT :key, product_line_id, channel, provider, settings, pool, windows, :paused"
            " FROM provider_accounts WHERE key = 'sms-main'",
            key=key,
            paused=paused,
        )

    seen = ahead(scene)

    assert sms(seen).accounts == ["sms-main", "sms-second", "sms-third"]
    assert sms(seen).duration == timedelta(minutes=6)
    (paused_one,) = [finding for finding in seen.findings if finding.kind is FindingKind.ACCOUNT_PAUSED]
    assert paused_one.text == "account sms-third is paused: no balance"


def test_quiet_hours_of_the_place_hold_who_lives_there(scene: Scene) -> None:
    scene.draft()
    scene.run("UPDATE customers SET country = 'US', timezone = 'America/New_York' WHERE id IN (1, 2)")
    limits(scene, quiet_hours=[_QUIET])

    one = sms(ahead(scene))

    assert one.held == 2  # the theme starts at midnight in London, seven in the evening in New York
    assert one.done_at == datetime(2027, 3, 6, 14, tzinfo=UTC)


def test_who_cannot_be_reached_before_an_offer_ends_would_expire(scene: Scene) -> None:
    scene.draft()
    hour = '[{"per_seconds": 3600, "at_most": 1, "counts": "recipients"}]'
    scene.run("UPDATE provider_accounts SET windows = :windows WHERE key = 'sms-main'", windows=hour)

    begun = ENDS_AT - timedelta(hours=5)
    seen = ahead(scene, now=begun)

    assert seen.starts_at == begun
    assert seen.expires.of == "claiming women-20-off-100"
    assert sms(seen).would_expire == 14 - 5
    assert any(finding.kind is FindingKind.EXPIRES for finding in seen.findings)


def test_names_of_those_for_whom_a_message_would_fail_are_capped_and_their_count_is_not(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlooks, "MOST_NAMES", 2)
    scene.draft()
    scene.run("UPDATE customers SET name = NULL WHERE id <= 5")

    lacking = sms(ahead(scene)).lacking["customer.name"]

    assert (lacking.count, lacking.names) == (5, ["c01", "c02"])


def test_too_few_coupons_for_the_audience_are_told(scene: Scene) -> None:
    scene.draft(theme_text(("total: 300", "total: 3")))

    (found,) = [one for one in ahead(scene).findings if one.kind is FindingKind.TOO_FEW_COUPONS]

    assert (found.text, found.count) == ("first-parcel-free: 3 for 14 recipients", 11)
