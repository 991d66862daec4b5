from pathlib import Path

import pytest

from console.supervisor import record
from console.supervisor.environment import embedded_database_url, load_environment
from console.supervisor.errors import StateUnreadable
from console.supervisor.layout import Layout, write_private
from console.supervisor.processes import Identity
from console.supervisor.record import Installation, Options, PartRecord, PartState

API = "http://127.0.0.1:4200/api"


def installed(root: Path) -> Layout:
    layout = Layout(root)
    part = PartRecord(name="postgres", state=PartState.READY, identity=Identity(7, 1.5), address="here", restarts=2)
    installation = Installation(
        options=Options(dev_key=True),
        supervisor=Identity(6, 1.0),
        parts={"postgres": part},
        addresses={"prefect_api": API},
    )
    record.save(layout.state, installation)
    write_private(layout.database_url, embedded_database_url(layout.postgres, "word"))
    write_private(layout.prefect_api_auth, "themeline:word")
    write_private(layout.secret_key, "key")
    return layout


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    layout = installed(tmp_path)
    found = record.load(layout.state)
    assert found is not None
    assert found.parts["postgres"].identity == Identity(7, 1.5)
    assert found.up
    record.save(layout.state, found)
    assert record.load(layout.state) == found


@pytest.mark.parametrize("text", ["", "{", "{}", '{"options": {"colour": 1}, "supervisor": null, "parts": {}}'])
def test_a_damaged_record_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StateUnreadable, match="delete it and run `themeline up`"):
        record.load(path)


def test_an_installation_is_up_only_when_every_part_is() -> None:
    waiting = Installation(parts={"a": PartRecord("a", PartState.READY), "b": PartRecord("b", PartState.WAITING)})
    assert not waiting.up
    assert not Installation().up


def test_the_installation_offers_what_a_command_connects_with(tmp_path: Path) -> None:
    installed(tmp_path)
    offered = load_environment(tmp_path, given={})
    assert offered["PREFECT_API_URL"] == API
    assert offered["PREFECT_API_AUTH_STRING"] == "themeline:word"
    assert offered["THEMELINE_SECRET_KEY"] == "key"
    assert offered["THEMELINE_DATABASE_URL"].startswith("postgresql+psycopg2://themeline_app:word@/themeline?host=%2F")


def test_the_real_environment_wins(tmp_path: Path) -> None:
    installed(tmp_path)
    assert load_environment(tmp_path, given={"THEMELINE_DATABASE_URL": "mine"})["THEMELINE_DATABASE_URL"] == "mine"


def test_our_password_is_not_offered_to_another_prefect_server(tmp_path: Path) -> None:
    installed(tmp_path)
    offered = load_environment(tmp_path, given={"PREFECT_API_URL": "http://elsewhere/api"})
    assert offered["PREFECT_API_URL"] == "http://elsewhere/api"
    assert "PREFECT_API_AUTH_STRING" not in offered


def test_nothing_is_offered_where_nothing_runs(tmp_path: Path) -> None:
    assert load_environment(tmp_path, given={}) == {}
