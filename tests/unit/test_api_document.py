"""What docs/api.md and OpenAPI tell of the API is what it does."""

import re
from pathlib import Path

from console.http.api.app import ENDPOINTS, PREFIX
from console.http.api.openapi import document
from console.http.api.problems import KINDS, TYPES, Problem, problem
from console.http.api.refused import OTHER, REFUSALS, refusal
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.errors import OfferError
from offers.refusals import NotUsable, OfferUnusable, PriceChanged, UseRefusal

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def rows(start: str) -> list[list[str]]:
    """Cells of the rows whose first cell begins so."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith(start)
    ]


def test_page_has_every_problem_with_its_status() -> None:
    told = {cells[0].strip("`").removeprefix(TYPES): cells[1] for cells in rows(f"| `{TYPES}")}
    expected = {name: str(status) for status, (name, _) in KINDS.items()}
    expected |= {one.name: str(one.status) for one in (*REFUSALS.values(), OTHER)}
    assert told == {**expected, "claim-refused": "409, 404"}


def test_page_has_the_facts_of_every_problem() -> None:
    told = {
        cells[0].strip("`").removeprefix(TYPES): set(re.findall(r"`(\w+)`", cells[2])) for cells in rows(f"| `{TYPES}")
    }
    for one in REFUSALS.values():
        assert set(one.facts) <= told[one.name], one.name


def test_page_has_every_endpoint_with_its_key_and_its_status() -> None:
    told = {cells[0].split("`")[1]: ("*" in cells[0], cells[2]) for cells in rows("| `") if PREFIX in cells[0]}
    assert told == {
        f"{one.method} {PREFIX}{one.path}": (
            any(parameter.name == "Idempotency-Key" for parameter in one.parameters),
            str(int(one.status)),
        )
        for one in ENDPOINTS
    }


def test_page_has_every_reason() -> None:
    words = set(re.findall(r"`([a-z_]+)`", PAGE[PAGE.index("`why` of a refused claim") :]))
    assert words == {"why"} | {one.value for one in ClaimRefusal} | {one.value for one in UseRefusal}


def test_every_operation_tells_of_its_key_and_of_all_its_answers() -> None:
    told = document(ENDPOINTS, prefix=PREFIX)
    assert told["security"] == [{"key": []}]
    for methods in told["paths"].values():
        for operation in methods.values():
            statuses = set(operation["responses"])
            assert {"401", "422", "429", "500", "503"} <= statuses
            assert ({"400", "408", "413", "415"} <= statuses) == ("requestBody" in operation)
            assert operation["summary"].endswith(".")


def test_refusal_tells_its_facts_beside_it() -> None:
    assert refusal(PriceChanged(shown=1, found=2)) == {
        "type": "/problems/price-changed",
        "title": "Price changed",
        "status": 409,
        "detail": "the order costs 2, not the 1 that were shown: ask for a new quote",
        "shown": 1,
        "found": 2,
    }
    unusable = refusal(OfferUnusable(NotUsable(why=UseRefusal.CODE_TAKEN, code=1)))
    assert (unusable["why"], unusable["code"], unusable.get("held")) == ("code_taken", 1, None)


def test_unknown_is_told_as_not_found() -> None:
    told = {why: refusal(ClaimRefused(why=why))["status"] for why in ClaimRefusal}
    assert {why.value for why, status in told.items() if status == 404} == {
        "offer_unknown",
        "customer_unknown",
        "code_unknown",
    }
    assert set(told.values()) == {404, 409}


def test_refusal_that_nobody_thought_of_is_a_conflict() -> None:
    told = Problem.model_validate(refusal(OfferError("no")))
    assert (told.type, told.status, told.detail) == ("/problems/refused", 409, "no")


def test_problem_leaves_out_what_there_is_not() -> None:
    assert problem(409, "a-b", "why", shown=None) == {
        "type": "/problems/a-b",
        "title": "A b",
        "status": 409,
        "detail": "why",
    }
