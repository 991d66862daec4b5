"""One at a time: a turn that ends with the transaction that took it, and with the process that held it."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def take_turn(session: Session, name: str) -> bool:
    """False when somebody else has the turn of this name just now."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))))
