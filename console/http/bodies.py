"""Reading what somebody posts, within bounds of size and time."""

import asyncio

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

SECONDS = 10.0


async def body_of(request: Request, *, most: int) -> bytes:
    """The body; HTTPException 413 when it is larger than `most` bytes, 408 when it does not come."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > most:
        raise HTTPException(413)
    parts, size = [], 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise HTTPException(413)
                parts.append(part)
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408) from None
    return b"".join(parts)
