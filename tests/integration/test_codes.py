"""`themeline codes`: made by the million, shown by `export` only, and never one twice."""

import csv
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from offers import code as codes
from offers.code_file import CodeLine
from offers.code_refusal import CodeSpaceFull, CodesUnfit, SharedCodeTaken
from offers.service import codes as pools
from offers.service.codes import Pool
from tests.integration.command_line import CommandLine, command_line_over
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
    with command_line_over(world.scene.database, tmp_path) as cli:
        yield cli


def generate(world: OffersWorld, many: int, offer: str = "own-code") -> Pool:
    with world.scene.begin() as session:
        return pools.generate(session, theme_key=THEME, offer=offer, count=many, by="test", now=NOON)


def noted(monkeypatch: pytest.MonkeyPatch, draw: Callable[[int], Iterator[Sequence[int]]]) -> list[int]:
    """How many are drawn, each time."""
    asked: list[int] = []

    def draw_noted(many: int) -> Iterator[Sequence[int]]:
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


def made_elsewhere(*numbers: int) -> list[str]:
    return [codes.written(number) for number in numbers]


def loaded(cli: CommandLine, file: Path, text: str, offer: str = "plain") -> dict[str, Any]:
    file.write_text(text, encoding="utf-8")
    found: dict[str, Any] = cli.json("codes", "load", THEME, offer, str(file))
    return found


def test_codes_from_elsewhere_are_loaded_written_down_and_claimed_with(
    world: OffersWorld, cli: CommandLine, tmp_path: Path
) -> None:
    one, two, three = made_elsewhere(11, 22, 33)
    found = loaded(cli, tmp_path / "codes.txt", f"{one}\n\n{two.lower()}\n")
    assert (found["loaded"], found["left_out"], found["generated"], found["free"]) == (2, 0, 2, 2)
    assert world.held_by("c01", code=two).offer == f"{THEME}/plain"
    act = world.scene.audit("load_codes")[-1]
    assert (act.object_key, act.theme_key, act.details) == ("plain", THEME, {"count": 2})
    (tmp_path / "more.txt").write_text(three, encoding="utf-8")
    told = cli.run("codes", "load", THEME, "plain", str(tmp_path / "more.txt")).stdout
    assert told == f"{THEME}/plain: 1 codes loaded; it has 3\n"


def test_what_another_installation_exported_is_loaded_but_for_what_somebody_has(
    world: OffersWorld, cli: CommandLine, tmp_path: Path
) -> None:
    world.claim("c01", code=world.codes[0])
    file = tmp_path / "codes.csv"
    cli.run("codes", "export", THEME, "own-code", "--to", str(file))
    world.change("DELETE FROM codes")
    world.change("UPDATE code_pools SET generated = 0")
    found = cli.json("codes", "load", THEME, "own-code", str(file))
    assert (found["loaded"], found["left_out"], found["free"]) == (4, 1, 4)
    assert numbers(world) == sorted(filter(None, map(codes.number_of, world.codes[1:])))


@pytest.mark.parametrize("at_once", [1_000_000, 2])  # in one part, and in several
def test_a_file_with_wrong_lines_is_refused_whole_with_all_of_them_and_without_a_code(
    world: OffersWorld, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(pools, "_AT_ONCE", at_once)
    before = numbers(world)
    one, two, *_ = made_elsewhere(11, 22)
    mistyped = two[:-1] + ("A" if two[-1] != "A" else "B")
    lines = [one, mistyped, world.codes[0], two, one.replace("-", ""), "hello", two, *("x" * 9)]
    file = tmp_path / "codes.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    told = cli.refusal("codes", "load", THEME, "plain", str(file))
    there = "has a code that is there already"
    again = {5: "has the code of line 1", 7: "has the code of line 4"} if at_once > 2 else {5: there, 7: there}
    wrong = {2: "is no code", 3: there, 6: "is no code", **again}
    assert all(f"line {line} {what};" in told for line, what in wrong.items())
    assert "line 4 " not in told
    assert "and 4 lines more" in told
    assert not any(line in told for line in lines if len(line) > 1)
    assert numbers(world) == before
    assert world.rows("SELECT sum(generated) FROM code_pools") == [(5,)]
    assert world.scene.audit("load_codes") == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file has no codes"),
        (b"code,state\n", "the file has no codes"),
        (b"code,state\nA,claimed\nB,reserved\n", "all 2 of the file are somebody's"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'"A" B\n', "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_has_nothing_to_load_is_refused(
    cli: CommandLine, tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "codes.txt"
    if content is not None:
        file.write_bytes(content)
    assert told in cli.refusal("codes", "load", THEME, "plain", str(file))


def test_of_two_who_load_the_same_codes_at_once_one_gets_them_all(world: OffersWorld) -> None:
    lines = [CodeLine(at, text, free=True) for at, text in enumerate(made_elsewhere(*range(1, 2_001)), start=1)]
    start = Barrier(2)

    def load(offer: str) -> int:
        start.wait(timeout=30)
        try:
            with world.scene.begin() as session:
                taken = lines if offer == "plain" else lines[::-1]
                return pools.load(session, theme_key=THEME, offer=offer, lines=taken, by="test", now=NOON).loaded
        except CodesUnfit as unfit:
            return -len(unfit.problems)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(load, ("plain", "hot"))) == [-2_000, 2_000]
    assert len(numbers(world)) == 2_005


def test_loading_leaves_half_of_all_numbers_free_too(world: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MOST_FILLED", 7)
    lines = [CodeLine(at, text, free=True) for at, text in enumerate(made_elsewhere(1, 2, 3), start=1)]
    with world.scene.begin() as session, pytest.raises(CodeSpaceFull):
        pools.load(session, theme_key=THEME, offer="plain", lines=lines, by="test", now=NOON)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("generate", "nowhere", "own-code", "--count", "1"), "there is no theme 'nowhere'"),
        (("generate", THEME, "own-cod", "--count", "1"), "did you mean 'own-code'"),
        (("generate", THEME, "lamps", "--count", "1"), "no coupon 'lamps' that could have codes"),
        (("generate", THEME, "thanks", "--count", "1"), "no coupon 'thanks' that could have codes"),
        (
            ("generate", THEME, "one-code", "--count", "1"),
            "has one code for all, and so not one for each person",
        ),
        (("load", THEME, "one-code", "codes.csv"), "has one code for all"),
        (("load", THEME, "thanks", "codes.csv"), "no coupon 'thanks' that could have codes"),
        (
            ("share", THEME, "own-code", "SUMMER"),
            "has one for each person, and so not one code for all",
        ),
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
    assert "one for each person" in cli.refusal("codes", "share", THEME, "plain", "PLAIN")
    cli.json("codes", "share", THEME, "hot", "HOT20")
    assert "one code for all" in cli.refusal("codes", "generate", THEME, "hot", "--count", "3")


def test_at_most_half_of_all_numbers_are_filled(world: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MOST_FILLED", 10)
    assert generate(world, 5).generated == 10
    with pytest.raises(CodeSpaceFull) as full:
        generate(world, 1)
    assert (full.value.asked, full.value.filled, full.value.most) == (1, 10, 10)
    assert len(numbers(world)) == 10


def test_numbers_are_drawn_again_where_one_is_there_already_or_came_twice(
    world: OffersWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = numbers(world)[2]
    drawn = iter([[[1], [there]], [[1, 1], []], [[1], [2]]])
    asked = noted(monkeypatch, lambda _: iter(next(drawn)))
    assert generate(world, 2).generated == 7
    assert asked == [2, 2, 2]
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
