"""The people of the demo, and their authenticator apps."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from approval import identity
from approval.secrecy import Cipher
from approval.service import people
from models.database import Database

CAST = (
    ("ann", "Ann Author", ()),
    ("bob", "Bob of Operations", ("operations",)),
    ("carl", "Carl of Finance", ("finance",)),
    ("cyn", "Cyn of Finance", ("finance",)),
    ("cora", "Cora of Finance", ("finance",)),
)


@dataclass(slots=True, kw_only=True)
class Authenticator:
    """A person's app: shows a code that has signed nothing yet, and waits for the next one where it must.

    The code of the step before would be taken too, but perhaps no more when a busy machine comes to look at it.
    """

    secret: str = field(repr=False)
    drift_steps: int = 1
    last_step: int = 0

    def code(self) -> str:
        while True:
            now = datetime.now(UTC)
            least = max(self.last_step + 1, identity.time_step(now))
            fresh = [step for step in identity.steps_in_reach(now, self.drift_steps) if step >= least]
            if fresh:
                self.last_step = fresh[0]
                return identity.code_at(self.secret, _moment_of(fresh[0]))
            time.sleep(0.5)


def _moment_of(step: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=step * identity.STEP_SECONDS)


def enrol_cast(database: Database, cipher: Cipher) -> dict[str, Authenticator]:
    apps = {}
    with database.begin() as session:
        for login, name, roles in CAST:
            enrolment = people.add_person(
                session,
                login=login,
                name=name,
                email=f"{login}@example.com",
                phone=None,
                roles=roles,
                locale="en",
                by="console:demo",
                cipher=cipher,
                now=datetime.now(UTC),
            )
            apps[login] = Authenticator(secret=enrolment.secret)
    return apps
