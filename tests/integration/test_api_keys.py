"""`themeline api-keys`: made, shown once, listed, revoked; and what becomes of requests that show one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from fastapi import HTTPException, Request
from sqlalchemy import text

from console.http.api.keys import KNOWN_SECONDS, KeyBook
from console.http.services import Services
from offers.api_key import ApiKeyNameTaken, Caller, hash_of
from offers.service.api_keys import create_key, keys, revoke_key
from tests.integration.command_line import CommandLine
from tests.integration.http_service import services_for
from tests.integration.scene import LINE, MORNING, Scene
from themes.theme import RedeemIn


def created(cli: CommandLine, name: str = "till", *, channel: str = "app", per_second: int = 50) -> str:
    words = ("api-keys", "create", LINE, "--name", name, "--channel", channel, "--per-second", str(per_second))
    return str(cli.json(*words)["secret"])


@pytest.fixture
def services(scene: Scene) -> Services:
    return services_for(scene.database.engine.url.render_as_string(hide_password=False), None)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def showing(header: str | None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


def admitted(book: KeyBook, secret: str) -> Caller:
    return asyncio.run(book.admitted(showing(f"Bearer {secret}")))


def refusal(book: KeyBook, header: str | None) -> HTTPException:
    with pytest.raises(HTTPException) as refused:
        asyncio.run(book.admitted(showing(header)))
    return refused.value


def test_secret_is_shown_once_and_only_its_hash_is_kept(cli: CommandLine, scene: Scene) -> None:
    outcome = cli.run("api-keys", "create", LINE, "--name", "till", "--channel", "store")
    secret = outcome.stdout.strip()
    assert (outcome.exit_code, secret[:3], len(secret)) == (0, "tl_", 46)
    assert "this once" in outcome.stderr
    listed = cli.run("api-keys", "list")
    as_json = cli.run("api-keys", "list", "--json")
    for told in (listed.stdout, as_json.stdout):
        assert "till" in told
        assert secret not in told
        assert hash_of(secret) not in told
    with scene.begin() as session:
        kept = session.execute(text("SELECT hash, channel, per_second FROM api_keys")).one()
    assert tuple(kept) == (hash_of(secret), "store", 50)


def test_list_tells_who_made_and_who_revoked_a_key(cli: CommandLine) -> None:
    created(cli, "till", per_second=7)
    revoked = cli.json("api-keys", "revoke", LINE, "--name", "till")
    (listed,) = cli.json("api-keys", "list")
    assert listed == revoked
    assert (listed["name"], listed["channel"], listed["per_second"]) == ("till", "app", 7)
    assert listed["created_by"].startswith("console:")
    assert listed["revoked_by"].startswith("console:")


def test_name_stands_for_one_key_for_good(cli: CommandLine) -> None:
    created(cli)
    words = ("api-keys", "create", LINE, "--channel", "app", "--name", " till ")
    assert "has a key of the name 'till' already" in cli.refusal(*words)
    cli.json("api-keys", "revoke", LINE, "--name", "till")
    assert "has a revoked key of the name 'till' already" in cli.refusal(*words)


def test_one_of_two_that_take_the_same_name_at_once_is_told_so(scene: Scene) -> None:
    barrier = Barrier(2)

    def make(_: int) -> str:
        barrier.wait()
        try:
            with scene.begin() as session:
                create_key(
                    session, product_line=LINE, name="x", channel=RedeemIn.APP, per_second=1, by="root", now=MORNING
                )
        except ApiKeyNameTaken as taken:
            return type(taken).__name__
        return "made"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(make, range(2))) == ["ApiKeyNameTaken", "made"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "giftware", "--name", "x", "--channel", "app"), "did you mean 'giftware-eu'?"),
        (("create", LINE, "--name", " ", "--channel", "app"), "1 to 100 characters"),
        (("create", LINE, "--name", "x", "--channel", "app", "--per-second", "0"), "0 requests a second"),
        (("revoke", LINE, "--name", "til"), "did you mean 'till'?"),
        (("revoke", "nowhere", "--name", "till"), "there is no product line 'nowhere'"),
    ],
)
def test_verb_that_cannot_be_done_says_why(cli: CommandLine, words: tuple[str, ...], says: str) -> None:
    created(cli)
    assert says in cli.refusal("api-keys", *words)


def test_key_is_revoked_once(scene: Scene) -> None:
    with scene.begin() as session:
        create_key(session, product_line=LINE, name="x", channel=RedeemIn.APP, per_second=1, by="root", now=MORNING)
    for by in ("ann", "bob"):
        with scene.begin() as session:
            revoke_key(session, product_line=LINE, name="x", by=by, now=datetime.now(UTC))
    with scene.begin() as session:
        assert [key.revoked_by for key in keys(session)] == ["ann"]


def test_caller_is_the_product_line_and_the_channel_of_the_key(cli: CommandLine, services: Services) -> None:
    caller = admitted(KeyBook(services), created(cli, channel="mini_program", per_second=3))
    assert (caller.channel, caller.per_second) == (RedeemIn.MINI_PROGRAM, 3)
    services.database.dispose()


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", "Basic {secret}", "{secret}", "Bearer {secret}x", "Bearer ü{secret}"]
)
def test_whoever_shows_no_key_is_refused(cli: CommandLine, services: Services, header: str | None) -> None:
    shown = None if header is None else header.format(secret=created(cli))
    refused = refusal(KeyBook(services), shown)
    assert (refused.status_code, refused.headers) == (401, {"WWW-Authenticate": "Bearer"})
    services.database.dispose()


def test_scheme_is_read_in_any_case(cli: CommandLine, services: Services) -> None:
    secret, book = created(cli), KeyBook(services)
    assert asyncio.run(book.admitted(showing(f"bearer   {secret} "))).per_second == 50
    services.database.dispose()


def test_revoked_key_is_refused_within_seconds_everywhere(cli: CommandLine, services: Services) -> None:
    secret, clock = created(cli), Clock()
    book, elsewhere = KeyBook(services, clock=clock), KeyBook(services, clock=clock)
    admitted(book, secret)
    cli.json("api-keys", "revoke", LINE, "--name", "till")
    assert refusal(elsewhere, f"Bearer {secret}").status_code == 401  # it did not know the key
    admitted(book, secret)
    assert KNOWN_SECONDS <= 5
    clock.now += KNOWN_SECONDS
    assert refusal(book, f"Bearer {secret}").status_code == 401
    services.database.dispose()


def test_key_that_asks_too_often_is_told_when_to_come_back(cli: CommandLine, services: Services) -> None:
    secret, clock = created(cli, per_second=2), Clock()
    other = created(cli, "other", per_second=2)
    book = KeyBook(services, clock=clock)
    for _ in range(2):
        admitted(book, secret)
    refused = refusal(book, f"Bearer {secret}")
    assert (refused.status_code, refused.headers) == (429, {"Retry-After": "1"})
    admitted(book, other)
    clock.now += KNOWN_SECONDS - 0.1
    for _ in range(2):
        admitted(book, secret)
    clock.now += 0.1  # it is looked up again, and what it has had is not forgotten
    assert refusal(book, f"Bearer {secret}").status_code == 429
    services.database.dispose()
