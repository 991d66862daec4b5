"""The endpoints that providers call: `/callbacks/<account>/<secret>`, without the secret where the provider signs.

The answer goes out as soon as everything is kept; what follows from it is done right after that, in `joining`.
"""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from channels.callbacks import Callback, CallbackRefused, CallbackUnreadable, Heard
from channels.service.callbacks import CallbackAccount, take_in
from channels.service.receipts import Stored
from channels.states import Channel
from console.http.bodies import body_of
from console.http.services import Services, services

router = APIRouter()
log = logging.getLogger("themeline.callbacks")

_MOST = 2 * 1024 * 1024
_MOST_OF_A_LETTER = 16 * 1024 * 1024  # a bounce may hold the letter that it is about

ServicesOf = Annotated[Services, Depends(services)]


@router.api_route("/callbacks/{key}", methods=["GET", "POST"])
async def signed_callback(key: str, request: Request, service: ServicesOf) -> Response:
    return await _answer(key, None, request, service)


@router.api_route("/callbacks/{key}/{secret}", methods=["GET", "POST"])
async def callback(key: str, secret: str, request: Request, service: ServicesOf) -> Response:
    return await _answer(key, secret, request, service)


async def _answer(key: str, secret: str | None, request: Request, service: Services) -> Response:
    account = await service.account(key)
    if account is None or not account.is_called_with(secret):
        raise HTTPException(404)
    most = _MOST_OF_A_LETTER if account.channel is Channel.EMAIL else _MOST
    called = Callback(
        method=request.method,
        urls=_urls(request, service.callback_url),
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=await body_of(request, most=most),
    )
    try:
        heard, stored = await service.in_thread(_take_in, service, account, called)
    except CallbackRefused as refused:
        service.refused[account.key, account.channel, account.provider] += 1
        log.warning("callback refused: account=%s reason=%s", account.key, refused)
        raise HTTPException(403) from refused
    except CallbackUnreadable as unreadable:
        log.warning("callback unreadable: account=%s reason=%s", account.key, unreadable)
        raise HTTPException(400) from unreadable
    if heard.left:
        log.warning("callback partly unknown: account=%s items=%s", account.key, heard.left)
    if stored.new:
        service.announce()
    return Response(heard.answer, media_type=heard.content_type)


def _take_in(service: Services, account: CallbackAccount, called: Callback) -> tuple[Heard, Stored]:
    now = service.clock()
    heard = account.read(called, now=now)
    if not heard.receipts and not heard.subscriptions:
        return heard, Stored(new=0, known=0)
    with service.database.begin() as session:
        stored = take_in(session, account_id=account.account_id, heard=heard, now=now)
    return heard, stored


def _urls(request: Request, callback_url: str) -> tuple[str, ...]:
    """What the provider may have called, for it may have signed that: the address that it was told, or the one here."""
    path = request.scope["raw_path"].decode("ascii", "replace")
    query = request.scope["query_string"].decode("ascii", "replace")
    target = f"{path}?{query}" if query else path
    return f"{callback_url}{target}", f"{request.url.scheme}://{request.headers.get('host', '')}{target}"
