"""Open SMTP connections, and the letters that wait for one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from channels.email.conversation import Conversation
from channels.email.handshake import NoConnection, Opened
from channels.email.letter import Letter
from channels.email.replies import Stage
from channels.refusal import Refusal
from channels.states import ErrorClass

#: A server may refuse one connection more while the others work: so long none is tried.
REST_SECONDS = 1.0
#: So many attempts in a row that came to nothing are the server's state, and no accident of one of them.
TRIES = 3
_CLOSED = Refusal(error=ErrorClass.DOWN, detail="the account was closed")


class Pool:
    """At most `size` connections. One is given up after `messages_per_connection`, or `idle_seconds` without use."""

    def __init__(
        self,
        *,
        connect: Callable[[], Awaitable[Opened]],
        size: int,
        messages_per_connection: int,
        idle_seconds: float,
        timeout: float,
        pipelining: bool,
    ) -> None:
        self._connect, self._size = connect, size
        self._most, self._idle_seconds = messages_per_connection, idle_seconds
        self._timeout, self._pipelining = timeout, pipelining
        self._waiting: deque[Letter] = deque()
        self._for_new: deque[Letter] = deque()  # an old connection failed them before anything was handed over
        self._open: set[Conversation] = set()
        self._idle: list[Conversation] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._rests_until = 0.0
        self._failed_in_row = 0
        self._changed = asyncio.Event()
        self._is_closed = False

    async def deliver(self, letter: Letter) -> str | Refusal:
        """The server's words on accepting it, or why it did not."""
        if self._is_closed:
            return _CLOSED
        while self._idle:
            conversation = self._idle.pop()
            if conversation.is_idle:
                conversation.begin(letter)
                break
        else:
            self._waiting.append(letter)
            self._open_more()
        return await letter.answer

    async def close(self) -> None:
        """Take leave of the connections at rest, drop the others."""
        self._is_closed = True
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        self._settle_waiting(_CLOSED, all_of_them=True)
        for conversation in list(self._open):
            if conversation.is_idle:
                conversation.quit()
            else:
                conversation.drop(_CLOSED.detail)
        while self._open:
            self._changed.clear()
            await self._changed.wait()

    # What a conversation asks and tells.

    def next_letter(self, *, new: bool) -> Letter | None:
        return (_first_awaited(self._for_new) if new else None) or _first_awaited(self._waiting)

    def again(self, letter: Letter) -> None:
        if self._is_closed:
            letter.settle(_CLOSED)
        else:
            self._for_new.append(letter)

    def at_rest(self, conversation: Conversation) -> None:
        if self._for_new and len(self._open) + len(self._opening) >= self._size:
            conversation.quit()  # what waits wants a new one
        else:
            self._idle.append(conversation)

    def gone(self, conversation: Conversation) -> None:
        self._open.discard(conversation)
        if conversation in self._idle:
            self._idle.remove(conversation)
        self._changed.set()
        self._open_more()

    # Opening.

    def _open_more(self) -> None:
        wanted = len(self._for_new)
        if not (self._open or self._opening) or asyncio.get_running_loop().time() >= self._rests_until:
            wanted += len(self._waiting)
        room = self._size - len(self._open) - len(self._opening)
        for _ in range(min(wanted - len(self._opening), room) if not self._is_closed else 0):
            task = asyncio.get_running_loop().create_task(self._open_one())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_one(self) -> None:
        this = asyncio.current_task()
        try:
            opened = await self._connect()
        except NoConnection as failure:
            self._opening.discard(this)
            self._give_up(failure.refused)
            return
        self._opening.discard(this)
        conversation = Conversation(
            opened=opened,
            letters=self,
            timeout=self._timeout,
            most=self._most,
            idle_seconds=self._idle_seconds,
            pipelining=self._pipelining,
        )
        if conversation.is_idle:
            self._failed_in_row = 0
            self._open.add(conversation)
            conversation.proceed()
        else:
            self._give_up(Refusal(error=ErrorClass.DOWN, detail=f"{Stage.CONNECT}: the connection was closed"))

    def _give_up(self, refused: Refusal) -> None:
        """No new connection: nobody is told while an old one may yet serve, or another attempt may succeed."""
        self._failed_in_row += 1
        self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        is_last = not (self._open or self._opening)
        hopeless = refused.error is ErrorClass.CONFIG or self._failed_in_row >= TRIES
        self._settle_waiting(refused, all_of_them=is_last and hopeless)
        if is_last and (letter := _first_awaited(self._waiting)) is not None:
            letter.settle(refused)
            self._open_more()

    def _settle_waiting(self, refused: Refusal, *, all_of_them: bool) -> None:
        letters = [*self._for_new, *(self._waiting if all_of_them else ())]
        self._for_new.clear()
        if all_of_them:
            self._waiting.clear()
        for letter in letters:
            letter.settle(refused)


def _first_awaited(letters: deque[Letter]) -> Letter | None:
    while letters:
        letter = letters.popleft()
        if not letter.answer.done():
            return letter
    return None
