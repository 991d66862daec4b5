"""Bad input that only a running installation can refuse: the reason, exit status 2, and nothing changed."""

from datetime import timedelta
from typing import Any

import pytest

from approval.keys import pause_key
from console.prefect_api import PrefectRefused
from tests.acceptance.world import Prefect, World, task_of, wait_until, world_of

pytestmark = pytest.mark.timeout(180)

KEY = "acc-bad"
AUTHOR, APPROVER = "acc-dora", "acc-tim"


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = world_of(installation.environment, tmp_path_factory.mktemp("world"))
    world.draft(world.theme_file(KEY, author=AUTHOR, start=timedelta(days=2), policy="acc-pair"), AUTHOR)
    return world


def signed(verb: str, key: str, login: str, code: str) -> tuple[str, ...]:
    comment = () if verb == "submit" else ("--comment", "for a reason")
    return ("theme", verb, key, "--login", login, "--code", code, *comment)


def standing(world: World) -> tuple[str, int, int]:
    """What a refused verb must leave alone: state, revisions, rounds."""
    shown = world.show(KEY)
    return shown["state"], len(shown["revisions"]), len(shown["rounds"])


REFUSED = [
    # a code that nobody's authenticator shows
    ("submit", KEY, AUTHOR, "000000", "The one-time code is not right"),
    ("submit", KEY, "acc-tia", "000000", "acc-tia may not submit"),
    ("submit", "acc-bat", AUTHOR, "000000", "did you mean 'acc-bad'"),
    ("submit", KEY, "acc-dorra", "000000", "acc-dorra may not submit"),
    ("withdraw", KEY, AUTHOR, "000000", "cannot withdraw a theme that is draft"),
    ("launch-now", KEY, AUTHOR, "000000", "cannot launch_now a theme that is draft"),
]


@pytest.mark.parametrize(("verb", "key", "login", "code", "reason"), REFUSED)
def test_signature_that_is_not_good_or_not_allowed_is_refused_with_its_reason(  # noqa: PLR0917 - the columns of the table
    world: World, verb: str, key: str, login: str, code: str, reason: str
) -> None:
    told = world.cli.refusal(*signed(verb, key, login, code))
    assert reason in told
    assert "Traceback" not in told
    assert standing(world) == ("draft", 0, 0)


def test_code_that_is_no_code_is_refused_before_anything_runs(world: World) -> None:
    told = world.cli.refusal(*signed("submit", KEY, AUTHOR, "12ab"))
    assert "code" in told
    assert "12ab" not in told
    assert standing(world) == ("draft", 0, 0)


def test_draft_by_somebody_unknown_is_refused_and_not_saved(world: World) -> None:
    file = world.theme_file("acc-nobody", author=AUTHOR, start=timedelta(days=2), policy="acc-two")
    told = world.cli.refusal("theme", "draft", str(file), "--login", "acc-dorra")
    assert "did you mean 'acc-dora'" in told
    assert "there is no theme 'acc-nobody'" in world.cli.refusal("theme", "show", "acc-nobody")


def test_code_works_once_and_an_answer_about_an_old_revision_is_not_taken(world: World, installation: Any) -> None:
    code = world.people[AUTHOR].code()
    assert world.cli.run(*signed("submit", KEY, AUTHOR, code)).exit_code == 0
    old = world.question(APPROVER, KEY)["id"]
    assert "has signed something already" in world.cli.refusal(*signed("withdraw", KEY, AUTHOR, code))
    assert standing(world) == ("in_review", 1, 1)

    world.sign("withdraw", KEY, AUTHOR)
    edited = world.theme_file(KEY, author=AUTHOR, start=timedelta(days=3), policy="acc-pair")
    world.draft(edited, "acc-cora")
    world.sign("submit", KEY, "acc-cora")
    form = world.form(APPROVER)
    with pytest.raises(PrefectRefused):
        world.api.resume(old, form)
    prefect = Prefect(installation.environment)
    prefect.plant(old, f"suspended-{pause_key(task_of(world, old).id, 1)}-response", form)
    prefect.force(old, "SCHEDULED", "Resuming")
    assert wait_until("its end", lambda: world.api.flow_run(old)["state_name"] == "NoLongerAsked")
    assert standing(world) == ("in_review", 2, 2)
    assert world.decisions(KEY) == []
    world.answer(APPROVER, KEY)
    wait_until("the decision", lambda: world.decisions(KEY) == [(APPROVER, "approve")])
