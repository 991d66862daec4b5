# ruff: noqa: S608 - every statement here is put together from constants of this module
"""One-time subscriptions: a person agrees to one message of a template, and that message uses her agreement up.

Whoever changes counters holds their rows first, in the order of their ids, and only then touches what was taken.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.queries.access_paths import BY_INDEX
from models.queries.arrays import plain_array

#: The code of a delivery that is `capped` because its recipient has agreed to no further message.
NONE_LEFT = "one_time_subscription"

# Rows are looked up one by one (OFFSET 0) or named as an array, which leads to them by an index: joined to what a
# statement has just found, of which PostgreSQL cannot know how little it is, tables of any size would be read whole.

#: Whether the delivery of a reservation `r` keeps it: it is being sent, has left or may have.
KEEPS = """EXISTS (
    SELECT FROM deliveries dl WHERE dl.distribution_id = r.distribution_id AND dl.seq = r.delivery_seq
      AND dl.state IN ('sending', 'sent', 'delivered', 'unknown') OFFSET 0
)"""

_TEMPLATE = text("""
    SELECT t.product_line_id, CASE d.purpose
        WHEN 'correction' THEN x.correction #>> ARRAY['channels', d.channel, 'template']
        ELSE r.content #>> ARRAY['theme', 'channels', d.channel, 'template'] END AS template
    FROM distributions d
    JOIN themes t ON t.id = d.theme_id
    JOIN revisions r ON r.id = d.revision_id
    LEFT JOIN takedowns x ON x.theme_id = d.theme_id
    WHERE d.id = :distribution_id
""")

_OWN = """
    FROM deliveries dl
    LEFT JOIN LATERAL (
        SELECT id, remaining FROM one_time_subscriptions
        WHERE product_line_id = :product_line_id AND address = dl.address AND template = :template OFFSET 0
    ) s ON true
    WHERE dl.distribution_id = :distribution_id AND dl.seq = ANY(CAST(:seqs AS bigint[]))
      AND dl.state = 'sending' AND dl.lease_owner = :sender
"""

_LOCK_OWN = text(f"""{BY_INDEX}
    SELECT id FROM one_time_subscriptions WHERE id = ANY(ARRAY(SELECT s.id {_OWN})) ORDER BY id FOR UPDATE
""")

_LOOK = text(f"""
    SELECT dl.seq, s.id, s.remaining > 0 AS left_over,
           EXISTS (SELECT FROM subscription_uses u WHERE u.delivery_seq = dl.seq OFFSET 0) AS taken {_OWN}
""")

_USE = text("""
    WITH used AS (
        INSERT INTO subscription_uses (delivery_seq, distribution_id, subscription_id)
        SELECT seq, :distribution_id, id
        FROM unnest(CAST(:seqs AS bigint[]), CAST(:ids AS bigint[])) AS v(seq, id) ORDER BY seq
    )
    UPDATE one_time_subscriptions SET remaining = remaining - 1 WHERE id = ANY(CAST(:ids AS bigint[]))
""")

_CAP = text("""
    UPDATE deliveries SET
        state = 'capped', due_at = NULL, lease_owner = NULL, error_code = :none_left, changed_at = :now
    WHERE distribution_id = :distribution_id AND seq = ANY(CAST(:seqs AS bigint[]))
""")

_USES = "FROM subscription_uses r WHERE r.delivery_seq = ANY(CAST(:seqs AS bigint[]))"

_LOCK_USED = text(f"""{BY_INDEX}
    SELECT id FROM one_time_subscriptions WHERE id = ANY(ARRAY(SELECT r.subscription_id {_USES})) ORDER BY id FOR UPDATE
""")

_GIVE_BACK = text(f"""
    WITH freed AS (DELETE {_USES} AND NOT {KEEPS} RETURNING r.subscription_id)
    UPDATE one_time_subscriptions s SET remaining = s.remaining + many.count
    FROM (SELECT subscription_id, count(*) AS count FROM freed GROUP BY subscription_id) AS many
    WHERE s.id = many.subscription_id AND s.id = ANY(ARRAY(SELECT subscription_id FROM freed))
""")

_USE_UP = text(f"""
    WITH refused AS (SELECT r.delivery_seq, r.subscription_id {_USES}), emptied AS (
        UPDATE one_time_subscriptions SET remaining = 0 WHERE id = ANY(ARRAY(SELECT subscription_id FROM refused))
    ), forgotten AS (
        DELETE FROM subscription_uses WHERE subscription_id = ANY(ARRAY(SELECT subscription_id FROM refused))
    )
    SELECT delivery_seq FROM refused
""")

_ADD = text("""
    INSERT INTO one_time_subscriptions (product_line_id, address, template, remaining)
    SELECT product_line_id, :address, :template, :count FROM provider_accounts WHERE id = :account_id
    ON CONFLICT (product_line_id, address, template)
    DO UPDATE SET remaining = one_time_subscriptions.remaining + excluded.remaining
""")

_WITHDRAW = text("""
    UPDATE one_time_subscriptions s SET remaining = 0 FROM provider_accounts p
    WHERE p.id = :account_id AND s.product_line_id = p.product_line_id AND s.address = :address
      AND s.template = :template
""")


def take(session: Session, *, distribution_id: int, sender: UUID, seqs: Sequence[int], now: datetime) -> Sequence[int]:
    """Take one agreement for each delivery that the sender holds; who has none left is `capped`, and returned.

    A delivery that has taken one before keeps that one.
    """
    product_line_id, template = session.execute(_TEMPLATE, {"distribution_id": distribution_id}).one()
    own = {"distribution_id": distribution_id, "sender": sender, "seqs": plain_array(seqs)}
    of_template = {**own, "product_line_id": product_line_id, "template": template}
    session.execute(_LOCK_OWN, of_template)
    wanting = [row for row in session.execute(_LOOK, of_template) if not row.taken]
    users = [(row.seq, row.id) for row in wanting if row.left_over]
    if users:
        columns = {"seqs": plain_array(seq for seq, _ in users), "ids": plain_array(one for _, one in users)}
        session.execute(_USE, {"distribution_id": distribution_id, **columns})
    lacking = [row.seq for row in wanting if not row.left_over]
    if lacking:
        session.execute(_CAP, {**own, "seqs": plain_array(lacking), "none_left": NONE_LEFT, "now": now})
    return lacking


def give_back(session: Session, *, seqs: Sequence[int]) -> None:
    """Of deliveries that did not use it after all."""
    parameters = {"seqs": plain_array(seqs)}
    session.execute(_LOCK_USED, parameters)
    session.execute(_GIVE_BACK, parameters)


def use_up(session: Session, *, seqs: Sequence[int]) -> frozenset[int]:
    """The provider knows of no agreement: whatever was counted for these people and this template is nought.

    To be called before anything of these is given back. Returns which of the deliveries had taken an agreement: that
    they were refused says nothing of the person's consent to what comes later.
    """
    if not seqs:
        return frozenset()
    parameters = {"seqs": plain_array(seqs)}
    session.execute(_LOCK_USED, parameters)
    return frozenset(session.scalars(_USE_UP, parameters))


def add(session: Session, *, account_id: int, address: str, template: str, count: int = 1) -> None:
    """Somebody agreed to so many further messages of a template. The caller sees to it that an event counts once."""
    values = {"account_id": account_id, "address": address, "template": template, "count": count}
    session.execute(_ADD, values)


def withdraw(session: Session, *, account_id: int, address: str, template: str) -> None:
    """Somebody wants no message of a template any more."""
    session.execute(_WITHDRAW, {"account_id": account_id, "address": address, "template": template})
