"""A theme that is live on several channels, and the verbs of taking it down."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Literal

from sqlalchemy import select, text

from approval.identity import code_at
from approval.service.signing import Signature
from approval.states import RoundState
from channels import service
from channels.sender import Sender
from channels.service import corrections
from channels.service.distribution import ChannelProgress
from channels.states import Channel, Purpose
from models.approval import Round
from models.customer import Customer
from models.person import Person
from models.queries import approvals, distributions
from models.takedown import Revocation, Takedown
from models.theme import Revision, Theme
from tests.integration.delivery_world import RecordingProvider, World
from tests.integration.scene import ACCOUNTS, KEY, TEMPLATES, Scene, theme_text
from themes.correction import Correction, parse_correction
from themes.document import parse_theme
from themes.lifecycle import ThemeState
from themes.notation import Vocabulary
from themes.revision import freeze
from themes.service import takedown
from themes.service.takedown import Undone
from themes.theme import Theme as ThemeValue

POLICY = """
policy: demo
fallback: bob
takedown: [dan]
theme:
  - {level: operations, approvers: [bob], quorum: any}
coupon: none
activity: none
"""
CUSTOMERS = 20
NAMES: Mapping[Channel, str] = {channel: key for key, (channel, _) in ACCOUNTS.items()}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Launched:
    """One live theme; `worlds` holds each of its channels, planned."""

    scene: Scene
    theme_id: int
    line_id: int
    worlds: Mapping[Channel, World] = field(default_factory=dict)

    @property
    def push(self) -> World:
        return self.worlds[Channel.PUSH]

    def take_down(
        self,
        *,
        by: str = "dan",
        comment: str = "the price was wrong",
        claimed: Literal["honour", "void"] = "honour",
        correction: Correction | None = None,
        signature: Signature | None = None,
    ) -> int:
        at = now()
        with self.scene.begin() as session:
            return takedown.take_down(
                session,
                key=KEY,
                signature=signature or self.sign(by, comment, at=at),
                rules=self.scene.rules,
                claimed=claimed,
                correction=correction,
                now=at,
            )

    def sign(self, login: str, comment: str, *, at: datetime) -> Signature:
        return Signature(login=login, code=code_at(self.scene.secrets[login], at), comment=comment)

    def undo(self, *, at: datetime | None = None) -> Undone:
        """As the task does it: a look at every channel, and the corrections of those that are undone."""
        with self.scene.begin() as session:
            undone = takedown.undo_channels(session, theme_id=self.theme_id, now=at or now())
        corrections.plan_corrections(self.scene.database, now=at or now())
        return undone

    def correction(self, text: str) -> Correction:
        return parse_correction(text, theme=parsed_theme(), known=Vocabulary())

    def correction_world(self, channel: Channel = Channel.PUSH) -> World:
        """The correction's own distribution on a channel."""
        with self.scene.begin() as session:
            (found,) = [
                one
                for one in distributions.of_theme(session, self.theme_id, purpose=Purpose.CORRECTION)
                if one.channel is channel
            ]
            return self._world(channel, found.id)

    def progress(self, purpose: Purpose = Purpose.THEME) -> Sequence[ChannelProgress]:
        with self.scene.begin() as session:
            return service.progress(session, theme_id=self.theme_id, now=now(), purpose=purpose)

    def states(self, channel: Channel = Channel.PUSH) -> dict[str, int]:
        return self.worlds[channel].states()

    def state(self) -> ThemeState:
        return self.scene.theme().state

    def takedown(self) -> Takedown:
        with self.scene.begin() as session:
            return session.scalars(select(Takedown)).one()

    def revocations(self) -> dict[Channel, Revocation]:
        with self.scene.begin() as session:
            return {one.channel: one for one in session.scalars(select(Revocation))}

    def _world(self, channel: Channel, distribution_id: int) -> World:
        return World(
            database=self.scene.database,
            theme_key=KEY,
            theme_id=self.theme_id,
            product_line_id=self.line_id,
            distribution_id=distribution_id,
            account_key=NAMES[channel],
            channel=channel,
        )


