"""The HTTP service: what providers tell us, what the links in messages lead to, and the API for shops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from console.http import callbacks, links, metrics
from console.http.api.app import Api, ApiFirst
from console.http.joining import keep_joining
from console.http.services import Services
from settings import get_settings


def create_app(services: Services | None = None) -> ApiFirst:
    """Without `services`, those of the settings. It serves no documentation of itself but that of the API."""
    found = services or Services.from_settings(get_settings())
    return ApiFirst(_service(found), api=Api(found))


def _service(services: Services) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.state.services = services
    for part in (callbacks, links, metrics):
        app.include_router(part.router)
    app.get("/health")(health)
    return app


async def health() -> dict[str, str]:
    return {"status": "ok"}


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    joining = asyncio.create_task(keep_joining(services))
    yield
    joining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await joining
    services.database.dispose()
