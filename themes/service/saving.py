"""Saving a draft."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from approval.errors import PersonDisabled
from approval.service.people import require_line, require_person
from approval.service.record import Act, write_down
from audience.segments import every_name
from channels.states import Channel
from models.person import Person
from models.queries import approvals, catalogue, people, provider_accounts, steps, themes
from models.theme import Theme
from offers.service.exclusions import keep_exclusions, known_offers, suggest, with_exclusions
from offers.service.presets import catalogue_of
from themes.document import Vocabulary, offers_elsewhere, parse_theme
from themes.errors import ThemeNotDraft
from themes.lifecycle import ThemeState
from themes.recipient import VARIABLES
from themes.revision import Revision, freeze
from themes.service.editing import Proof, check_edit, revise
from themes.service.finding import require_theme
from themes.theme import Theme as ThemeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    theme_id: int
    key: str
    hash: str  # of the whole content, as a revision of it would have
    changed: bool  # False: the draft said the same already
    meets: str = ""  # a line on offers that can take effect together, "" where there are none


_ANOTHER_KEY = "draft it anew under another key"
_REMEDIES = {
    ThemeState.APPROVED: "recall it first",
    ThemeState.SCHEDULED: "recall it first",
}


def vocabulary(session: Session, *, file: str = "") -> Vocabulary:
    """What a theme file may name; with the `file` also which of the offers elsewhere that it names there are.

    Raises:
        ThemeInvalid: the file is not YAML at all.
    """
    named = offers_elsewhere(file) if file else None
    return Vocabulary(
        product_lines=frozenset(themes.product_line_keys(session)),
        logins=frozenset(person.login for person in people.everybody(session)),
        segments=frozenset(every_name()),
        policies=frozenset(approvals.policy_keys(session)),
        accounts=_accounts(session),
        categories=frozenset(catalogue.categories(session)),
        recipient_variables=VARIABLES,
        offers=known_offers(session, named.offers, product_line=named.product_line) if named else None,
    )


def _accounts(session: Session) -> dict[Channel, frozenset[str]]:
    found = provider_accounts.accounts(session)
    return {channel: frozenset(row.key for row in found if row.channel is channel) for channel in Channel}


def save_draft(
    session: Session,
    *,
    text: str,
    templates: Mapping[str, str],
    login: str,
    now: datetime,
    flow_run_id: UUID | None = None,
    proof: Proof | None = None,
) -> Saved:
    """Draft a theme from its file, or save a new version of it: of a draft, or under the eyes of its approvers.

    A theme in review takes an edit only with the editor's `proof`: it voids approvals.

    Raises:
        ThemeInvalid: with every problem of the file.
        ThemeNotDraft: the theme is beyond drafting and review.
        CodeNeeded: it is in review, and the edit is not signed.
        ProductLineFixed: it is in review, and the edit would move it to another product line.
        PersonUnknown, PersonDisabled, OtherProductLine; and in review what `submit` raises
    """
    editor = require_person(session, login)
    if editor.disabled_at is not None:
        raise PersonDisabled(login=login)
    value = parse_theme(
        text, templates=templates, known=vocabulary(session, file=text), catalogue=catalogue_of(session)
    )
    author = require_person(session, value.author)
    line_id = _product_line_id(session, value.product_line)
    require_line(session, editor, line_id)
    theme = _locked_theme(session, value, line_id, author.id, now)
    if theme.state not in {ThemeState.DRAFT, ThemeState.IN_REVIEW}:
        raise ThemeNotDraft(key=theme.key, state=theme.state, remedy=_REMEDIES.get(theme.state, _ANOTHER_KEY))
    keep_exclusions(session, theme, value)
    value = with_exclusions(session, theme, value)
    content = freeze(value)
    if theme.draft == content.content:
        return _said(session, theme, content, changed=False)
    before = theme.draft
    if theme.state is ThemeState.IN_REVIEW:
        check_edit(session, theme, editor=editor, proof=proof, product_line_id=line_id, now=now)
    _write_draft(theme, value, content, source=text)
    theme.author_id, theme.product_line_id = author.id, line_id
    session.flush()
    _note_editors(session, theme, before, content, author=author, editor=editor, now=now)
    act = "edit" if theme.state is ThemeState.IN_REVIEW else "draft"
    write_down(session, _saved(theme, content, login, flow_run_id, act), now=now)
    if theme.state is ThemeState.IN_REVIEW:
        revise(session, theme, value=value, content=content, editor=editor, now=now)
    return _said(session, theme, content, changed=True)


def _said(session: Session, theme: Theme, content: Revision, *, changed: bool) -> Saved:
    meets = suggest(session, theme).in_words(theme.key)
    return Saved(theme_id=theme.id, key=theme.key, hash=content.hash, changed=changed, meets=meets)


def _note_editors(
    session: Session,
    theme: Theme,
    before: Mapping[str, Any],
    content: Revision,
    *,
    author: Person,
    editor: Person,
    now: datetime,
) -> None:
    """The author may decide on nothing of the theme, an editor neither on the theme nor on the offers he touched."""
    for person in (author, editor):
        themes.add_editor(session, theme_id=theme.id, person_id=person.id, now=now)
    offers, offers_before = content.content["offers"], before.get("offers", {})
    for key in offers:
        touched = offers[key] != offers_before.get(key)
        for person in (author, editor) if touched else (author,):
            themes.add_offer_editor(session, theme_id=theme.id, offer_key=key, person_id=person.id, now=now)


def _product_line_id(session: Session, key: str) -> int:
    product_line = themes.product_line_by_key(session, key)
    if product_line is None:
        raise LookupError(key)  # the vocabulary has it, so only a concurrent removal gets here
    return product_line.id


def _locked_theme(session: Session, value: ThemeValue, product_line_id: int, author_id: int, now: datetime) -> Theme:
    """The theme of the file's key, new and empty where there is none. Of two first saves the later finds the other."""
    new = {
        "key": value.key,
        "product_line_id": product_line_id,
        "state": ThemeState.DRAFT,
        "created_at": now,
        "state_changed_at": now,
        "title": value.title,
        "draft": {},
        "draft_source": "",
        "timezone": value.timezone,
        "starts_at": value.window.starts_at,
        "ends_at": value.window.ends_at,
        "author_id": author_id,
    }
    added = themes.theme_by_key(session, value.key) is None and themes.add_if_missing(session, new)
    theme = require_theme(session, value.key, lock=True)
    if added:
        steps.begin_step(session, theme_id=theme.id, name="draft", now=now)
    return theme


def _write_draft(theme: Theme, value: ThemeValue, content: Revision, *, source: str) -> None:
    theme.title = value.title
    theme.draft, theme.draft_source = dict(content.content), source
    theme.starts_at, theme.ends_at = value.window.starts_at, value.window.ends_at
    theme.timezone = value.timezone


def _saved(theme: Theme, content: Revision, login: str, flow_run_id: UUID | None, act: str) -> Act:
    return Act(
        act=act,
        actor=login,
        object_kind="theme",
        object_key=theme.key,
        theme_key=theme.key,
        object_hash=content.hash,
        flow_run_id=flow_run_id,
    )
