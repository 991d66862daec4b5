"""What scenarios play in: a database for each of them, and one running installation for all that go through Prefect."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from approval.service.people import add_person
from models import database as db
from models.product_line import ProductLine
from tests.integration.scene import MORNING, Scene, new_rules, populate
from tests.postgres import admin, with_database

#: Beside those of every scene: login -> roles.
CAST = {
    "ada": (),
    "eve": (),
    "fay": (),
    "max": (),
    "sue": ("stewards",),
    "zoe": (),
}
OTHER_LINE = "wine-eu"


@pytest.fixture(scope="session")
def peopled(postgres: str, template: str) -> tuple[str, Scene]:
    """A database with everybody of the scenarios in it; each scenario plays in a copy."""
    name, rules = f"peopled_{uuid4().hex[:8]}", new_rules()
    admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    database = db.Database(url=with_database(postgres, name))
    with database.begin() as session:
        secrets = populate(session, rules.cipher)
        session.add(ProductLine(key=OTHER_LINE, name="Wine", currency="EUR"))
        for login, roles in CAST.items():
            enrolment = add_person(
                session,
                login=login,
                name=login.capitalize(),
                email=None,
                phone=None,
                roles=roles,
                locale="en",
                by="root",
                cipher=rules.cipher,
                now=MORNING,
            )
            secrets[login] = enrolment.secret
    database.dispose()
    return name, Scene(database=database, rules=rules, secrets=secrets)


@pytest.fixture
def world(postgres: str, peopled: tuple[str, Scene]) -> Iterator[Scene]:
    filled, first = peopled
    name = f"scenario_{uuid4().hex[:8]}"
    admin(postgres, f"CREATE DATABASE {name} TEMPLATE {filled} STRATEGY file_copy")
    database = db.Database(url=with_database(postgres, name), pool_size=4)
    yield Scene(database=database, rules=first.rules, secrets=dict(first.secrets))
    database.dispose()
    admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")
