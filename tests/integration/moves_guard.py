"""A database that refuses what the table of moves does not have."""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import text

from models.database import Database


def guard_moves(database: Database, table: str, moves: Iterable[tuple[StrEnum, StrEnum]]) -> None:
    """From now on the database itself refuses a change of state that is not among the moves."""
    allowed = ", ".join(f"'{origin.value}>{target.value}'" for origin, target in moves)
    with database.begin() as session:
        session.execute(
            text(
                f"CREATE OR REPLACE FUNCTION refuse_move_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" IF OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({allowed}) THEN"
                " RAISE EXCEPTION 'no such move: % > %', OLD.state, NEW.state; END IF; RETURN NEW; END $$"
            )
        )
        session.execute(
            text(
                f"CREATE OR REPLACE TRIGGER guard_moves BEFORE UPDATE OF state ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION refuse_move_of_{table}()"
            )
        )
