"""The file of a correction: what it may say, and every problem with its place."""

import itertools
from pathlib import Path

import pytest

from channels.states import Channel
from themes.correction import Correction, CorrectionInvalid, load_correction, parse_correction
from themes.document import parse_theme
from themes.notation import Vocabulary
from themes.recipient import VARIABLES
from themes.revision import freeze, load
from themes.revocation import LOOKS, Look, RevocationState, as_mermaid, look_at
from themes.theme import Theme

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
PAGE = Path(__file__).parents[2] / "docs" / "delivery-states.md"
ACCOUNTS = {
    Channel.SMS: frozenset({"sms-main", "sms-second"}),
    Channel.EMAIL: frozenset({"mail-main"}),
    Channel.PUSH: frozenset({"push-main"}),
    Channel.MINI_PROGRAM: frozenset({"wechat-main"}),
}
KNOWN = Vocabulary(accounts=ACCOUNTS, recipient_variables=VARIABLES)
WHOLE = """
channels:
  sms: {account: sms-second, template: SMS_1, params: {name: "{{ customer.name }}"}}
  email: {subject: "About {{ theme.title }}", text: sorry.txt}
  push: {title: Sorry, body: "{{ coupon('women-20-off-100').name }} is void"}
  mini_program: {template: TPL, data: {thing1: Sorry}}
templates:
  sorry.txt: "Dear {{ customer.name }}"
  unused.txt: Nobody names this
"""


@pytest.fixture(scope="module")
def theme() -> Theme:
    templates = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
    text = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
    return load(freeze(parse_theme(text, templates=templates, known=Vocabulary())).content)


def parse(text: str, theme: Theme) -> Correction:
    return parse_correction(text, theme=theme, known=KNOWN)


def test_correction_speaks_on_the_channels_it_names_over_the_themes_accounts_unless_told(theme: Theme) -> None:
    said = parse(WHOLE, theme).channels.used()
    assert {channel: message.account for channel, message in said.items()} == {
        Channel.SMS: "sms-second",
        Channel.EMAIL: "mail-main",
        Channel.PUSH: "push-main",
        Channel.MINI_PROGRAM: "wechat-main",
    }
    assert set(parse("channels: {sms: {text: Sorry}}", theme).channels.used()) == {Channel.SMS}


def test_frozen_correction_is_read_back_as_it_was_and_has_one_hash(theme: Theme) -> None:
    correction = parse(WHOLE, theme)
    assert load_correction(correction.content()) == correction
    assert correction.templates == {"sorry.txt": "Dear {{ customer.name }}"}
    again = parse(WHOLE.replace("Nobody names this", "x").replace("params: {name:", "params: { name:"), theme)
    assert (again.hash, len(again.hash)) == (correction.hash, 64)
    assert parse(WHOLE.replace("Dear", "Hi"), theme).hash != correction.hash


def test_theme_speaks_its_correction_and_is_otherwise_the_same(theme: Theme) -> None:
    correction = parse(WHOLE, theme)
    speaking = correction.said_by(theme)
    assert (speaking.channels, speaking.templates) == (correction.channels, correction.templates)
    assert speaking.offers() == theme.offers()
    assert theme.channels != correction.channels


PROBLEMS = [
    # the file as a whole
    ("", "is not a correction: the key 'channels:' is missing"),
    ("just words", "is not a correction"),
    ("channels: [", "is not YAML at line 1"),
    ("templates: {}", "channels: is missing"),
    ("channels: {}", "has no channel"),
    ("channels: {push: {title: a, body: b}}\nstart: now", "start (line 2): is not a known key"),
    # a channel
    ("channels: {fax: {text: a}}", "channels.fax (line 1): is not a known key"),
    ("channels: {push: words}", "channels.push (line 1): has to be a mapping of keys"),
    ("channels: {push: {title: a}}", "channels.push.body (line 1): is missing"),
    ("channels: {push: {account: sms-main, title: a, body: b}}", "is an account of sms, not of push"),
    # its messages
    ("channels: {sms: {text: a, template: b}}", "needs either a text or a template"),
    ("channels: {email: {subject: a, text: sorry.txt}}", "channels.email.text (line 1): is not among the templates"),
    ("channels: {push: {title: a, body: '{{ nobody }}'}}", "uses the unknown variable 'nobody'"),
    ("channels: {push: {title: a, body: \"{{ coupon('x').name }}\"}}", "names the unknown coupon 'x'"),
    ("channels: {push: {title: a, body: '{{ customer.shoe }}'}}", "asks for the unknown 'shoe'"),
    ("channels: {mini_program: {template: T, data: {words1: a}}}", "is not a field of a subscribe message"),
]


@pytest.mark.parametrize(("text", "problem"), PROBLEMS, ids=[problem for _, problem in PROBLEMS])
def test_correction_that_cannot_be_sent_is_refused_with_the_place(theme: Theme, text: str, problem: str) -> None:
    with pytest.raises(CorrectionInvalid) as refused:
        parse(text, theme)
    assert problem in str(refused.value)
    assert "theme file" not in str(refused.value)


def test_channel_that_the_theme_does_not_use_has_nobody_to_correct(theme: Theme) -> None:
    silent = theme.model_copy(update={"channels": theme.channels.model_copy(update={"sms": None})})
    with pytest.raises(CorrectionInvalid, match=r"channels\.sms \(line 1\): is not a channel of this theme"):
        parse("channels: {sms: {text: Sorry}}", silent)


def test_content_that_is_no_correction_is_not_read() -> None:
    with pytest.raises(CorrectionInvalid, match="was not kept as this version reads it"):
        load_correction({"channels": {"fax": {}}})


def test_picture_in_the_docs_is_the_table_of_looks() -> None:
    picture = PAGE.read_text(encoding="utf-8").split("```mermaid\n")[2].split("\n```")[0]
    assert picture == as_mermaid()


def test_example_in_the_docs_is_a_correction(theme: Theme) -> None:
    example = PAGE.read_text(encoding="utf-8").split("```yaml\n")[1].split("\n```")[0]
    assert set(parse(example, theme).channels.used()) == {Channel.PUSH, Channel.SMS, Channel.EMAIL}


def test_every_look_at_a_pending_channel_leads_somewhere_and_a_done_one_is_not_looked_at() -> None:
    assert set(LOOKS) == set(itertools.product([RevocationState.PENDING], Look))


@pytest.mark.parametrize(
    ("claimable", "under_way", "missing"),
    [
        (0, 0, ""),
        (3, 0, "3 waiting to be cancelled"),
        (0, 2, "2 held by senders: their outcome, or the end of their lease, is awaited"),
        (1, 1, "1 waiting to be cancelled; 1 held by senders: their outcome, or the end of their lease, is awaited"),
    ],
)
def test_look_says_what_may_still_leave(claimable: int, under_way: int, missing: str) -> None:
    found, said = look_at(claimable=claimable, under_way=under_way)
    assert (found is Look.NOTHING_LEFT, said) == (not missing, missing)
