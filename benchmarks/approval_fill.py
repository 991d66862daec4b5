"""Themes in review with open questions, in bulk, and the gate runs that show them."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from approval.gates import ShownGate, form_mark
from approval.keys import gate_idempotency_key, input_keys, pause_key
from approval.service import questions
from approval.service.policies import apply_policy
from approval.service.questions import GateForm
from models.database import Database
from themes.document import Vocabulary, parse_theme
from themes.revision import freeze
from themes.theme import Theme

PEOPLE = 50
EXAMPLE = Path(__file__).parents[1] / "examples" / "womens-day"
#: As long as briefs are.
BRIEF = "theme **Women's Day**, approver?\n\n" + "- **budget** 20000.00 GBP · **audience** 4,300 people\n" * 60
_POLICY = """
policy: scale
fallback: approver-1
theme:
  - {level: finance, approvers: [approver-2, approver-3], quorum: all, due: 24h}
coupon: none
activity: none
"""
_PEOPLE = """
    INSERT INTO people (login, name, created_at)
    SELECT 'approver-' || n, 'Approver ' || n, now() FROM generate_series(1, :people) n
"""
_THEMES = """
    WITH line AS (
        INSERT INTO product_lines (key, name, currency) VALUES ('giftware-eu', 'Giftware', 'GBP') RETURNING id
    )
    INSERT INTO themes (key, product_line_id, title, author_id, state, draft, draft_source, starts_at, ends_at,
                        timezone, created_at, state_changed_at)
    SELECT 'scale-' || n, line.id, 'Scale ' || n, (SELECT max(id) FROM people), 'in_review', :content, '',
           now() + interval '1 day', now() + interval '3 days', 'Europe/London', now(), now()
    FROM line, generate_series(1, :themes) n
"""
_REVISIONS = """
    WITH made AS (
        INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id, created_at)
        SELECT id, 1, :hash, :hash, :offer_hashes, draft, author_id, now() FROM themes RETURNING id, theme_id
    )
    UPDATE themes SET revision_id = made.id FROM made WHERE themes.id = made.theme_id
"""
_ROUNDS = """
    INSERT INTO rounds (theme_id, revision_id, policy_id, number, state, reach, opened_at)
    SELECT themes.id, revision_id, policies.id, 1, 'open', '{"audience": 4300}', now() FROM themes, policies
"""
_CHAINS = """
    INSERT INTO chains (round_id, first_round_id, object_kind, object_key, object_hash, state)
    SELECT rounds.id, rounds.id, 'theme', themes.key, :hash, 'open' FROM rounds JOIN themes ON themes.id = theme_id
"""
_LEVELS = """
    INSERT INTO levels (chain_id, position, name, quorum, veto, due_seconds, state, opened_at)
    SELECT id, 1, 'finance', '{"kind": "all"}', '[]', 86400, 'open', now() FROM chains
"""
_TASKS = """
    INSERT INTO tasks (level_id, person_id, owner_id, position, state, opened_at, due_at, remind_at)
    SELECT levels.id, people.id, people.id, seat, 'open', now(), now() + interval '1 day', now() + interval '8 hours'
    FROM levels, generate_series(1, :each) seat
    JOIN people ON true
    WHERE people.login = 'approver-' || (1 + (levels.id * :each + seat) % :people)
