"""Themes, their revisions and their editors."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.person import Person
from models.product_line import ProductLine
from models.theme import OfferEditor, Placement, Revision, Theme, ThemeEditor
from themes.lifecycle import ThemeState


def theme_by_key(session: Session, key: str, *, lock: bool = False) -> Theme | None:
    return session.scalar(_locked(select(Theme).where(Theme.key == key), lock=lock))


def theme_by_id(session: Session, theme_id: int, *, lock: bool = False) -> Theme:
    return session.scalars(_locked(select(Theme).where(Theme.id == theme_id), lock=lock)).one()


def _locked(query: Select[tuple[Theme]], *, lock: bool) -> Select[tuple[Theme]]:
    # Not so strong a lock that rows which merely name the theme would wait for it.
    return query.with_for_update(key_share=True).execution_options(populate_existing=True) if lock else query


def add_if_missing(session: Session, values: Mapping[str, Any]) -> bool:
    """Add a theme, waiting for whoever adds one of the same key just now; False when there is one already."""
    statement = insert(Theme).values(**values).on_conflict_do_nothing(index_elements=[Theme.key]).returning(Theme.id)
    return session.scalar(statement) is not None


def all_themes(session: Session) -> Sequence[Theme]:
    return session.scalars(select(Theme).order_by(Theme.created_at)).all()


def theme_keys(session: Session) -> Sequence[str]:
    return session.scalars(select(Theme.key)).all()


def themes_in(session: Session, states: Collection[ThemeState]) -> Sequence[Theme]:
    return session.scalars(select(Theme).where(Theme.state.in_(states)).order_by(Theme.id)).all()


def themes_ended_by(session: Session, now: datetime) -> Sequence[Theme]:
    running = Theme.state.in_([ThemeState.LIVE, ThemeState.PAUSED])
    return session.scalars(select(Theme).where(running, Theme.ends_at <= now).order_by(Theme.id)).all()


def themes_to_start_by(session: Session, now: datetime) -> Sequence[Theme]:
    due = (Theme.state == ThemeState.SCHEDULED) & (Theme.starts_at <= now)
    return session.scalars(select(Theme).where(due).order_by(Theme.id)).all()


def revision_with_hash(session: Session, theme_id: int, whole_hash: str) -> Revision | None:
    return session.scalar(select(Revision).where(Revision.theme_id == theme_id, Revision.hash == whole_hash))


def revision_by_id(session: Session, revision_id: int) -> Revision:
    return session.get_one(Revision, revision_id)


def revision_by_number(session: Session, theme_id: int, number: int) -> Revision | None:
    return session.scalar(select(Revision).where(Revision.theme_id == theme_id, Revision.number == number))


def revisions(session: Session, theme_id: int) -> Sequence[Revision]:
    return session.scalars(select(Revision).where(Revision.theme_id == theme_id).order_by(Revision.number)).all()


def next_revision_number(session: Session, theme_id: int) -> int:
    highest = session.scalar(select(func.max(Revision.number)).where(Revision.theme_id == theme_id))
    return (highest or 0) + 1


def placements(session: Session, revision_id: int) -> Sequence[Placement]:
    return session.scalars(select(Placement).where(Placement.revision_id == revision_id).order_by(Placement.id)).all()


def add_editor(session: Session, *, theme_id: int, person_id: int, now: datetime) -> None:
    statement = insert(ThemeEditor).values(theme_id=theme_id, person_id=person_id, first_saved_at=now)
    session.execute(statement.on_conflict_do_nothing())


def editors(session: Session, theme_id: int) -> frozenset[str]:
    """Logins of everyone who saved the theme."""
    query = select(Person.login).join(ThemeEditor, ThemeEditor.person_id == Person.id)
    return frozenset(session.scalars(query.where(ThemeEditor.theme_id == theme_id)))


def add_offer_editor(session: Session, *, theme_id: int, offer_key: str, person_id: int, now: datetime) -> None:
    statement = insert(OfferEditor).values(
        theme_id=theme_id, offer_key=offer_key, person_id=person_id, first_saved_at=now
    )
    session.execute(statement.on_conflict_do_nothing())


def offer_editors(session: Session, theme_id: int, offer_key: str) -> frozenset[str]:
    """Logins of everyone who edited an offer of a theme, its author among them."""
    query = select(Person.login).join(OfferEditor, OfferEditor.person_id == Person.id)
    return frozenset(session.scalars(query.where(OfferEditor.theme_id == theme_id, OfferEditor.offer_key == offer_key)))


def product_line_by_id(session: Session, product_line_id: int) -> ProductLine:
    return session.get_one(ProductLine, product_line_id)


def product_line_of(session: Session, theme_id: int) -> ProductLine:
    return session.scalars(
        select(ProductLine).join(Theme, Theme.product_line_id == ProductLine.id).where(Theme.id == theme_id)
    ).one()


def product_line_by_key(session: Session, key: str) -> ProductLine | None:
    return session.scalar(select(ProductLine).where(ProductLine.key == key))


def product_line_keys(session: Session) -> Sequence[str]:
    return session.scalars(select(ProductLine.key).order_by(ProductLine.key)).all()
