"""`themeline theme preflight`: what it says to people and to programs, of a draft and of what was approved."""

import pytest

from tests.integration.command_line import CommandLine
from tests.integration.scene import KEY, Scene, theme_text

WINDOWS = '[{"per_seconds": 60, "at_most": 1, "counts": "recipients"}]'


@pytest.fixture
def priced(scene: Scene) -> Scene:
    scene.draft()
    scene.run(
        f"UPDATE provider_accounts SET price_amount = 0.045, price_per = 'recipient', windows = '{WINDOWS}'",  # noqa: S608 - a constant
        "UPDATE customers SET name = NULL WHERE id IN (1, 2)",
    )
    return scene


def test_people_are_told_whom_it_reaches_what_it_costs_and_what_stands_in_the_way(
    cli: CommandLine, priced: Scene
) -> None:
    priced.run("UPDATE provider_accounts SET paused_because = 'no balance' WHERE key = 'push-main'")

    outcome = cli.run("theme", "preflight", KEY)

    assert outcome.exit_code == 0
    lines = [" ".join(line.split()) for line in outcome.stdout.splitlines()]
    assert lines[0] == f"{KEY}: 14 customers (14 at_most_two_orders, 8 ordered_once), cost unknown"
    assert lines[1].endswith("UTC, when claiming women-20-off-100 ends")
    assert "channel sms email push mini_program" in lines
    assert "recipients 14 14 14 14" in lines
    assert "takes 0:13:00 0:13:00 0:00:00 0:13:00" in lines
    assert "- sms: customer.name is missing for 2 recipients: c01, c02" in lines
    assert "- push: account push-main is paused: no balance" in lines


def test_programs_get_every_figure_durations_in_seconds_and_money_in_minor_units(
    cli: CommandLine, priced: Scene
) -> None:
    told = cli.json("theme", "preflight", KEY)

    assert (told["theme"], told["audience"], told["currency"]) == (KEY, 14, "GBP")
    assert told["expires"]["of"] == "claiming women-20-off-100"
    assert told["cost_minor"] == 4 * 63  # 14 recipients at 4.5 pence on each channel
    sms = next(one for one in told["channels"] if one["channel"] == "sms")
    assert (sms["recipients"], sms["seconds"], sms["cost_minor"]) == (14, 13 * 60, 63)
    assert sms["lacking"] == {"customer.name": {"count": 2, "names": ["c01", "c02"]}}
    assert {one["kind"] for one in told["findings"]} == {"lacks_variable"}
    assert priced.theme().state.value == "draft"


def test_what_is_asked_for_is_looked_at_and_not_the_draft_that_came_after_it(cli: CommandLine, scene: Scene) -> None:
    scene.draft(theme_text(("total: 300", "total: 3")))
    scene.submit()
    scene.run("UPDATE themes SET draft = jsonb_set(draft::jsonb, '{offers}', '{}')")

    told = cli.json("theme", "preflight", KEY)

    assert [one["text"] for one in told["findings"] if one["kind"] == "too_few_coupons"] == [
        "first-parcel-free: 3 for 14 recipients"
    ]


def test_a_theme_that_is_not_there_is_refused(cli: CommandLine) -> None:
    assert "'no-such-theme'" in cli.refusal("theme", "preflight", "no-such-theme")