"""
_TIE = "UPDATE tasks SET flow_run_id = :run, gate_ready = true, form_version = :mark WHERE id = :task"


def fill(database: Database, *, themes: int, questions: int) -> None:
    content = freeze(_example())
    values = {
        "people": PEOPLE,
        "themes": themes,
        "each": questions // themes,
        "content": json.dumps(content.content),
        "hash": content.hash,
        "offer_hashes": json.dumps(dict(content.offer_hashes)),
    }
    with database.begin() as session:
        session.execute(text(_PEOPLE), values)
        apply_policy(session, text=_POLICY, by="benchmark", now=datetime.now(UTC))
        for statement in (_THEMES, _REVISIONS, _ROUNDS, _CHAINS, _LEVELS, _TASKS):
            session.execute(text(statement), values)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))


def _example() -> Theme:
    templates = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
    return parse_theme((EXAMPLE / "theme.yaml").read_text(encoding="utf-8"), templates=templates, known=Vocabulary())


def show_in_prefect(database: Database, api: str, prefect_database: Path) -> None:
    """Open one gate as the product does, and copy its rows for every other question."""
    with database.begin() as session:
        runs = {task_id: uuid4() for task_id in questions.gates_to_open(session)}
        first = next(iter(runs))
        form = questions.gate_form(session, first)
    assert form is not None  # noqa: S101 - it is among those that are open
    runs[first] = _open(api, form)
    ties = [{"task": task_id, "run": run, "mark": form_mark(BRIEF)} for task_id, run in runs.items()]
    with database.begin() as session:
        session.connection().execute(text(_TIE), ties)
    with database.begin() as session:
        shown = questions.shown_gates(session)
    _copy(prefect_database, first, [gate for gate in shown if gate.task_id != first])


def _open(api: str, form: GateForm) -> UUID:
    from prefect.client.orchestration import SyncPrefectClient  # noqa: PLC0415 - other benchmarks do without Prefect

    from tasks.gate_runs import create_suspended_run, save_form  # noqa: PLC0415 - the same

    with SyncPrefectClient(api) as client:
        run_id = create_suspended_run(client, form)
        save_form(client, run_id, replace(form, brief=BRIEF))
    return run_id


def _copy(path: Path, task_id: int, gates: list[ShownGate]) -> None:
    with sqlite3.connect(path, timeout=60) as prefect:
        prefect.row_factory = sqlite3.Row
        (run,) = _rows(prefect, "SELECT * FROM flow_run WHERE idempotency_key = ?", gate_idempotency_key(task_id, 1))
        (state,) = _rows(prefect, "SELECT * FROM flow_run_state WHERE flow_run_id = ?", run["id"])
        inputs = _rows(prefect, "SELECT * FROM flow_run_input WHERE flow_run_id = ?", run["id"])
        for gate in gates:
            _copy_run(prefect, gate, run, state)
            for one in inputs:
                part = str(one["key"]).rpartition("-")[2]
                changes = {"id": str(uuid4()), "flow_run_id": str(gate.flow_run_id)}
                _insert(prefect, "flow_run_input", one | changes | {"key": input_keys(gate.task_id, 1)[part]})


def _copy_run(prefect: sqlite3.Connection, gate: ShownGate, run: dict[str, Any], state: dict[str, Any]) -> None:
    run_id, state_id, tags = str(gate.flow_run_id), str(uuid4()), json.dumps([*sorted(gate.tags), "approval"])
    details = json.loads(state["state_details"]) | {
        "flow_run_id": run_id,
        "pause_key": pause_key(gate.task_id, 1),
        "run_input_keyset": input_keys(gate.task_id, 1),
    }
    key = gate_idempotency_key(gate.task_id, 1)
    changes = {"id": run_id, "state_id": state_id, "idempotency_key": key, "name": gate.run_name, "tags": tags}
    _insert(prefect, "flow_run", run | changes)
    changes = {"id": state_id, "flow_run_id": run_id, "state_details": json.dumps(details)}
    _insert(prefect, "flow_run_state", state | changes)


def _rows(prefect: sqlite3.Connection, query: str, value: str) -> list[dict[str, Any]]:
    return [dict(row) for row in prefect.execute(query, (value,))]


def _insert(prefect: sqlite3.Connection, name: str, row: Mapping[str, Any]) -> None:
    columns, places = ", ".join(f'"{column}"' for column in row), ", ".join("?" * len(row))
    prefect.execute(f"INSERT INTO {name} ({columns}) VALUES ({places})", tuple(row.values()))  # noqa: S608 - of our own
