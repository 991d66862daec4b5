"""Who there is, and a theme from its launch to its end."""

from functools import partial
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from channels import service
from channels.service import corrections, planning
from channels.service.cancellation import cancel_more
from channels.states import Channel
from models.delivery import Distribution
from models.queries.themes import revision_by_id
from models.theme import Theme
from tests.integration.scene import LINE
from tests.scenarios.delivery import stage
from tests.scenarios.delivery.language import numbers_of
from tests.scenarios.delivery.world import World, at_once
from tests.scenarios.grammar import duration_of
from themes.expiry import first_end
from themes.revision import load
from themes.service import takedown
from themes.service.preflight import audience_of


class People(World):
    """Who is there, and how that changes."""

    def do_without_consent(self, customers: str, channel: str) -> None:
        self._consent(customers, channel, granted=False)

    def do_withdraw_consent(self, customers: str, channel: str) -> None:
        self._consent(customers, channel, granted=False)

    def _consent(self, customers: str, channel: str, *, granted: bool) -> None:
        self.change(
            "UPDATE consents SET granted = :granted WHERE channel = :channel AND customer_id IN"
            " (SELECT id FROM customers WHERE external_id = ANY(:numbers))",
            granted=granted,
            channel=channel,
            numbers=_texts(customers),
        )

    def do_without_address(self, customers: str, channel: str) -> None:
        addresses = self.addresses(channel, customers)
        self.change(
            "DELETE FROM addresses WHERE channel = :channel AND address = ANY(:addresses)",
            channel=channel,
            addresses=addresses,
        )

    def do_invalid_address(self, customers: str, channel: str) -> None:
        self.change(
            "UPDATE addresses SET valid = false WHERE channel = :channel AND address = ANY(:addresses)",
            channel=channel,
            addresses=self.addresses(channel, customers),
        )

    def do_same_address(self, customers: str, other: str, channel: str) -> None:
        self.change(
            "UPDATE addresses SET address = :address WHERE channel = :channel AND address = ANY(:addresses)",
            address=stage.address_of(Channel(channel), int(other)),
            channel=channel,
            addresses=self.addresses(channel, customers),
        )

    def do_suppress(self, customers: str, channel: str) -> None:
        self.change(
            "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
            " SELECT id, :channel, unnest(CAST(:addresses AS text[])), 'by_hand', 'ops', :now FROM product_lines"
            " WHERE key = :line",
            channel=channel,
            addresses=self.addresses(channel, customers),
            now=self.clock(),
            line=LINE,
        )

    def do_move_home(self, customers: str, zone: str) -> None:
        self.change(
            "UPDATE customers SET timezone = :zone WHERE external_id = ANY(:numbers)",
            zone=zone,
            numbers=_texts(customers),
        )

    def do_wait(self, duration: str) -> None:
        self.clock.move(duration_of(duration))


class Launching(People):
    """A theme from its launch to its end."""

    def do_launch(self, theme: str) -> None:
        self._open(theme)
        self._plan_all(theme)

    def do_launch_together(self, theme: str) -> None:
        at_once(partial(self.do_launch, theme))

    def do_plan_again(self, theme: str) -> None:
        self._plan_all(theme)

    def _open(self, key: str) -> None:
        theme_id = self.theme_id(key)
        with self.database.begin() as session:
            stage.put_live(session, theme_id, self.clock())
        with self.database.begin() as session:
            theme = service.theme_by_key(session, key)
            accounts = {channel: stage.ACCOUNTS[channel] for channel in self.channels}
            assert theme.revision_id is not None
            value = load(revision_by_id(session, theme.revision_id).content)
            ends = {channel: first_end(value, channel).at for channel in accounts}
            service.open_distributions(
                session, theme=theme, accounts=accounts, segment_as_of=self.clock(), expires_at=ends
            )

    def _plan_all(self, key: str) -> None:
        for distribution_id in self.distribution_ids(key):
            self.plan(distribution_id)

    def plan(self, distribution_id: int) -> None:
        planning.plan(self.database, distribution_id=distribution_id, audience_of=audience, now=self.clock())

    def do_plan_missing(self) -> None:
        mended = planning.plan_missing(self.database, audience_of=audience, now=self.clock())
        self.done["new"] = sum(mended.made.values())

    def do_lose_rows(self, number: str, channel: str) -> None:
        self.change(
            "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE channel = :channel"
            " AND state = 'planned' ORDER BY seq LIMIT :number)",
            channel=channel,
            number=int(number),
        )

    def do_edit(self, theme: str) -> None:
        """What is live stays as it was approved, whatever becomes of the draft."""
        changed = self.change(
            "UPDATE themes SET draft = replace(draft::text, 'as it was approved', 'another text')::jsonb,"
            " draft_source = replace(draft_source, 'as it was approved', 'another text') WHERE key = :key",
            key=theme,
        )
        assert changed == 1

    def do_pause(self, theme: str) -> None:
        self._act("pause", theme)

    def do_resume(self, theme: str) -> None:
        self._act("resume", theme)

    def do_take_down(self, theme: str) -> None:
        self._act("takedown", theme, claimed="honour")
        self._undo(theme)

    def do_take_down_corrected(self, theme: str) -> None:
        self._act("takedown", theme, claimed="honour", correction=stage.CORRECTION)
        self._undo(theme)

    def _undo(self, theme: str) -> None:
        with self.database.begin() as session:
            takedown.undo_channels(session, theme_id=self.theme_id(theme), now=self.clock())
        corrections.plan_corrections(self.database, now=self.clock())

    def _act(self, act: str, theme: str, **details: Any) -> None:
        self.scene.now = max(self.scene.now, self.clock())
        self.scene.act(act, "bob", key=theme, **details)

    def do_end(self, theme: str) -> None:
        self.change("UPDATE themes SET ends_at = :now WHERE key = :key", now=self.clock(), key=theme)
        self.change(
            "UPDATE distributions SET expires_at = :now WHERE theme_id = :theme",
            now=self.clock(),
            theme=self.theme_id(theme),
        )

    def do_sweep(self) -> None:
        for (theme_id,) in self.rows("SELECT theme_id FROM takedowns"):
            with self.database.begin() as session:
                takedown.undo_channels(session, theme_id=theme_id, now=self.clock())
        corrections.plan_corrections(self.database, now=self.clock())
        with self.database.begin() as session:
            cancel_more(session, now=self.clock())
        with self.database.begin() as session:
            service.sweep_deliveries(session, now=self.clock())


def audience(session: Session, distribution: Distribution) -> Select[Any]:
    theme = session.scalars(select(Theme).where(Theme.id == distribution.theme_id)).one()
    value = load(revision_by_id(session, distribution.revision_id).content)
    return audience_of(theme, value, as_of=distribution.segment_as_of)


def _texts(customers: str) -> list[str]:
    return [str(number) for number in numbers_of(customers)]
