"""Applying a policy file, and finding the one that a round follows."""

from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from approval.chain import check_people, unknown_lines
from approval.errors import PolicyInvalid, PolicyUnknown
from approval.policy import Policy, parse_policy
from approval.service.people import directory
from approval.service.record import Act, write_down
from models.approval import Policy as PolicyRow
from models.queries import approvals, themes


def apply_policy(session: Session, *, text: str, by: str, now: datetime) -> PolicyRow:
    """Make a policy file the newest version of its policy; the same content again changes nothing.

    Raises:
        PolicyInvalid: with every problem of the file, unknown people and quorums that cannot be reached among them.
    """
    policy = parse_policy(text)
    if unknown := unknown_lines(policy, themes.product_line_keys(session)):
        raise PolicyInvalid(unknown)
    check_people(policy, directory(session))
    newest = approvals.newest_policy(session, policy.policy)
    if newest is not None and newest.hash == policy.hash:
        return newest
    version = 1 if newest is None else newest.version + 1
    row = PolicyRow(
        key=policy.policy,
        version=version,
        hash=policy.hash,
        content=policy.canonical(),
        applied_by=by,
        applied_at=now,
    )
    session.add(row)
    write_down(
        session,
        Act(
            act="apply_policy",
            actor=by,
            object_kind="policy",
            object_key=policy.policy,
            object_hash=policy.hash,
            details={"version": version},
        ),
        now=now,
    )
    return row


def policy_for(session: Session, key: str) -> PolicyRow:
    """The newest version of a policy.

    Raises:
        PolicyUnknown: none of that name has been applied.
    """
    if row := approvals.newest_policy(session, key):
        return row
    raise PolicyUnknown(policy=key, known=approvals.policy_keys(session))


def read_policy(row: PolicyRow) -> Policy:
    return _parsed(row.content)


@lru_cache(maxsize=64)
def _parsed(content: str) -> Policy:
    """A version of a policy never changes, and is read for every level that is opened."""
    return parse_policy(content)
