"""What the endpoints of the API share, one for each process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from console.http.api.collector import Collector
from console.http.api.keys import KeyBook
from console.http.services import Services
from offers.service.claims import Claim, Settled, settle
from offers.service.live_rules import RuleBook
from offers.service.terms import TermsBook

T = TypeVar("T")


class Till(Protocol):
    async def settled(self, product_line_id: int, asked: Claim, /) -> Settled: ...


@dataclass(kw_only=True)
class Desk:
    services: Services
    keys: KeyBook = field(init=False)
    book: RuleBook = field(init=False, default_factory=RuleBook)
    terms: TermsBook = field(init=False, default_factory=TermsBook)
    claims: Till = field(init=False)

    def __post_init__(self) -> None:
        self.keys = KeyBook(self.services)
        self.claims = Collector(self._settle)

    async def in_transaction(self, work: Callable[[Session, datetime], T]) -> T:
        """Work on the database in a thread: all of it or nothing. It is told the time."""
        return await self.services.in_thread(self._begin, work)

    async def _settle(self, product_line_id: int, claims: Sequence[Claim]) -> Sequence[Settled]:
        return await self.in_transaction(
            lambda session, now: settle(session, claims, product_line_id=product_line_id, now=now, book=self.terms)
        )

    async def looking(self, work: Callable[[Session, datetime], T]) -> T:
        """Look something up, in a thread; nothing is changed by it."""
        return await self.services.in_thread(self._look, work)

    def _look(self, work: Callable[[Session, datetime], T]) -> T:
        with self.services.database.look() as session:
            return work(session, self.services.clock())

    def _begin(self, work: Callable[[Session, datetime], T]) -> T:
        with self.services.database.begin() as session:
            return work(session, self.services.clock())
