"""Who acts, with the code that proves it."""

from dataclasses import dataclass, field
from uuid import UUID

from approval.errors import CommentRequired


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who acts, with the code that proves it, and why."""

    login: str
    code: str = field(repr=False)
    comment: str = ""
    flow_run_id: UUID | None = None


def require_comment(signature: Signature, act: str) -> None:
    """Raises CommentRequired: whatever is not an approval says why."""
    if not signature.comment.strip():
        raise CommentRequired(decision=act)
