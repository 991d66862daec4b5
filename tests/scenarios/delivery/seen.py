# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What is so: the rows, the accounts and the provider's log, read into the words in which scenarios expect it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.states import Channel
from tests.scenarios.delivery.provider import ProviderSide

MAIN = "spring"
_PLACE = (
    "CASE WHEN x.purpose = 'correction' THEN 'correction ' ELSE '' END"
    " || CASE WHEN t.key = 'spring' THEN '' ELSE t.key || ' ' END || x.channel"
)
_ROWS = "FROM deliveries d JOIN distributions x ON x.id = d.distribution_id JOIN themes t ON t.id = x.theme_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`spring` on push is `push`; another theme's is `summer push`; what follows a takedown `correction push`."""

    session: Session
    side: ProviderSide
    channels: Sequence[Channel]
    now: datetime
    done: Mapping[str, Any]  # what the last retry, plan or settlement said

    def look(self, wanted: Sequence[str]) -> dict[str, Any]:
        return {name: getattr(self, name)() if hasattr(self, name) else self.done.get(name) for name in wanted}

    def rows(self) -> dict[str, dict[str, int]]:
        return self._by_place(f"SELECT {_PLACE}, d.state, count(*) {_ROWS} GROUP BY 1, 2")

    def only_states(self) -> dict[str, list[str]]:
        return {place: list(states) for place, states in self.rows().items()}

    def rows_at_most(self) -> dict[str, dict[str, int]]:
        return self.rows()

    def sums(self) -> dict[str, int]:
        return {place: sum(states.values()) for place, states in self.rows().items()}

    def totals(self) -> dict[str, dict[str, int]]:
        """Channel -> state -> rows of all themes."""
        return self._by_place("SELECT channel, state, count(*) FROM deliveries GROUP BY 1, 2")

    def totals_of_all(self) -> dict[str, int]:
        return self._pairs("SELECT state, count(*) FROM deliveries GROUP BY 1")

    def corrected(self) -> dict[str, str]:
        """`all`: those who were reached, or may have been, have a correction, and nobody else."""
        wrong = self._pairs(
            "SELECT coalesce(d.channel, c.channel), count(*) FROM"
            " (SELECT * FROM deliveries WHERE purpose = 'theme' AND state IN ('sent', 'delivered', 'unknown')) d"
            " FULL JOIN (SELECT * FROM deliveries WHERE purpose = 'correction') c"
            " ON c.theme_id = d.theme_id AND c.channel = d.channel AND c.address = d.address"
            " WHERE c.id IS NULL OR d.id IS NULL GROUP BY 1"
        )
        return {channel.value: f"{wrong.get(channel, 'all')}" for channel in self.channels}

    def failed(self) -> dict[str, dict[str, int]]:
        return self._by_place(
            f"SELECT {_PLACE}, d.error_class, count(*) {_ROWS} WHERE d.state = 'failed' GROUP BY 1, 2"
        )

    def left_out(self) -> dict[str, dict[str, int]]:
        return self._by_place(
            f"SELECT {_PLACE}, l.reason, count(*) FROM left_out l JOIN distributions x ON x.id = l.distribution_id"
            " JOIN themes t ON t.id = x.theme_id GROUP BY 1, 2"
        )

    def left_at(self) -> dict[str, dict[str, int]]:
        """Place -> minute (UTC) in which a call began that the provider took -> messages."""
        return self._by_place(
            f"SELECT {_PLACE}, to_char(a.began_at, 'YYYY-MM-DD HH24:MI'), count(*) {_ROWS}"
            " JOIN attempts a ON a.delivery_seq = d.seq WHERE a.error_class IS NULL GROUP BY 1, 2"
        )

    def held_until(self) -> dict[str, dict[str, int]]:
        return self._by_place(
            f"SELECT {_PLACE}, to_char(d.due_at, 'YYYY-MM-DD HH24:MI'), count(*) {_ROWS} WHERE d.state = 'held'"
            " GROUP BY 1, 2"
        )

    def doubtful(self) -> dict[str, int]:
        return self._pairs(f"SELECT {_PLACE}, count(*) {_ROWS} WHERE d.state = 'unknown' GROUP BY 1")

    def doubtful_at_least(self) -> dict[str, int]:
        return self.doubtful()

    def attempts(self) -> dict[str, int]:
        return self._pairs(f"SELECT {_PLACE}, count(*) {_ROWS} JOIN attempts a ON a.delivery_seq = d.seq GROUP BY 1")

    def tries_at_most(self) -> dict[str, int]:
        return self._pairs(f"SELECT {_PLACE}, max(d.tries) {_ROWS} GROUP BY 1")

    def accounts_used(self) -> dict[str, int]:
        """Account -> messages that a provider took over it."""
        return self._pairs(
            "SELECT p.key, count(*) FROM attempts a JOIN provider_accounts p ON p.id = a.account_id"
            " WHERE a.error_class IS NULL GROUP BY 1"
        )

    def accounts_used_at_least(self) -> dict[str, int]:
        return self.accounts_used()

    def calls_in_any_second_at_most(self) -> dict[str, int]:
        """As the provider saw them arrive: the most in any stretch of one second."""
        return {channel.value: _most_within(self.side.records(channel), 1.0) for channel in self.channels}

    def distributions(self) -> dict[str, str]:
        return self._pairs(f"SELECT {_PLACE}, x.state FROM distributions x JOIN themes t ON t.id = x.theme_id")

    def accounts(self) -> dict[str, str]:
        """Account -> why it does not send; those that do are not listed."""
        return self._pairs(
            "SELECT key, coalesce('paused: ' || paused_because, 'backs off') FROM provider_accounts"
            " WHERE paused_because IS NOT NULL OR backing_off_until > :now",
            now=self.now,
        )

    def suppressed(self) -> dict[str, list[int]]:
        return self._numbers(
            "SELECT s.channel, c.external_id::int FROM suppressions s"
            " JOIN addresses a ON a.address = s.address AND a.channel = s.channel"
            " JOIN customers c ON c.id = a.customer_id ORDER BY 2"
        )

    def opted_out(self) -> dict[str, list[int]]:
        return self._numbers(
            "SELECT o.channel, c.external_id::int FROM consents o JOIN customers c ON c.id = o.customer_id"
            " WHERE NOT o.granted ORDER BY 2"
        )

    def receipts(self) -> dict[str, int]:
        """`joined` and `waiting`: what was said of our messages, and what is kept until we know of whom."""
        return self._pairs(
            "SELECT CASE WHEN delivery_id IS NULL THEN 'waiting' ELSE 'joined' END, count(*) FROM receipts GROUP BY 1"
        )

    def provider(self) -> dict[str, int]:
        return {channel.value: self.side.summary(channel)["accepted"] for channel in self.channels}

    def calls_at_most(self) -> dict[str, int]:
        return {channel.value: self.side.summary(channel)["calls"] for channel in self.channels}

    def token_calls(self) -> dict[str, int]:
        return {channel.value: self.side.summary(channel)["token_calls"] for channel in self.channels}

    def text(self) -> dict[str, list[str]]:
        """What the provider was given to say, of every message."""
        return {
            channel.value: [str(record["content"]) for record in self.side.records(channel)]
            for channel in self.channels
        }

    def _by_place(self, statement: str) -> dict[str, dict[str, int]]:
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for place, name, count in self.session.execute(text(statement)):
            found[place][name] = count
        return dict(found)

    def _pairs(self, statement: str, **values: object) -> dict[str, Any]:
        return {row[0]: row[1] for row in self.session.execute(text(statement), values)}

    def _numbers(self, statement: str) -> dict[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(list)
        for channel, number in self.session.execute(text(statement)):
            found[channel].append(number)
        return dict(found)


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Each thing that is expected and not so, both sides written out."""
    wrong = [name for name, value in expected.items() if not _same(name, value, found[name])]
    return [f"{name}:\n  expected {expected[name]}\n  found    {found[name]}" for name in wrong]


def _same(name: str, expected: Any, found: Any) -> bool:
    """Whatever is listed is all there is, but for what is told of every place there is."""
    compare = _COMPARED.get(name)
    return bool(expected == found) if compare is None else compare(expected, found)


def _no_more(expected: Mapping[str, int], found: Mapping[str, int]) -> bool:
    return all(found.get(place, 0) <= most for place, most in expected.items())


def _no_fewer(expected: Mapping[str, int], found: Mapping[str, int]) -> bool:
    return all(found.get(place, 0) >= least for place, least in expected.items())


def _where_told(expected: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return all(found.get(place, _nothing(value)) == value for place, value in expected.items())


def _rows_no_more(expected: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, int]]) -> bool:
    return all(_no_more(states, found.get(place, {})) for place, states in expected.items())


def _no_other_states(expected: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]]) -> bool:
    return all(place in found and set(found[place]) <= set(states) for place, states in expected.items())


def _parts_of_all(expected: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return expected.keys() == found.keys() and all(part in found[place] for place, part in expected.items())


def _part_of_each(expected: Mapping[str, str], found: Mapping[str, Sequence[str]]) -> bool:
    return all(found[place] and all(part in said for said in found[place]) for place, part in expected.items())


_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(("calls_at_most", "tries_at_most", "calls_in_any_second_at_most"), _no_more),
    **dict.fromkeys(
        ("provider", "token_calls", "attempts", "accounts_used", "failed", "doubtful", "sums"), _where_told
    ),
    **dict.fromkeys(("accounts_used_at_least", "doubtful_at_least"), _no_fewer),
    "rows_at_most": _rows_no_more,
    "only_states": _no_other_states,
    "accounts": _parts_of_all,
    "text": _part_of_each,
}


def _most_within(records: Sequence[Mapping[str, Any]], seconds: float) -> int:
    times = sorted({record["call"]: datetime.fromisoformat(record["at"]).timestamp() for record in records}.values())
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _nothing(value: object) -> object:
    return {} if isinstance(value, Mapping) else 0
