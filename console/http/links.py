"""What the links in messages lead to: `/u/` out of the list (RFC 8058), `/o/` the image of a letter, `/c/` a click."""

import logging
from base64 import b64decode
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from channels.service.links import record_click, record_opened, unsubscribe
from console.http.bodies import body_of
from console.http.pages import HEADERS, ask_page, done_page, preview_page, unknown_page
from console.http.services import Services, services
from models.queries import endpoints
from models.queries.endpoints import Addressee
from themes.recipient import PREVIEW
from themes.signed_links import LinkKind

router = APIRouter()
log = logging.getLogger("themeline.links")

_IMAGE = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_MOST = 64 * 1024

ServicesOf = Annotated[Services, Depends(services)]


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
async def ask(token: str, request: Request, service: ServicesOf) -> HTMLResponse:
    """A page with a button. Mail programs and scanners look at every link, so that looking changes nothing."""
    language = request.headers.get("accept-language", "en")
    if token == PREVIEW:
        return preview_page(language)
    delivery_id = _delivery(service, LinkKind.UNSUBSCRIBE, token)
    found = await service.in_thread(_addressee, service, delivery_id) if delivery_id else None
    if found is None:
        return unknown_page(language)
    return ask_page(found.language, line=found.product_line, channel=found.channel)


@router.post("/u/{token}")
async def leave(token: str, request: Request, service: ServicesOf) -> HTMLResponse:
    """Whatever is posted, by a mail program or by the button: having the link and posting to it is the wish itself."""
    await body_of(request, most=_MOST)
    language = request.headers.get("accept-language", "en")
    if token == PREVIEW:
        return preview_page(language)
    delivery_id = _delivery(service, LinkKind.UNSUBSCRIBE, token)
    found = await service.in_thread(_unsubscribe, service, delivery_id) if delivery_id else None
    if found is None:
        return unknown_page(language)
    log.info("unsubscribed: delivery=%s channel=%s", found.delivery_id, found.channel)
    return done_page(found.language, line=found.product_line, channel=found.channel)


@router.get("/o/{token}.gif")
async def opened(token: str, service: ServicesOf) -> Response:
    """The same image for whoever asks; only a link of ours is counted."""
    delivery_id = _delivery(service, LinkKind.OPENED, token)
    if delivery_id is not None:
        await _count(service, delivery_id)
    return Response(_IMAGE, media_type="image/gif", headers={"Cache-Control": "no-store"})


@router.get("/c/{token}")
async def clicked(token: str, service: ServicesOf, to: str = "") -> RedirectResponse:
    """On to the address that the message held. Another one was not signed, and leads nowhere."""
    delivery_id = _delivery(service, LinkKind.CLICKED, token, to)
    if delivery_id is None or not to.startswith(("https://", "http://")):
        raise HTTPException(404)
    await _count(service, delivery_id, to)
    return RedirectResponse(to, status_code=302, headers={**HEADERS, "Content-Security-Policy": "default-src 'none'"})


def _delivery(service: Services, kind: LinkKind, token: str, target: str = "") -> UUID | None:
    if service.signer is None:
        raise HTTPException(503)
    return service.signer.delivery_of(kind, token, target)


async def _count(service: Services, delivery_id: UUID, target: str | None = None) -> None:
    """The person is not kept waiting for our database, should it be away."""
    try:
        await service.in_thread(_record, service, delivery_id, target)
    except HTTPException:
        log.warning("link not counted: delivery=%s, the database does not answer", delivery_id)
    else:
        service.announce()


def _addressee(service: Services, delivery_id: UUID) -> Addressee | None:
    with service.database.begin() as session:
        return endpoints.addressee(session, delivery_id)


def _unsubscribe(service: Services, delivery_id: UUID) -> Addressee | None:
    with service.database.begin() as session:
        return unsubscribe(session, delivery_id=delivery_id, now=service.clock())


def _record(service: Services, delivery_id: UUID, target: str | None) -> None:
    with service.database.begin() as session:
        if target is None:
            record_opened(session, delivery_id=delivery_id, now=service.clock())
        else:
            record_click(session, delivery_id=delivery_id, target=target, now=service.clock())
