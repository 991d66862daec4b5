"""`python -m benchmarks.api_server [plain]`: the HTTP service on a free port, whose address it prints."""

import socket
import sys
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from console.http.api.desk import Desk
from console.http.app import create_app
from console.http.server import server_of
from console.http.services import Services
from offers.claim_answer import answer_of
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.held import HeldCouponView
from offers.service.claims import Claim, Settled
from offers.service.kept_answers import keep, take_key
from offers.states import HeldState, Source
from settings import get_settings

_TAKE = text("UPDATE live_offers SET claimed = claimed + 1 WHERE id = :id AND claimed + 1 <= total RETURNING id")
_COUNT = text("""
    INSERT INTO offer_counts AS c (offer_id, customer_id, day, channel, count)
    SELECT :id, id, '-infinity', '', 1 FROM customers WHERE product_line_id = :line AND external_id = :customer
    ON CONFLICT (offer_id, customer_id, day, channel) DO UPDATE SET count = c.count + 1
    WHERE c.count + 1 <= (SELECT per_customer FROM live_offers WHERE id = :id)
    RETURNING customer_id
""")
_GIVE = text("""
    INSERT INTO held_coupons (offer_id, customer_id, state, source, claimed_at, valid_from, valid_to, changed_at)
    SELECT id, :customer, 'issued', 'claim', now(), valid_from, valid_to, now() FROM live_offers WHERE id = :id
    RETURNING id, valid_from, valid_to
""")
_OFFER = text("SELECT id FROM live_offers WHERE offer = 'hot'")


class Plainly:
    """In the place of the collector: each claim in a transaction of its own, with one guarded UPDATE of its offer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        with desk.services.database.begin() as session:
            self._offer_id = session.scalars(_OFFER).one()

    async def settled(self, product_line_id: int, claim: Claim) -> Settled:
        return await self._desk.in_transaction(lambda session, now: self._claim(session, product_line_id, claim, now))

    def _claim(self, session: Session, line_id: int, claim: Claim, now: datetime) -> Settled:
        if take_key(session, product_line_id=line_id, key=claim.key, hash_=claim.request_hash, now=now):
            raise LookupError("no claim is sent twice here")
        settled = self._given(session, line_id, claim, now)
        keep(session, product_line_id=line_id, key=claim.key, answer=answer_of(settled))
        return settled

    def _given(self, session: Session, line_id: int, claim: Claim, now: datetime) -> Settled:
        values = {"id": self._offer_id, "line": line_id, "customer": claim.customer}
        customer_id = session.scalar(_COUNT, values)
        if customer_id is None:
            return Settled(refusal=ClaimRefused(why=ClaimRefusal.PERSONAL_LIMIT, offer=claim.offer))
        if session.scalar(_TAKE, {"id": self._offer_id}) is None:  # last, so that the others wait least
            raise LookupError("no claim comes too late here")
        held_id, valid_from, valid_to = session.execute(_GIVE, {"id": self._offer_id, "customer": customer_id}).one()
        coupon = HeldCouponView(
            id=held_id,
            offer=claim.offer or "",
            state=HeldState.ISSUED,
            source=Source.CLAIM,
            claimed_at=now,
            valid_from=valid_from,
            valid_to=valid_to,
        )
        return Settled(coupons=(coupon,))


def main() -> None:
    services = Services.from_settings(get_settings())
    app = create_app(services)
    if sys.argv[1:] == ["plain"]:
        app.api.desk.claims = Plainly(app.api.desk)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server_of(app, ready=lambda: print(address, flush=True)).run([listener])


if __name__ == "__main__":
    main()
