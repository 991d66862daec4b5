"""The form in which an approver answers. It holds single-use codes only: what is typed there is stored in clear."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from approval.brief import in_field
from approval.canonical import canonical_json, sha256_of
from approval.states import DecisionKind

LONGEST_COMMENT = 2_000
_LONGEST_NAME = 200


class Answer(BaseModel):
    """An approver's answer. Three fields have no default, so that an empty submit is refused by the server itself."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    decision: Literal[
        "approve", "return to drafter", "return to previous level", "return to chosen level", "reject"
    ] = Field(
        title="Decision · 决定",
        description="Return to drafter voids all approvals of this round; return to previous or chosen level asks "
        "again from a level that was signed; reject ends it. · return to drafter 退回起草人并作废本轮同意；"
        "return to previous level 退回上一已签级；return to chosen level 退回所选级；reject 拒绝",
    )
    login: str = Field(
        title="Your login · 登录名",
        description="The person this question was put to. · 被询问者本人的登录名",
        min_length=1,
        max_length=_LONGEST_NAME,
    )
    code: str = Field(
        title="One-time code · 动态码",
        description="The six digits that your authenticator app shows now; each code works once. · "
        "身份验证器当前显示的六位数字，每码只能使用一次",
        pattern=r"^[0-9]{6}$",
        repr=False,
    )
    to_level: str = Field(
        default="",
        title="Return to level · 退回到哪一级",
        description="Only for return to chosen level: the name of an earlier level that was signed. · "
        "仅在退回所选级时填写：一个已签署的前级名称",
        max_length=_LONGEST_NAME,
    )
    comment: str = Field(
        default="",
        title="Comment · 意见",
        description="Required to return or to reject; the author reads it. · 退回或拒绝时必填，作者可见",
        max_length=LONGEST_COMMENT,
    )

    @field_validator("login", "to_level", "comment")
    @classmethod
    def _storable(cls, text: str) -> str:
        return text.replace("\0", "")  # PostgreSQL holds every character but this

    @property
    def kind(self) -> DecisionKind:
        return DecisionKind(self.decision)


def question_form(brief: str) -> type[Answer]:
    """The form of one question: its brief stands above the choice, for there alone Prefect's UI never cuts it off."""
    field = Answer.model_fields["decision"]
    choice = Field(title=field.title, description=brief_above_choice(brief))
    return create_model("Answer", __base__=Answer, decision=(cast("Any", field.annotation), choice))


def form_schema(brief: str | None = None) -> dict[str, Any]:
    """What Prefect's server checks an answer against, and what its UI shows."""
    form = Answer if brief is None else question_form(brief)
    return form.model_json_schema() | {"additionalProperties": False}


def brief_above_choice(brief: str) -> str:
    return in_field(brief, Answer.model_fields["decision"].description or "")


def text_above_choice(schema: Mapping[str, Any]) -> object:
    """What a form's schema shows above its choice, whatever somebody has made of it."""
    fields = schema.get("properties")
    choice = fields.get("decision") if isinstance(fields, Mapping) else None
    return choice.get("description") if isinstance(choice, Mapping) else None


def schema_version(schema: Mapping[str, Any]) -> str:
    """A short hash of a form's fields.

    Its own heading is left out, for Prefect writes another one when a run suspends; and so is what stands above the
    choice, for it is each question's own.
    """
    fields = {name: value for name, value in schema.items() if name not in {"title", "description"}}
    if text_above_choice(schema) is not None:
        choice = {name: value for name, value in fields["properties"]["decision"].items() if name != "description"}
        fields["properties"] = {**fields["properties"], "decision": choice}
    return sha256_of(canonical_json(fields))[:12]


@lru_cache(maxsize=1)
def form_version() -> str:
    """Of the form as it is asked now: it differs once a deployment has changed the form's fields."""
    return schema_version(form_schema())
