from typing import Any

import pytest
from pydantic import ValidationError

from approval.form import Answer, form_schema, form_version, schema_version
from approval.states import DecisionKind

GOOD = {"decision": "approve", "login": "carl", "code": "012345", "comment": ""}


def test_an_empty_submit_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        Answer.model_validate({})
    assert {error["loc"][0] for error in refused.value.errors()} == {"decision", "login", "code"}


def test_the_schema_itself_requires_decision_login_and_code() -> None:
    schema = Answer.model_json_schema()
    assert schema["required"] == ["decision", "login", "code"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["decision"]["enum"] == [kind.value for kind in DecisionKind]
    assert "default" not in schema["properties"]["decision"]
    assert schema["properties"]["code"]["pattern"] == "^[0-9]{6}$"


@pytest.mark.parametrize("kind", DecisionKind)
def test_every_decision_can_be_given(kind: DecisionKind) -> None:
    assert Answer.model_validate({**GOOD, "decision": kind.value}).kind is kind


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "yes"},
        {"decision": ""},
        {"login": " "},
        {"code": "12345"},
        {"code": "１２３４５６"},  # digits of another script
        {"code": 12345},
        {"comment": "x" * 2001},
        {"to_level": "x" * 201},
        {"extra": 1},
    ],
)
def test_a_bad_answer_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Answer.model_validate(GOOD | change)


def test_the_code_does_not_show_in_a_repr() -> None:
    assert "012345" not in repr(Answer.model_validate(GOOD))


def test_a_character_that_the_database_cannot_hold_is_left_out() -> None:
    answer = Answer.model_validate(GOOD | {"comment": "a\0b", "to_level": "\0finance "})
    assert (answer.comment, answer.to_level) == ("ab", "finance")


@pytest.mark.parametrize("name", Answer.model_fields)
def test_every_field_explains_itself_in_english_and_chinese(name: str) -> None:
    description = Answer.model_fields[name].description or ""
    assert any(letter.isascii() and letter.isalpha() for letter in description)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in description)


def test_an_answer_to_the_form_of_before_there_was_a_level_to_return_to_is_still_one() -> None:
    assert Answer.model_validate(GOOD).to_level == ""


def test_the_version_of_the_form_differs_with_its_fields_and_not_with_its_heading() -> None:
    schema = form_schema()
    assert schema_version(schema) == form_version()
    assert schema_version({**schema, "title": "AnswerRunInput", "description": "another"}) == form_version()
    fields = {name: field for name, field in schema["properties"].items() if name != "to_level"}
    assert schema_version({**schema, "properties": fields}) != form_version()
    assert schema_version({**schema, "required": ["login"]}) != form_version()
