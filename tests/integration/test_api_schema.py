"""Whatever schemathesis makes up from the OpenAPI document is answered as the document says, over real HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, settings

from console.http.api.app import ENDPOINTS, PREFIX
from console.http.api.openapi import document
from models.database import Database
from offers.quote_notation import MOST_UNITS
from offers.service.api_keys import create_key
from tests.integration.http_service import services_for, serving
from tests.integration.offers_world import NOON, offers_world
from tests.integration.scene import LINE, Scene, new_rules, populate
from themes.theme import RedeemIn

EXAMPLES = 20

schema = schemathesis.openapi.from_dict(document(ENDPOINTS, prefix=PREFIX))


@pytest.fixture(scope="module")
def shop(database: Database, database_url: str) -> Iterator[tuple[str, requests.Session]]:
    """Where the API is, and a session that shows a key of a product line with live offers."""
    rules = new_rules()
    with database.begin() as session:
        secrets = populate(session, rules.cipher)
    offers_world(Scene(database=database, rules=rules, secrets=secrets))
    with database.begin() as session:
        secret = create_key(
            session, product_line=LINE, name="shop", channel=RedeemIn.APP, per_second=100_000, by="test", now=NOON
        )
    services = services_for(database_url, None)
    services.clock = lambda: NOON
    with serving(services) as origin, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {secret}"
        yield f"{origin}{PREFIX}", session


def _units(body: Any) -> float:
    """In all lines of a cart; of what is no cart at all, none."""
    try:
        return float(sum(line["qty"] for line in body["cart"]["lines"]))
    except (TypeError, KeyError):
        return 0


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_api_does_what_its_document_says(case: schemathesis.Case[Any], shop: tuple[str, requests.Session]) -> None:
    assume(_units(case.body) <= MOST_UNITS)  # the one rule that no JSON Schema can say
    where, session = shop
    case.call_and_validate(base_url=where, session=session)
