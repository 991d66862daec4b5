"""Plays scenarios of delivery: real services and sender processes, a provider's stand-in, a clock that is moved."""

import random
from collections.abc import Sequence

from channels import service
from channels.message import Receipt, ReceiptKind
from channels.receipts import as_reference
from channels.service.receipts import join_waiting, store
from channels.states import Channel, ErrorClass
from tests.scenarios.delivery import stage
from tests.scenarios.delivery.mending import Terms
from tests.scenarios.delivery.provider import as_ours

_RECEIPTS_AT_ONCE = 7


class DeliveryDriver(Terms):
    """What a provider says of a message later on: in any order, twice, too early, of messages that nobody sent."""

    def do_receipt(self, customers: str, channel: str, kind: str) -> None:
        self.tell(channel, self._receipts(channel, self.addresses(channel, customers), ReceiptKind(kind)))

    def do_receipt_stranger(self, channel: str) -> None:
        stranger = Receipt(
            kind=ReceiptKind.DELIVERED, occurred_at=self.clock(), dedupe="stranger", provider_message_id="nobody's"
        )
        self.tell(channel, [stranger])

    def do_receipts_shuffled(self, channel: str) -> None:
        """Accepted, delayed, delivered: of everybody, each twice, all mixed."""
        addresses = [row[0] for row in self.rows("SELECT address FROM deliveries WHERE channel = :c", c=channel)]
        kinds = (ReceiptKind.ACCEPTED, ReceiptKind.DELAYED, ReceiptKind.DELIVERED)
        receipts = [one for kind in kinds for one in self._receipts(channel, addresses, kind)] * 2
        chance = random.Random(self.scenario.name)  # noqa: S311 - an order, not a secret
        chance.shuffle(receipts)
        for start in range(0, len(receipts), _RECEIPTS_AT_ONCE):
            self.tell(channel, receipts[start : start + _RECEIPTS_AT_ONCE])

    def do_join_receipts(self) -> None:
        with self.database.begin() as session:
            join_waiting(session, now=self.clock())

    def tell(self, channel: str, receipts: Sequence[Receipt]) -> None:
        key = stage.ACCOUNTS[Channel(channel)]
        with self.database.begin() as session:
            account_id = service.account_by_key(session, key).id
            store(session, account_id=account_id, receipts=receipts, now=self.clock())

    def _receipts(self, channel: str, addresses: Sequence[str], kind: ReceiptKind) -> list[Receipt]:
        """As the provider writes them: its own id of the message, our reference if it has one, whom it went to."""
        records = reversed(self.side.records(Channel(channel)))
        known = {as_ours(Channel(channel), record["recipient"]): record for record in records}
        return [
            Receipt(
                kind=kind,
                occurred_at=self.clock(),
                dedupe=f"{kind}:{address}",
                provider_message_id=known[address]["message_id"],
                reference=_reference(known[address]["reference"]),
                address=address,
                error=ErrorClass.BAD_RECIPIENT if kind is ReceiptKind.FAILED else None,
                code="gone" if kind is ReceiptKind.FAILED else "",
            )
            for address in addresses
        ]


def _reference(given: str | None) -> str | None:
    """Of a mail it is not the id alone, and a push has none: those name their message by its id."""
    found = as_reference(given)
    return None if found is None else str(found)
