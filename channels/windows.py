"""The windows of an account, kept for all its senders together: what has been given out, and what may be given now.

A permit is used some moments after it was given, so each counts in its window from then until the last moment at which
its call may reach the provider. Short windows are paced: permits come at even intervals, and no burst empties them.
Long ones are summed in slots: a quota that is free may go at once. Times are microseconds, for sums must be exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from channels.rate import Permits, RateWindow

_US = 1_000_000
#: A window shorter than this is paced.
SUMMED_FROM = timedelta(seconds=30)
#: A paced permit waits so long for its sender,
PACED_GOOD_FOR = timedelta(milliseconds=100)
#: and its call so long to be begun and for a free connection.
ON_ITS_WAY = timedelta(milliseconds=50)
#: A sender is given permits for so much of the time to come.
AHEAD = timedelta(milliseconds=500)
SUMMED_GOOD_FOR = timedelta(seconds=2)
#: The last moment at which the call of a permit given now may reach the provider.
_LASTS = max(SUMMED_GOOD_FOR, AHEAD + PACED_GOOD_FOR) + ON_ITS_WAY
_SLOTS = 60
#: No sooner does a sender come back for more.
ASK_AGAIN = timedelta(milliseconds=200)
#: Who got less than was wanted, and did not come back for it so long after it could be had, wants it no more.
_PATIENCE = timedelta(seconds=2)
_LONGEST_CLAIM = timedelta(seconds=5)


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _span(us: int) -> timedelta:
    return timedelta(microseconds=us)


class _Paced:
    """Instants at even distances: with `late` as the most that a call is late, so many fit into any window."""

    def __init__(self, window: RateWindow, kept: Mapping[str, Any]) -> None:
        self.every = ceil((_us(window.per) + _us(PACED_GOOD_FOR + ON_ITS_WAY)) / window.at_most)
        self.next: int = kept.get("next", 0)

    def see(self, now: int) -> None:
        """Nothing is given further ahead than this: what says so was written before the clock was put back."""
        self.next = min(self.next, now + _us(AHEAD) + self.every)

    def room(self, now: int) -> int:
        return max(0, -((max(self.next, now) - now - _us(AHEAD)) // self.every))

    def opens(self, now: int) -> int:
        """When there is room for more, if there is none."""
        return max(now, self.next - _us(AHEAD) + 1)

    def spend(self, first: int, every: int, count: int) -> None:
        self.next = first + count * every

    def kept(self, now: int) -> dict[str, Any]:
        return {"next": self.next} if self.next > now else {}


class _Summed:
    """What was given in each sixtieth of the window; a slot counts until the last of it is surely out of the window."""

    def __init__(self, window: RateWindow, kept: Mapping[str, Any]) -> None:
        self._per, self._most = _us(window.per), window.at_most
        self._slot = max(1, self._per // _SLOTS)
        self._given = {int(slot): int(count) for slot, count in kept.get("slots", ())}

    def see(self, now: int) -> None:
        """What lies ahead was given before the clock was put back: as if it were given now."""
        this = now // self._slot
        for slot in [slot for slot in self._given if slot > this]:
            self._given[this] = self._given.get(this, 0) + self._given.pop(slot)

    def room(self, now: int) -> int:
        return max(0, self._most - sum(self._counting(now).values()))

    def opens(self, now: int) -> int:
        counting = self._counting(now)
        return max(now, self._gone_at(min(counting))) if counting else now

    def spend(self, now: int, count: int) -> None:
        slot = now // self._slot
        self._given[slot] = self._given.get(slot, 0) + count

    def kept(self, now: int) -> dict[str, Any]:
        counting = self._counting(now)
        return {"slots": sorted(counting.items())} if counting else {}

    def _counting(self, now: int) -> dict[int, int]:
        return {slot: count for slot, count in self._given.items() if self._gone_at(slot) > now}

    def _gone_at(self, slot: int) -> int:
        return (slot + 1) * self._slot + _us(_LASTS) + self._per


@dataclass(slots=True)
class _Share:
    """What one theme at work on the account was given, and until when it has a claim to what it did not get."""

    served: int
    asked_at: int
    claims_until: int


class AccountWindows:
    """All windows of one account. `kept` is what `as_json` gave the last time, `{}` at first."""

    def __init__(self, windows: Sequence[RateWindow], kept: Mapping[str, Any]) -> None:
        stored = kept.get("windows", {})
        self._paced: dict[str, _Paced] = {}
        self._summed: dict[str, _Summed] = {}
        for window in windows:
            name = str(window.per // timedelta(seconds=1))
            if window.per < SUMMED_FROM:
                self._paced[name] = _Paced(window, stored.get(name, {}))
            else:
                self._summed[name] = _Summed(window, stored.get(name, {}))
        self._shares = {theme: _Share(*values) for theme, values in kept.get("shares", {}).items()}

    def take(self, *, wanted: int, theme: str, clock: datetime, now: datetime) -> Permits:
        """As many of the wanted permits as all windows, and the others at work on the account, leave.

        `clock` is the one clock of all senders; `now` is the asking sender's own, for the instant in the answer.
        """
        at = self._seen_at(clock)
        room = min([one.room(at) for one in self._each()], default=wanted)
        fair = self._fair(theme, room, at)
        granted = max(0, min(wanted, fair))
        permits = replace(self._give(granted, at), given_at=clock)
        self._count(theme, granted, at)
        if granted == wanted:
            self._shares[theme].claims_until = 0
            return permits
        again = self._again(at, room_left=fair < room)
        self._shares[theme].claims_until = min(again, at + _us(_LONGEST_CLAIM)) + _us(_PATIENCE)
        return replace(permits, again_at=now + _span(again - at))

    def as_json(self, clock: datetime) -> dict[str, Any]:
        """What has to be kept until the next time."""
        at = self._seen_at(clock)
        paced = {name: one.kept(at) for name, one in self._paced.items()}
        summed = {name: one.kept(at) for name, one in self._summed.items()}
        shares = {
            theme: [share.served, share.asked_at, share.claims_until]
            for theme, share in self._shares.items()
            if self._is_at_work(share, at)
        }
        return {"windows": {**paced, **summed}, "shares": shares}

    def free(self, clock: datetime) -> Mapping[timedelta, int]:
        """What each summed window has left."""
        at = self._seen_at(clock)
        return {timedelta(seconds=int(name)): one.room(at) for name, one in self._summed.items()}

    def _seen_at(self, clock: datetime) -> int:
        at = round(clock.timestamp() * _US)
        for one in self._each():
            one.see(at)
        return at

    def _each(self) -> Sequence["_Paced | _Summed"]:
        return (*self._paced.values(), *self._summed.values())

    def _give(self, granted: int, at: int) -> Permits:
        if not self._paced:
            first, every, good_for = at, 0, SUMMED_GOOD_FOR
        else:
            first = max(at, *(one.next for one in self._paced.values()))
            every, good_for = max(one.every for one in self._paced.values()), PACED_GOOD_FOR
        if granted:
            for paced in self._paced.values():
                paced.spend(first, every, granted)
            for summed in self._summed.values():
                summed.spend(at, granted)
        return Permits(
            granted=granted,
            again_at=None,
            starts_in=_span(first - at),
            every=_span(every),
            good_for=good_for if self._paced or self._summed else None,
            leaves_within=ON_ITS_WAY,
        )

    def _again(self, at: int, *, room_left: bool) -> int:
        soonest = at + _us(ASK_AGAIN)
        if room_left:
            return soonest
        shut = [one for one in self._each() if one.room(at) == 0]
        return max(soonest, *(one.opens(at) for one in shut)) if shut else soonest

    def _fair(self, theme: str, room: int, at: int) -> int:
        """A theme that is ahead of one that waits lets it go first; what nobody waits for is anybody's."""
        waiting = [share.served for name, share in self._shares.items() if name != theme and share.claims_until > at]
        self._join(theme, at, quantum=room)
        if not waiting:
            return room
        quantum = max(1, room // (len(waiting) + 1))
        return min(room, max(0, quantum - (self._shares[theme].served - min(waiting))))

    def _join(self, theme: str, at: int, *, quantum: int) -> None:
        """A newcomer begins level with the others, and nobody saves up what was not wanted at its time."""
        at_work = [share.served for share in self._shares.values() if self._is_at_work(share, at)]
        own = self._shares.get(theme)
        if own is None or not self._is_at_work(own, at):
            own = self._shares[theme] = _Share(min(at_work, default=0), at, 0)
        own.served = max(own.served, max(at_work, default=0) - max(1, quantum))

    def _count(self, theme: str, granted: int, at: int) -> None:
        self._shares[theme].served += granted
        self._shares[theme].asked_at = at

    @staticmethod
    def _is_at_work(share: _Share, at: int) -> bool:
        return max(share.asked_at + _us(_PATIENCE), share.claims_until) > at
