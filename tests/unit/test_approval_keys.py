import re
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from approval.keys import (
    gate_idempotency_key,
    gate_run_name,
    gate_run_name_end,
    gate_tags,
    inbox_path,
    input_keys,
    pause_key,
)


@given(st.integers(1, 2**63 - 1), st.integers(1, 10_000))
def test_a_form_key_has_only_what_the_server_can_find_again(task_id: int, attempt: int) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", pause_key(task_id, attempt))


def test_every_attempt_has_a_form_and_a_run_of_its_own() -> None:
    pairs = [(1, 1), (1, 2), (11, 1), (2, 1), (1, 11)]
    assert len({pause_key(*pair) for pair in pairs}) == len(pairs)
    assert len({gate_idempotency_key(*pair) for pair in pairs}) == len(pairs)


def test_the_inputs_of_a_suspended_run_are_named_as_prefect_looks_for_them() -> None:
    assert input_keys(7, 2) == {
        "schema": "suspended-t7-a2-schema",
        "description": "suspended-t7-a2-description",
        "response": "suspended-t7-a2-response",
    }


def test_a_gate_is_tagged_and_named_for_the_person() -> None:
    assert gate_tags(theme_key="三八", login="carl", level=2) == ["theme:三八", "approver:carl", "level:2"]
    name = gate_run_name(title="Women's Day", level=2, level_name="finance", login="carl")
    assert name == "Approve · Women's Day · level 2 finance · carl"
    assert name.endswith(gate_run_name_end(level=2, level_name="finance", login="carl"))


def test_the_link_to_an_inbox_asks_for_the_tag_of_every_gate_of_that_person_alone() -> None:
    assert inbox_path("carl") == "/runs?tag=approver:carl&state=Suspended&type=span&seconds=-7776000"
    (tag,) = parse_qs(urlsplit(inbox_path("a&b=c")).query)["tag"]
    assert tag in gate_tags(theme_key="x", login="a&b=c", level=1)
