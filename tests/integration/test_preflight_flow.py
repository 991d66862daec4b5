"""The look ahead where flows take it, with a draft and with a launch, on a Prefect server of the test's own."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State

from flows.distribute_theme import distribute_theme
from flows.draft_theme import draft_theme
from tasks import (
    connection,
    distribution,
    gate_runs,
    launch_runs,
    preflights,
    previews,
    progress,
    theme_steps,
    timeline,
)
from tests.integration.scene import KEY, MORNING, STARTS_AT, TEMPLATES, Scene, theme_text
from themes.service import launch

WITH_DATABASE = (distribution, gate_runs, preflights, previews, progress, theme_steps, timeline)


@pytest.fixture
def of_scene(scene: Scene, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> Scene:
    for artifact in prefect.read_artifacts():
        prefect.delete_artifact(artifact.id)  # the theme of another test had the same number
    for module in WITH_DATABASE:
        monkeypatch.setattr(module, "database", lambda: scene.database)
    it_is(MORNING, monkeypatch)
    return scene


def it_is(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, *WITH_DATABASE, launch_runs):
        monkeypatch.setattr(module, "clock", lambda: now, raising=False)


def drafted() -> str:
    state = draft_theme(theme_text(), "ann", TEMPLATES, return_state=True)
    assert isinstance(state, State)
    assert state.is_completed()
    return state.message or ""


def shown(prefect: SyncPrefectClient, scene: Scene) -> list[str]:
    """The pages of the theme's preflights, and where Prefect shows them at once, the oldest first."""
    key = ArtifactFilterKey(any_=[f"preflight-theme-{scene.theme().id}"])
    found = sorted(prefect.read_artifacts(artifact_filter=ArtifactFilter(key=key)), key=lambda one: str(one.created))
    assert [one.description for one in found] == [one.data for one in found]
    return [str(one.data) for one in found]


def test_a_draft_is_saved_with_its_preflight_beside_it_and_in_its_answer(
    of_scene: Scene, prefect: SyncPrefectClient
) -> None:
    of_scene.run("UPDATE customers SET name = NULL WHERE id = 1")

    told = drafted()

    assert f"theme {KEY} is saved" in told
    assert told.endswith(
        "; it reaches 14 by sms, 14 by email, 14 by push, 14 by mini_program; costs unknown; 6 findings"
    )
    (page,) = shown(prefect, of_scene)
    assert page.startswith(f"# Preflight of {KEY}\n\nCounted 2027-02-20 09:00 Europe/London; from 2027-03-06 00:00")
    assert "- sms: customer.name is missing for 1 recipients: c01" in page
    assert "| push | push-main | 14 |" in page


def test_a_draft_is_saved_though_its_preflight_fails(
    of_scene: Scene, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(preflights, "look_ahead", fail)
    monkeypatch.setattr("flows.draft_theme.publish_preflight", preflights.publish_preflight.with_options(retries=0))

    assert drafted().endswith("; its preflight failed")

    assert of_scene.theme().key == KEY
    assert shown(prefect, of_scene) == []


def test_a_launch_looks_ahead_at_what_was_approved(
    of_scene: Scene, prefect: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_scene.draft()
    of_scene.submit()
    of_scene.approve_all()
    of_scene.run("UPDATE themes SET draft = '{}'")
    of_scene.run("DELETE FROM addresses")  # nobody is sent anything, so no sender is wanted
    with of_scene.begin() as session:
        wanted = launch.launch_to_schedule(session, of_scene.theme().id)
        assert wanted is not None
        assert launch.schedule(session, launch=wanted, run_id=uuid4(), now=of_scene.now)
    it_is(STARTS_AT + timedelta(minutes=1), monkeypatch)

    launched = distribute_theme(wanted.theme_id, wanted.revision_id, return_state=True)

    assert isinstance(launched, State)
    assert launched.is_completed(), launched
    (page,) = shown(prefect, of_scene)
    assert "from 2027-03-06 00:01 Europe/London" in page
    assert "- nobody would be reached on any channel" in page
