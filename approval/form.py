"""The form in which an approver answers. It holds single-use codes only: what is typed there is stored in clear."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from approval.states import DecisionKind

LONGEST_COMMENT = 2_000


class Answer(BaseModel):
    """An approver's answer. Three fields have no default, so that an empty submit is refused by the server itself."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    decision: Literal["approve", "return to drafter", "reject"] = Field(
        title="Decision · 决定",
        description="Return to drafter voids all approvals of this round; reject ends it. · "
        "return to drafter 退回并作废本轮同意；reject 拒绝",
    )
    login: str = Field(
        title="Your login · 登录名",
        description="The person this question was put to. · 被询问者本人的登录名",
        min_length=1,
        max_length=200,
    )
    code: str = Field(
        title="One-time code · 动态码",
        description="The six digits that your authenticator app shows now; each code works once. · "
        "身份验证器当前显示的六位数字，每码只能使用一次",
        pattern=r"^[0-9]{6}$",
        repr=False,
    )
    comment: str = Field(
        default="",
        title="Comment · 意见",
        description="Required to return or to reject; the author reads it. · 退回或拒绝时必填，作者可见",
        max_length=LONGEST_COMMENT,
    )

    @field_validator("login", "comment")
    @classmethod
    def _storable(cls, text: str) -> str:
        return text.replace("\0", "")  # PostgreSQL holds every character but this

    @property
    def kind(self) -> DecisionKind:
        return DecisionKind(self.decision)
