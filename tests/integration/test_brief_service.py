"""The approver's brief, out of what the database knows."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from approval.service import hands
from approval.service.brief import brief_for
from approval.states import TaskState
from models.approval import Level, Task
from models.person import Person
from models.queries import approvals
from tests.integration.scene import KEY, Scene, copied, theme_text
from themes.facts import Worst
from themes.theme import Theme

POLICY = """
policy: brief
fallback: dan
theme:
  - {level: operations, approvers: [bob], quorum: any}
  - {level: finance, approvers: [carl, cyn], quorum: all, due: 24h}
coupon:
  - {level: coupons, approvers: [bob], quorum: any}
activity: none
"""
REDUCTION, FREIGHT, LIGHTS = "women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"
BUDGET = ('budget: "20000.00"', 'budget: "15000.00"')
AMOUNT = ('amount: "20.00"', 'amount: "15.00"')
TOTAL = ("total: 300", "total: 200")


@pytest.fixture(scope="module")
def about_all(scene_of_module: Scene) -> Scene:
    """Everything in the theme has a chain of its own."""
    scene = scene_of_module
    scene.apply(POLICY)
    scene.draft(theme_text(policy="brief"))
    scene.submit()
    return scene


@pytest.fixture
def asked(postgres: str, about_all: Scene) -> Iterator[Scene]:
    with copied(postgres, about_all) as scene:
        yield scene


def again(scene: Scene, *edits: tuple[str, str]) -> None:
    """Ann does as she was asked."""
    scene.draft(theme_text(*edits, policy="brief"))
    scene.submit()


def brief(scene: Scene, login: str, about: str | None = None) -> str:
    task_id = scene.question_to(login, KEY, about)
    with scene.begin() as session:
        return brief_for(session, approvals.task_by_id(session, task_id))


def section(text_: str, title: str) -> list[str]:
    """The lines of one part of a brief."""
    rest = text_.partition(f"**{title}**\n\n")[2]
    return [line.removeprefix("- ") for line in rest.partition("\n\n")[0].splitlines()]


def test_brief_of_a_theme_tells_its_money_reach_offers_exclusions_and_previews(asked: Scene) -> None:
    told = brief(asked, "bob")
    for line in (
        "Do you approve theme **三八妇女节，逛吃逛喝我买单**, Bob?",
        "- **Budget** 20000.00 GBP · **Worst-case cost** not known",
        "- **Deepest discount** up to 33.34 % · **Worst margin** not known",
        "- **Level** 1 of 2, operations · **Who must agree** one of 1 decides",
        "You see it for the first time.",
        "- Tea\\-light holders, three for two and 20 off from 100 never together",
    ):
        assert line in told.splitlines()
    assert section(told, "Offers")[1] == (
        "**20 off from 100** (women\\-20\\-off\\-100) · coupon, full reduction · 20.00 GBP off from 100.00 GBP · "
        "Limit 500 · costs at most 10000.00 GBP"
    )
    link = f"/artifacts/key/preview-theme-{asked.theme().id}-r1"
    previews = section(told, "Preview")
    assert [line.partition(") ")[0] + ")" for line in previews] == [
        f"[sms]({link}-sms)",
        f"[email]({link}-email)",
        f"[push]({link}-push)",
        f"[mini program]({link}-mini-program)",
    ]
    assert previews[2].endswith("Women's Day · 20 off from 100")
    assert "May go back" not in told


def test_brief_of_an_offer_tells_its_own_worst_case_terms_and_exclusions(asked: Scene) -> None:
    told = brief(asked, "bob", REDUCTION)
    assert "(of theme 三八妇女节，逛吃逛喝我买单)" in told
    assert "- **Budget of the theme** 20000.00 GBP · **Worst-case cost** 10000.00 GBP" in told
    assert "- **Deepest discount** up to 20 %" in told
    assert "coupon, full reduction" in section(told, "Terms")[0]
    for term in (
        "**parameters** from an amount of 100.00 GBP, amount 20.00 GBP",
        "**per customer** 1",
        "**scope** everything",
        "**claim** 2027\\-03\\-06 00\\:00 Europe/London → 2027\\-03\\-08 23\\:59 Europe/London",
    ):
        assert term in section(told, "Terms")
    assert "Tea\\-light" in told
    assert "Exclusions" not in brief(asked, "bob", FREIGHT)


def test_diff_is_of_what_this_person_saw_last_whatever_others_saw_since(asked: Scene) -> None:
    asked.answer("bob")
    asked.answer("carl", "return to drafter", "smaller, please")
    again(asked, BUDGET)
    assert section(brief(asked, "bob"), "Changed since your last look") == ["**budget** 20000.00 GBP → 15000.00 GBP"]
    asked.answer("bob", "return to drafter", "and the coupon")
    again(asked, BUDGET, AMOUNT)
    told = section(brief(asked, "bob"), "Changed since your last look")
    assert told == ["**coupon women\\-20\\-off\\-100 · amount** 20.00 GBP → 15.00 GBP"]
    asked.answer("bob")
    assert section(brief(asked, "carl"), "Changed since your last look") == [
        "**budget** 20000.00 GBP → 15000.00 GBP",
        "**coupon women\\-20\\-off\\-100 · amount** 20.00 GBP → 15.00 GBP",
    ]


def test_of_an_offer_its_own_changes_come_before_those_elsewhere(asked: Scene) -> None:
    asked.answer("bob", "return to drafter", "smaller, please")
    again(asked, BUDGET, AMOUNT, TOTAL)
    told = brief(asked, "bob", REDUCTION)
    assert section(told, "Changed in this offer since your last look") == [
        "**coupon women\\-20\\-off\\-100 · amount** 20.00 GBP → 15.00 GBP"
    ]
    assert section(told, "Changed elsewhere in the theme") == [
        "**budget** 20000.00 GBP → 15000.00 GBP",
        "**coupon first\\-parcel\\-free · total** 300 → 200",
    ]


def test_exclusions_say_what_is_new_and_what_was_dropped_and_the_diff_does_not_say_it_again(asked: Scene) -> None:
    asked.answer("bob", "return to drafter", "no")
    again(asked, (f"- [{REDUCTION}, {LIGHTS}]", f"- [{FREIGHT}, {LIGHTS}]"))
    told = brief(asked, "bob")
    assert section(told, "Changed since your last look") == ["none"]
    lights, news = "Tea\\-light holders, three for two", "since your last look"
    assert section(told, "Exclusions") == [
        f"Free delivery on a first order and {lights} never together — **new {news}**",
        f"{lights} and 20 off from 100 never together — **dropped {news}**",
    ]
    assert len(section(brief(asked, "bob", REDUCTION), "Exclusions")) == 1


def test_earlier_decisions_are_told_with_their_comments_and_those_that_are_void_as_such(asked: Scene) -> None:
    asked.answer("bob", comment="fine")
    asked.run(
        "UPDATE decisions SET voided_at = now(), void_because = 'taken back', on_behalf_of_id = "
        "(SELECT id FROM people WHERE login = 'dan')"
    )
    asked.answer("bob", about=REDUCTION)
    asked.answer("bob", about=FREIGHT, comment="cheap enough")
    earlier = section(brief(asked, "carl"), "Earlier decisions")
    assert len(earlier) == 2
    assert earlier[0].startswith("Bob · round 1 · first\\-parcel\\-free · coupons · approved · 2027-02-20 09:0")
    assert earlier[0].endswith(" GMT — cheap enough")
    assert earlier[1].startswith("Bob for Dan · round 1 · operations · approved · ")
    assert earlier[1].endswith("— fine **(void: taken back)**")
    of_offer = section(brief(asked, "bob", REDUCTION), "Earlier decisions")
    assert [line.partition(" · 2027")[0] for line in of_offer] == [
        "Bob · round 1 · coupons · approved",
        "Bob for Dan · round 1 · theme · operations · approved",
    ]


def test_levels_that_were_signed_may_be_returned_to(asked: Scene) -> None:
    asked.answer("bob")
    assert "- **May go back to** operations, the drafter" in brief(asked, "carl")
    asked.run("UPDATE decisions SET voided_at = now()")
    assert "May go back" not in brief(asked, "carl")


def question_of(scene: Scene, login: str, **values: object) -> int:
    """Her open question, made what an act on it would make it."""
    task_id = scene.question_to(login)
    with scene.begin() as session:
        task = session.get_one(Task, task_id)
        for name, value in values.items():
            setattr(task, name, value)
    return task_id


def test_brief_says_on_whose_behalf_and_how_somebody_came_to_be_asked(asked: Scene) -> None:
    asked.answer("bob")
    carl = asked.person("carl").id
    question_of(asked, "cyn", owner_id=asked.person("dan").id)
    assert "**You are asked on behalf of Dan.**" in brief(asked, "cyn")
    carls = asked.question_to("carl")
    question_of(asked, "cyn", owner_id=carl, escalated_from_id=carls)
    told = brief(asked, "cyn")
    assert "**Carl has not answered yet, so you are asked as well; whoever answers first counts.**" in told
    assert "**Who must agree** all 1" in told  # one seat, two people
    question_of(asked, "cyn", owner_id=asked.person("cyn").id, escalated_from_id=None, required=True, added_by_id=carl)
    told = brief(asked, "cyn")
    assert "**Carl added you as a signer: without your yes it does not pass.**" in told
    assert "**Who must agree** all 1; and Cyn, added" in told


def test_adviser_is_told_who_asks_what_and_that_it_is_no_vote_and_the_owner_reads_the_advice(asked: Scene) -> None:
    signature = asked.sign("bob", "Is the *second* coupon legal?")
    with asked.begin() as session:
        hands.delegate(
            session, key=KEY, object_key="", signature=signature, person="dan", rules=asked.rules, now=asked.now
        )
    told = brief(asked, "dan")
    assert told.startswith("Dan, Bob asks for your advice on theme **三八妇女节，逛吃逛喝我买单**. It is no vote")
    assert "> Is the \\*second\\* coupon legal?\n" in told
    asked.answer("dan", "reject", "It is not.")
    assert section(brief(asked, "bob"), "Earlier decisions")[0].startswith(
        "Dan for Bob · round 1 · operations · advised: rejected"
    )


def test_question_that_was_given_away_is_answered_on_behalf_of_its_first_owner(asked: Scene) -> None:
    signature = asked.sign("bob", "on holiday")
    with asked.begin() as session:
        hands.transfer(
            session, key=KEY, object_key="", signature=signature, person="dan", rules=asked.rules, now=asked.now
        )
    told = brief(asked, "dan")
    assert "**You are asked on behalf of Bob.**" in told
    assert "**Who must agree** one of 1 decides" in told
    asked.answer("dan")
    assert section(brief(asked, "carl"), "Earlier decisions")[0].startswith("Dan for Bob · round 1 · operations")


def test_seat_counts_once_however_often_it_changed_hands(asked: Scene) -> None:
    asked.answer("bob")
    question_of(asked, "cyn", state=TaskState.REMOVED)
    assert "**Who must agree** all 1" in brief(asked, "carl")
    with asked.begin() as session:
        cyns = session.get_one(Task, asked.question_to("cyn"))
        dan = session.scalars(select(Person).where(Person.login == "dan")).one()
        session.add(
            Task(
                level_id=cyns.level_id,
                person_id=dan.id,
                owner_id=cyns.owner_id,
                state=TaskState.OPEN,
                opened_at=asked.now,
            )
        )
    assert "**Who must agree** all 2" in brief(asked, "carl")
    assert "**You are asked on behalf of Cyn.**" in brief(asked, "dan")


def test_fallback_is_told_that_she_stands_in(asked: Scene) -> None:
    with asked.begin() as session:
        for level in session.scalars(select(Level)):
            level.fallback = True
    assert "**Nobody of this level may decide: you stand in, and decide alone.**" in brief(asked, "bob")


def test_brief_is_in_the_language_of_the_person(asked: Scene) -> None:
    asked.run("UPDATE people SET locale = 'zh' WHERE login = 'bob'")
    told = brief(asked, "bob")
    assert "Bob，您是否同意主题 **三八妇女节" in told.replace("主题**", "主题 **")
    assert "券, 满减" in told
    assert "满 100.00 GBP 减 20.00 GBP" in told


def test_whoever_prices_the_worst_case_is_asked_for_the_object_itself(asked: Scene) -> None:
    def solver(_theme: Theme, offer_id: str | None) -> Worst:
        return Worst(cost=100 if offer_id is None else 7)

    with asked.begin() as session:
        task = approvals.task_by_id(session, asked.question_to("bob"))
        told = brief_for(session, task, worst_of=solver)
    assert "**Worst-case cost** 1.00 GBP" in told
    assert told.count("costs at most 0.07 GBP") == 3


def test_brief_tells_the_lowest_price_as_it_was_when_the_round_opened(scene: Scene) -> None:
    scene.run("UPDATE products SET cost_minor = 290")
    scene.draft()
    scene.submit()
    scene.run("UPDATE products SET unit_price_minor = 1000")
    told = brief(scene, "bob")
    assert "**Lowest price** 1.96 GBP instead of 2.95 GBP: HOLDER \\(1\\), with tea\\-lights\\-3\\-for\\-2" in told
    assert "**Worst margin** -47.46 %" in told


def test_floor_and_the_guard_of_the_margin_keep_the_lowest_price_up(scene: Scene) -> None:
    scene.run("UPDATE products SET cost_minor = 200", "UPDATE product_lines SET least_margin_bp = 2000")
    scene.draft()
    scene.submit()
    told = brief(scene, "bob")
    assert "**Lowest price** 2.50 GBP" in told
    assert "**Worst margin** 20 %" in told


def test_brief_takes_few_queries_however_many_decisions_there_are(asked: Scene) -> None:
    asked.answer("bob")
    for about in (REDUCTION, FREIGHT):
        asked.answer("bob", about=about)
    asked.tick(timedelta(minutes=1))
    with asked.begin() as session:
        task = approvals.task_by_id(session, asked.question_to("carl"))
        statements: list[str] = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *given: statements.append(given[2]))
        brief_for(session, task)
    assert len(statements) <= 7
