"""Finding the recipients for whom a provider refuses a whole batch, when it does not say which they are."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from channels.message import Message, Outcome
from channels.states import TRANSIENT_CLASSES, ErrorClass

#: After such an answer the rest of the batch is not tried: it would fare the same, or nobody knows how.
_STOPPING = TRANSIENT_CLASSES | {ErrorClass.CONFIG, ErrorClass.UNKNOWN_OUTCOME}


@dataclass(slots=True, kw_only=True)
class Bisection:
    """Sends a batch; one that is refused because of some recipients is halved until only these are refused.

    `call` sends some messages in one provider call: all its outcomes are alike. `blames_some` tells a refusal that is
    about some of the recipients from one that is about all. Halves go one after the other, so that the sender's own
    concurrency stays what it is on the wire.
    """

    call: Callable[[Sequence[Message]], Awaitable[Sequence[Outcome]]]
    blames_some: Callable[[Outcome, Sequence[Message]], bool]
    stopped: Outcome | None = None

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        if self.stopped is not None:
            return [_untried(message, self.stopped) for message in messages]
        outcomes = await self.call(messages)
        if self.blames_some(outcomes[0], messages):
            return outcomes if len(messages) == 1 else await self._halve(messages)
        if outcomes[0].error in _STOPPING:
            self.stopped = outcomes[0]
        return outcomes

    async def _halve(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        middle = len(messages) // 2
        left = await self.send(messages[:middle])
        rest = messages[middle:]
        if len(rest) > 1 and all(outcome.error is None for outcome in left):
            # The culprit is in the rest, so that a call for the whole rest would only be refused.
            return [*left, *await self._halve(rest)]
        return [*left, *await self.send(rest)]


def _untried(message: Message, cause: Outcome) -> Outcome:
    """No call was made for this message: whatever became of the others, this one surely never left."""
    if cause.error is ErrorClass.UNKNOWN_OUTCOME:
        detail = f"not sent, because a call for the same batch got no answer: {cause.detail}"
        return Outcome(delivery_id=message.delivery_id, error=ErrorClass.DOWN, code=cause.code, detail=detail)
    return replace(cause, delivery_id=message.delivery_id)
