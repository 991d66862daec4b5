"""`themeline codes`: made by the million, shown by `export` only, and never one twice."""

import csv
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from offers import code as codes
from offers.code_refusal import CodeSpaceFull, SharedCodeTaken
from offers.service import codes as pools
from offers.service.codes import Pool
from settings import get_settings
from tests.integration.command_line import CommandLine, environment_of
from tests.integration.offers_world import NOON, SHARED, THEME, OffersWorld, copy_of, world_to_copy
from tests.integration.scene import Scene


@pytest.fixture(scope="module")
def spring(postgres: str, scenery: tuple[str, Scene]) -> Iterator[OffersWorld]:
    with world_to_copy(postgres, scenery) as made:
        yield made


@pytest.fixture
def world(postgres: str, spring: OffersWorld) -> Iterator[OffersWorld]:
    with copy_of(postgres, spring) as copied:
        yield copied


@pytest.fixture
def cli(world: OffersWorld, tmp_path: Path) -> Iterator[CommandLine]:
    url = world.scene.database.engine.url.render_as_string(hide_password=False)
    yield CommandLine(environment_of(url, tmp_path / "state"))
    get_settings.cache_clear()


def generate(world: OffersWorld, many: int, offer: str = "own-code") -> Pool:
    with world.scene.begin() as session:
        return pools.generate(session, theme_key=THEME, offer=offer, count=many, by="test", now=NOON)


def noted(monkeypatch: pytest.MonkeyPatch, draw: Callable[[int], Iterator[list[int]]]) -> list[int]:
    """How many are drawn, each time."""
    asked: list[int] = []

    def draw_noted(many: int) -> Iterator[list[int]]:
        asked.append(many)
        return draw(many)

    monkeypatch.setattr(codes, "draw", draw_noted)
    return asked


def numbers(world: OffersWorld) -> list[int]:
    return [row[0] for row in world.rows("SELECT number FROM codes ORDER BY number")]


def test_codes_are_made_counted_and_written_down(world: OffersWorld, cli: CommandLine) -> None:
    made = cli.json("codes", "generate", THEME, "own-code", "--count", "20")
    assert (made["generated"], made["free"], made["reserved"], made["claimed"]) == (25, 25, 0, 0)
    assert len(set(numbers(world))) == 25
    assert "20 codes made; it has 45" in cli.run("codes", "generate", THEME, "own-code", "--count", "20").stdout
    act = world.scene.audit("generate_codes")[-1]
    assert (act.object_kind, act.object_key, act.theme_key) == ("coupon", "own-code", THEME)
    assert act.details == {"count": 20}
    assert act.actor.startswith("console:")


def test_a_list_says_what_became_of_them(world: OffersWorld, cli: CommandLine) -> None:
    world.claim("c01", code=world.codes[0])
    world.change(
        "UPDATE codes SET customer_id = :id WHERE number IN (:one, :two)",
        id=world.customer_id("c02"),
        one=codes.number_of(world.codes[0]),  # a message carried it
        two=-1,
    )
    world.change(
        "UPDATE codes SET customer_id = :id WHERE number = :one",
        id=world.customer_id("c03"),
        one=codes.number_of(world.codes[1]),
    )
    found = {one["offer"]: one for one in cli.json("codes", "list", THEME)}
    own, shared = found["own-code"], found["one-code"]
    assert (own["generated"], own["free"], own["reserved"], own["claimed"]) == (5, 3, 1, 1)
    assert (shared["shared"], shared["generated"]) == (SHARED, 0)
    told = cli.run("codes", "list", THEME).stdout
    assert SHARED in told
    assert not any(code in told for code in world.codes)


