"""Codes in messages: which coupon's a message names, what a recipient reads, and that no failure tells one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from channels.answers import HIDDEN_CODE, Call, without_codes
from channels.message import Message, Outcome, PushContent, SmsContent
from channels.states import Channel, ErrorClass
from documents.problem import Problem
from models.queries.deliveries import Claimed
from offers.code import fit_to_share, number_of, written
from themes.correction import CorrectionInvalid, parse_correction
from themes.document import parse_theme
from themes.errors import ThemeInvalid
from themes.expiry import End, named_offers
from themes.notation import Vocabulary
from themes.preflight import CodeSupply, FindingKind, Outlook, findings
from themes.preview import preview
from themes.recipient import MADE_UP_CODE, sample
from themes.render import MissingVariable, Renderer, RenderFailed
from themes.theme import Theme
from themes.variables import codes_named, required_variables

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
AFTER_AN_ORDER = (
    '  - {id: come-again, preset: consumption_triggered, name: Come again, spent: "80.00", amount: "8.00",'
    " valid: {days: 30}}\n"
)
OFFER, OTHER = "women-20-off-100", "tea-lights-3-for-2"
SMS_TEXT = "{{ customer.name }}, {{ coupon('women-20-off-100').name }} until {{ window.to | date }}. {{ link }}"
CODE = written(123_456_789_012_345)
RECIPIENT: Mapping[str, Any] = {
    "customer": {"name": "王芳", "country": "GB", "language": "zh"},
    "link": "https://go.example.com/w",
    "codes": {OFFER: CODE},
}
EVERY = f"{{{{ code('{OFFER}') }}}}"


def saying(text: str) -> Theme:
    assert f'"{SMS_TEXT}"' in TEXT
    whole = TEXT.replace(f'"{SMS_TEXT}"', "|-\n      " + text.replace("\n", "\n      "), 1)
    whole = whole.replace("coupons:\n", f"coupons:\n{AFTER_AN_ORDER}", 1)
    return parse_theme(whole, templates=TEMPLATES, known=Vocabulary())


def sms(text: str, recipient: Mapping[str, Any] = RECIPIENT) -> str:
    content = Renderer(saying(text), Channel.SMS).render(recipient)
    assert isinstance(content, SmsContent)
    return content.text or ""


def problems(text: str) -> Sequence[Problem]:
    with pytest.raises(ThemeInvalid) as refused:
        saying(text)
    return refused.value.problems


def test_a_recipient_reads_her_own_code() -> None:
    assert sms(f"Yours: {EVERY}.") == f"Yours: {CODE}."


def test_which_coupons_a_message_carries_codes_of_is_known_before_it_is_rendered() -> None:
    assert codes_named(saying("{{ coupon('women-20-off-100').name }}"), Channel.SMS) == ()
    assert codes_named(saying(EVERY), Channel.SMS) == (OFFER,)
    assert codes_named(saying(EVERY), Channel.PUSH) == ()
    only_some = f"{{% if customer.country == 'GB' %}}{EVERY}{{% endif %}}"
    assert codes_named(saying(only_some), Channel.SMS) == (OFFER,)
    put_by = f"{{% set mine = '{OFFER}' %}}{{{{ code(mine) }}}}"
    assert codes_named(saying(put_by), Channel.SMS) == (OFFER,)
    assert sms(put_by) == CODE


def test_a_code_is_required_unless_the_message_can_do_without() -> None:
    assert f"code('{OFFER}')" in required_variables(saying(EVERY), Channel.SMS)
    assert required_variables(saying(f"{{{{ code('{OFFER}') | default('ask us') }}}}"), Channel.SMS) == frozenset()


def test_without_her_code_nothing_is_made_and_with_a_default_it_is() -> None:
    bare = {**RECIPIENT, "codes": {}}
    with pytest.raises(MissingVariable) as missing:
        sms(EVERY, bare)
    assert missing.value.variable == f"code('{OFFER}')"
    assert sms(f"{{{{ code('{OFFER}') | default('ask us') }}}}", bare) == "ask us"


def test_a_message_that_carries_a_code_ends_with_its_coupon() -> None:
    assert named_offers(saying(EVERY), Channel.SMS) == frozenset({OFFER})


def test_a_misspelt_coupon_is_told_with_its_place_and_the_nearest() -> None:
    (found,) = problems("Hello\n{{ code('women-20-of-100') }}")
    assert found.path == "channels.sms.text"
    assert "template line 2" in found.message
    assert "women-20-of-100" in found.message
    assert f"did you mean '{OFFER}'" in found.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{{{{ code('{OTHER}') }}}}", "an activity, and has no codes"),
        ("{{ code('come-again') }}", "is given after an order"),
        ("{{ code(customer.id) }}", "takes the id of one coupon as it stands"),
        ("{{ code }}", "takes the id of one coupon as it stands"),
        (f"{{% set f = code %}}{{{{ f('{OFFER}') }}}}", "takes the id of one coupon as it stands"),
        (f"{{{{ code('{OFFER}', 'x') }}}}", "takes the id of one coupon as it stands"),
        ("{% for one in ['a'] %}{{ code(one) }}{% endfor %}", "takes the id of one coupon as it stands"),
        ("{% for code in ['a'] %}{{ code }}{% endfor %}", "a value of its own"),
    ],
)
def test_what_cannot_be_reserved_is_refused_at_draft(text: str, words: str) -> None:
    assert any(words in one.message for one in problems(text))


def test_a_correction_carries_only_codes_that_the_message_had() -> None:
    def corrected(theme: Theme) -> None:
        text = f'channels: {{sms: {{text: "Code {EVERY} is void"}}}}'
        parse_correction(text, theme=theme, known=Vocabulary())

    corrected(saying(EVERY))
    with pytest.raises(CorrectionInvalid, match="which the theme's own message on this channel does not"):
        corrected(saying("Hello"))


def test_a_preview_shows_a_code_that_nobody_can_have() -> None:
    who = sample(theme_key="k", public_url="https://go.example.com")
    shown = next(one for one in preview(saying(EVERY), who) if one.channel is Channel.SMS)
    assert shown.texts["text"] == MADE_UP_CODE
    assert len(MADE_UP_CODE) == len(written(5))
    assert number_of(MADE_UP_CODE) is None
    assert fit_to_share(MADE_UP_CODE) is None


@pytest.mark.parametrize(
    "text",
    [
        f"{{{{ code('{OFFER}') | lower | date }}}}",  # its words would repeat the value
        f"{{{{ coupon(code('{OFFER}')).name }}}}",
        f"{{{{ [1][code('{OFFER}')] }}}}",
    ],
)
def test_no_failure_repeats_a_code(text: str) -> None:
    theme = saying(text)
    with pytest.raises(RenderFailed) as failed:
        Renderer(theme, Channel.SMS).render(RECIPIENT)
    assert CODE.lower() not in str(failed.value).lower()
    assert failed.value.__cause__ is None


def test_a_failure_that_only_this_code_has_says_so_and_no_more() -> None:
    text = f"{{% if code('{OFFER}') == '{CODE}' %}}{{{{ code('{OFFER}') | date }}}}{{% endif %}}"
    with pytest.raises(RenderFailed, match="cannot be made with the code of this recipient"):
        sms(text)


def test_what_else_a_recipient_lacks_is_still_told() -> None:
    with pytest.raises(MissingVariable) as missing:
        sms(f"{{{{ customer.name }}}} {EVERY}", {**RECIPIENT, "customer": {}})
    assert missing.value.variable == "customer.name"


def claimed(code: str | None) -> Claimed:
    codes = {} if code is None else {OFFER: code}
    return Claimed(7, uuid4(), "a", 0, None, None, None, "c1", None, "GB", "en", "Europe/London", codes)


def answered(*details: str, code: str | None = CODE) -> Sequence[str]:
    rows = [claimed(code) for _ in details]
    messages = [Message(delivery_id=row.id, address="a", content=PushContent(title="t", body="b")) for row in rows]
    outcomes = [
        Outcome(delivery_id=row.id, error=ErrorClass.CONTENT, detail=detail)
        for row, detail in zip(rows, details, strict=True)
    ]
    return [outcome.detail for outcome in without_codes(Call(rows, messages), outcomes)]


def test_a_providers_words_lose_the_codes_of_all_whom_the_call_was_for() -> None:
    assert answered(f"bad text: {CODE}!", "", "no") == [f"bad text: {HIDDEN_CODE}!", "", "no"]
    assert answered(f"bad text: {CODE}", code=None) == [f"bad text: {CODE}"]


def test_what_was_claimed_does_not_show_its_codes() -> None:
    assert CODE not in repr(claimed(CODE))


def test_a_preflight_tells_both_numbers_of_a_pool_that_is_short() -> None:
    supplies = [CodeSupply(offer="a", codes=999, recipients=1_000), CodeSupply(offer="b", codes=5, recipients=5)]
    now = datetime.now(UTC)
    outlook = Outlook(
        theme="k", counted_at=now, starts_at=now, expires=End(now, "the theme"), currency="GBP", audience=0,
        by_segment={}, channels=(), findings=(),
    )  # fmt: skip
    (found,) = [
        one for one in findings(outlook, lines={}, supplies=(), codes=supplies) if one.kind is not FindingKind.NOBODY
    ]
    assert (found.kind, found.count) == (FindingKind.TOO_FEW_CODES, 1)
    assert found.text == "a: 999 codes for 1,000 people whose message carries one"
