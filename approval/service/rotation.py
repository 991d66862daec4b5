"""Putting every stored secret under the newest key, so that older keys can be dropped."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from approval.errors import SecretUnreadable
from approval.secrecy import Cipher
from approval.service.record import Act, write_down
from models.queries import secrets
from models.queries.secrets import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What one batch did. `last_id` is where the next begins; None when there is no more."""

    kept: Secrets
    rewritten: int
    current: int  # under the newest key already
    unreadable: tuple[str, ...]  # which none of the keys opens: left as they are
    last_id: int | None


def rotate_batch(
    session: Session, *, kept: Secrets, cipher: Cipher, after_id: int, limit: int, by: str, now: datetime
) -> Rotated:
    """Re-encrypt the next secrets of one table. Begun again after a crash, it does only what is left."""
    rows = secrets.locked_secrets(session, kept, after_id=after_id, limit=limit)
    rewritten, current, unreadable = 0, 0, []
    for row_id, name, token in rows:
        if token is None or cipher.is_current(token):
            current += 1
            continue
        try:
            fresh = cipher.reencrypt(token)
        except SecretUnreadable:
            unreadable.append(name)
            continue
        secrets.replace_secret(session, kept, row_id, fresh)
        rewritten += 1
    if rewritten:
        act = Act(
            act="rotate_key", actor=by, object_kind="secrets", object_key=kept.value, details={"rewritten": rewritten}
        )
        write_down(session, act, now=now)
    last_id = rows[-1][0] if len(rows) == limit else None
    return Rotated(kept=kept, rewritten=rewritten, current=current, unreadable=tuple(unreadable), last_id=last_id)