def test_an_export_has_every_code_with_what_became_of_it_in_a_file_of_ones_own(
    world: OffersWorld, cli: CommandLine, tmp_path: Path
) -> None:
    world.claim("c01", code=world.codes[0])
    file = tmp_path / "codes.csv"
    told = cli.run("codes", "export", THEME, "own-code", "--to", str(file)).stdout
    assert told == f"{file}: 5 codes of {THEME}/own-code\n"
    with file.open(encoding="utf-8", newline="") as source:
        found = {row["code"]: row["state"] for row in csv.DictReader(source)}
    assert found == dict.fromkeys(world.codes, "free") | {world.codes[0]: "claimed"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cli.json("codes", "export", THEME, "own-code", "--to", str(file)) == {"file": str(file), "codes": 5}


def test_exported_codes_bring_their_coupons(world: OffersWorld) -> None:
    assert [world.held_by(f"c{n:02}", code=code).offer for n, code in enumerate(world.codes, start=1)] == [
        f"{THEME}/own-code"
    ] * 5


def test_one_code_for_all_can_be_changed_and_another_coupon_cannot_have_one_that_looks_like_it(
    world: OffersWorld, cli: CommandLine
) -> None:
    told = cli.run("codes", "share", THEME, "one-code", "spring 2o2o").stdout
    assert told == f"{THEME}/one-code: customers get it with SPRING2O2O\n"
    taken = cli.refusal("codes", "share", THEME, "plain", "SPR1NG-2020")
    assert f"{THEME}/one-code" in taken
    assert cli.json("codes", "share", THEME, "plain", "PLAIN")["shared"] == "PLAIN"
    assert world.claim("c01", code=SHARED).refusal is not None
    assert world.held_by("c01", code="SPRING2020").offer == f"{THEME}/one-code"
    acts = world.scene.audit("share_code")
    assert [(act.object_key, act.details) for act in acts] == [("one-code", {}), ("one-code", {}), ("plain", {})]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("generate", "nowhere", "own-code", "--count", "1"), "there is no theme 'nowhere'"),
        (("generate", THEME, "own-cod", "--count", "1"), "did you mean 'own-code'"),
        (("generate", THEME, "lamps", "--count", "1"), "no coupon 'lamps' that could have codes"),
        (("generate", THEME, "thanks", "--count", "1"), "no coupon 'thanks' that could have codes"),
        (("generate", THEME, "one-code", "--count", "1"), "has one code for all: `themeline codes generate`"),
        (("share", THEME, "own-code", "SUMMER"), "has one code for each person: `themeline codes share`"),
        (("share", THEME, "one-code", "no"), "take 4 to 20 letters A to Z and digits"),
        (("export", THEME, "hot", "--to", "codes.csv"), "has no codes for single persons; own-code of this theme"),
        (("export", THEME, "one-code", "--to", "codes.csv"), "has no codes for single persons"),
        (("export", THEME, "own-code", "--to", "/nowhere/codes.csv"), "/nowhere/codes.csv cannot be written"),
        (("list", "nowhere"), "there is no theme 'nowhere'"),
    ],
)
def test_what_codes_cannot_be_made_or_shown_is_refused_with_the_reason(
    cli: CommandLine, words: Sequence[str], told: str
) -> None:
    refusal = cli.refusal("codes", *words)
    assert told in refusal
    assert "SUMMER" not in refusal


def test_a_coupon_has_codes_of_one_sort(world: OffersWorld, cli: CommandLine) -> None:
    generate(world, 3, "plain")
    assert "one code for each person" in cli.refusal("codes", "share", THEME, "plain", "PLAIN")
    cli.json("codes", "share", THEME, "hot", "HOT20")
    assert "one code for all" in cli.refusal("codes", "generate", THEME, "hot", "--count", "3")


def test_at_most_half_of_all_numbers_are_filled(world: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MOST_FILLED", 10)
    assert generate(world, 5).generated == 10
    with pytest.raises(CodeSpaceFull) as full:
        generate(world, 1)
    assert (full.value.asked, full.value.filled, full.value.most) == (1, 10, 10)
    assert len(numbers(world)) == 10


def test_a_number_that_is_there_already_is_drawn_again(world: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    there = numbers(world)[2]
    drawn = iter([[[1], [there]], [[1], []], [[2]]])
    asked = noted(monkeypatch, lambda _: iter(next(drawn)))
    assert generate(world, 2).generated == 7
    assert asked == [2, 2, 1]
    assert numbers(world)[:2] == [1, 2]
    assert len(numbers(world)) == 7


def test_many_are_made_some_at_a_time(world: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_AT_ONCE", 400)
    asked = noted(monkeypatch, codes.draw)
    assert generate(world, 1_000).generated == 1_005
    assert asked == [400, 400, 200]


def test_codes_made_for_one_coupon_by_many_at_once_are_all_there(world: OffersWorld) -> None:
    start = Barrier(8)

    def make(_: int) -> int:
        start.wait(timeout=30)
        return generate(world, 500).generated

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [5 + 500 * (n + 1) for n in range(8)]
    assert len(numbers(world)) == 4_005


def test_of_two_coupons_that_want_one_code_at_once_one_gets_it(world: OffersWorld) -> None:
    start = Barrier(2)

    def want(offer: str) -> str:
        start.wait(timeout=30)
        try:
            with world.scene.begin() as session:
                pools.share(session, theme_key=THEME, offer=offer, code="BOTH", by="test", now=NOON)
        except SharedCodeTaken as taken:
            return taken.by
        return offer

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(want, ("plain", "hot"))
    assert first == second
    assert world.rows("SELECT offer FROM code_pools WHERE shared = 'BOTH'") == [(first,)]


def test_codes_that_were_not_committed_are_not_there(world: OffersWorld) -> None:
    before = numbers(world)
    with world.scene.begin() as session:
        pools.generate(session, theme_key=THEME, offer="own-code", count=100, by="test", now=NOON)
        session.rollback()
    assert numbers(world) == before
    assert world.rows("SELECT generated FROM code_pools WHERE offer = 'own-code'") == [(5,)]
