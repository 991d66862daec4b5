"""What a channel sends, as the pages and the lines that approvers read."""

import re
from pathlib import Path

import pytest

from channels.states import Channel
from themes.document import Vocabulary, parse_theme
from themes.preview import Preview, preview, preview_key, preview_link
from themes.recipient import sample
from themes.theme import Theme

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}


def shown(channel: Channel, *edits: tuple[str, str]) -> Preview:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    theme: Theme = parse_theme(text, templates=TEMPLATES, known=Vocabulary())
    made = preview(theme, sample(theme_key=theme.key, public_url="https://go.example.com"))
    return {one.channel: one for one in made}[channel]


def test_page_of_a_mail_shows_its_subject_and_text_and_no_html() -> None:
    page = shown(Channel.EMAIL).page()
    assert page.startswith(
        "As a made-up customer would get it. · 以虚构客户为例。\n\n**subject · 主题行**\n\n> A customer, Women's"
    )
    assert "**text · 文本**\n\n> 三八妇女节" in page
    assert "<" not in page.replace("&lt;", "")
    assert not re.search(r"\*\*html", page, re.IGNORECASE)


def test_whatever_a_message_says_stays_text() -> None:
    page = shown(Channel.PUSH, ("title: Women's Day", 'title: "**now** <script> [x](http://evil.example)"')).page()
    assert "> \\*\\*now\\*\\* &lt;script&gt; \\[x\\]\\(http\\:\u200b//evil.example\\)" in page


@pytest.mark.parametrize(
    ("channel", "excerpt"),
    [
        (Channel.SMS, "A customer, 20 off from 100 until 2027-03-09. https://go.example.com/t/womens-day-2027"),
        (Channel.PUSH, "Women's Day · 20 off from 100"),
        # of a template registered with the provider the values that are put in
        (Channel.MINI_PROGRAM, "20 off from 100 · 2027年3月9日 00:00"),
    ],
)
def test_excerpt_is_what_the_message_says_to_people(channel: Channel, excerpt: str) -> None:
    found = shown(channel).excerpt()
    assert sorted(found.split(" · ")) == sorted(excerpt.split(" · "))


def test_message_that_is_not_possible_says_why_instead() -> None:
    failed = Preview(channel=Channel.SMS, texts={}, failure="no *name*")
    assert failed.page().endswith("not possible\\: no \\*name\\* · 无法生成：no \\*name\\*\n")


def test_key_of_a_preview_has_nothing_but_what_prefect_takes_and_its_link_leads_there() -> None:
    for channel in Channel:
        key = preview_key(12, 3, channel.value)
        assert re.fullmatch(r"[a-z0-9-]+", key)
        assert preview_link(12, 3, channel.value) == f"/artifacts/key/{key}"
        assert (
            preview_link(12, 3, channel.value, ui="https://p.example/ui/")
            == f"https://p.example/ui/artifacts/key/{key}"
        )
    assert preview_key(1, 2, "mini_program") == "preview-theme-1-r2-mini-program"
