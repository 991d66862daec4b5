"""A request with an idempotency key does what it does once, and is answered the same as often as it is sent."""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel
from sqlalchemy.orm import Session

from console.http.api.endpoint import IDEMPOTENCY_KEY, Call
from console.http.api.problems import Json, ProblemJson
from console.http.api.refused import refusal
from offers.errors import OfferError
from offers.service.kept_answers import keep, request_hash, take_key

#: `{status, body}`, plain JSON.
Kept = Mapping[str, Any]
Work = Callable[[Session, datetime], Any]


def hash_of(call: Call, verb: str) -> str:
    """Of all that the request says. The channel belongs to it: the same words through another are another request."""
    values = {name: value for name, value in call.values.items() if name != IDEMPOTENCY_KEY}
    said = call.body.model_dump(mode="json") if isinstance(call.body, BaseModel) else None
    return request_hash(verb, {"channel": call.caller.channel.value, "values": values, "body": said})


async def answered_once(call: Call, verb: str, work: Work, *, status: HTTPStatus = HTTPStatus.OK) -> Json:
    """What `work` comes to, or what it came to before. A refusal is an answer, and kept as well.

    Raises:
        KeyReused: the key stands for another request.
    """
    line_id, key, hash_ = call.line_id, call.values[IDEMPOTENCY_KEY], hash_of(call, verb)

    def begin(session: Session, now: datetime) -> Kept:
        known = take_key(session, product_line_id=line_id, key=key, hash_=hash_, now=now)
        if known is not None:
            return known
        answer = _answer(session, lambda: _kept(status, work(session, now)))
        keep(session, product_line_id=line_id, key=key, answer=answer)
        return answer

    kept = await call.in_transaction(begin)
    form = ProblemJson if kept["status"] >= HTTPStatus.BAD_REQUEST else Json
    return form(kept["body"], status_code=kept["status"])


def _answer(session: Session, act: Callable[[], Kept]) -> Kept:
    """What a refused act did is taken back; that it was asked for stays. Any other error leaves nothing behind."""
    try:
        with session.begin_nested():
            return act()
    except OfferError as error:
        body = refusal(error)
        return _kept(HTTPStatus(body["status"]), body)


def _kept(status: HTTPStatus, body: object) -> Kept:
    """As plain JSON: what is kept and what is told now are the same."""
    return {"status": status.value, "body": orjson.loads(orjson.dumps(body))}