def launched(
    scene: Scene, *, channels: Sequence[Channel] = (Channel.PUSH,), state: ThemeState = ThemeState.LIVE
) -> Launched:
    """The example theme, live since an hour, planned on these channels and not sent on any."""
    scene.apply(POLICY)
    with scene.begin() as session:
        line_id = session.scalars(select(Customer.product_line_id).limit(1)).one()
        theme = _theme(line_id, session.scalars(select(Person.id).where(Person.login == "ann")).one(), state)
        session.add(theme)
        session.flush()
        revision = _revision(theme)
        session.add(revision)
        session.flush()
        theme.revision_id = revision.id
        session.add(_round(theme, revision, approvals.newest_policy(session, "demo").id))  # type: ignore[union-attr]
    world = Launched(scene=scene, theme_id=theme.id, line_id=line_id)
    world.worlds = {channel: _opened(world, channel) for channel in channels}
    return world


def parsed_theme(title: str = "三八妇女节，逛吃逛喝我买单") -> ThemeValue:
    text = theme_text(("title: 三八妇女节，逛吃逛喝我买单", f"title: {title}"))
    return parse_theme(text, templates=TEMPLATES, known=Vocabulary())


def _theme(line_id: int, author_id: int, state: ThemeState) -> Theme:
    value = parsed_theme()
    return Theme(
        key=KEY,
        product_line_id=line_id,
        title=value.title,
        author_id=author_id,
        state=state,
        draft={},
        draft_source="",
        starts_at=now() - timedelta(hours=1),
        ends_at=now() + timedelta(days=1),
        timezone=value.timezone,
        created_at=now(),
        state_changed_at=now(),
    )


def _revision(theme: Theme, number: int = 1, title: str | None = None) -> Revision:
    frozen = freeze(parsed_theme(title) if title else parsed_theme())
    return Revision(
        theme_id=theme.id,
        number=number,
        hash=frozen.hash,
        theme_hash=frozen.theme_hash,
        offer_hashes=dict(frozen.offer_hashes),
        content=dict(frozen.content),
        created_by_id=theme.author_id,
        created_at=now(),
    )


def add_revision(world: Launched) -> None:
    """Another revision of the theme is the one that is approved now."""
    with world.scene.begin() as session:
        theme = session.get_one(Theme, world.theme_id)
        revision = _revision(theme, 2, "Another title")
        session.add(revision)
        session.flush()
        theme.revision_id = revision.id


def _round(theme: Theme, revision: Revision, policy_id: int) -> Round:
    return Round(
        theme_id=theme.id,
        revision_id=revision.id,
        policy_id=policy_id,
        number=1,
        state=RoundState.APPROVED,
        reach={},
        opened_at=now(),
        closed_at=now(),
    )


def open_on(world: Launched, channel: Channel) -> World:
    with world.scene.begin() as session:
        theme = session.get_one(Theme, world.theme_id)
        (opened,) = service.open_distributions(
            session, theme=theme, accounts={channel: NAMES[channel]}, segment_as_of=now()
        )
        return world._world(channel, opened.id)


def _opened(world: Launched, channel: Channel) -> World:
    opened = open_on(world, channel)
    opened.plan()
    return opened


def sender(world: World, provider: RecordingProvider, *, at: datetime | None = None) -> Sender:
    """One that sees the clock stand at a moment, if told."""
    clock = now if at is None else lambda: at
    return world.sender(provider, clock=clock)


def wait_for_a_lock(scene: Scene, *, seconds: float = 20.0) -> None:
    """Until somebody waits for what another transaction holds."""
    deadline = time.monotonic() + seconds
    while True:
        with scene.begin() as session:
            if session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
        assert time.monotonic() < deadline, "nobody waits"
        Event().wait(0.01)
