from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.states import Channel
from themes.document import Vocabulary, parse_theme
from themes.expiry import End, first_end, first_of_all, named_offers
from themes.theme import Theme

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
SMS = "{{ customer.name }}, {{ coupon('women-20-off-100').name }} until {{ window.to | date }}. {{ link }}"
USED = 'valid: {from: "2027-03-06T00:00", to: "2027-03-31T23:59"}'
CLAIMED = 'claim: {from: "2027-03-06T00:00", to: "2027-03-07T12:00"}\n    valid: {days: 14}'

CLAIMING = End(datetime(2027, 3, 8, 23, 59, tzinfo=UTC), "claiming women-20-off-100")
PARCEL = End(datetime(2027, 3, 7, 12, tzinfo=UTC), "claiming first-parcel-free")
THEME = End(datetime(2027, 3, 9, tzinfo=UTC), "the theme")


def theme_of(sms: str = SMS, *edits: tuple[str, str]) -> Theme:
    """The example, in which the free parcel is claimed until the 7th, at noon."""
    text = TEXT
    for old, new in ((SMS, sms), (USED, CLAIMED), *edits):
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    return parse_theme(text, templates=TEMPLATES, known=Vocabulary())


@pytest.mark.parametrize(
    ("sms", "named", "end"),
    [
        # only what the message names
        ("{{ coupon('women-20-off-100').name }}", {"women-20-off-100"}, CLAIMING),
        ("{{ coupon('first-parcel-free').name }}", {"first-parcel-free"}, PARCEL),
        ("{{ activity('tea-lights-3-for-2').name }}", {"tea-lights-3-for-2"}, THEME),
        (
            "{{ coupon('women-20-off-100').name }}, {{ coupon('first-parcel-free').name }}",
            {"women-20-off-100", "first-parcel-free"},
            PARCEL,
        ),
        # wherever it stands
        ("{% if link is defined %}{{ coupon('women-20-off-100').name }}{% endif %}", {"women-20-off-100"}, CLAIMING),
        ("{% set one = coupon('women-20-off-100') %}{{ one.name }}", {"women-20-off-100"}, CLAIMING),
        # it may speak of any in plain words
        ("Free delivery! {{ link }}", None, PARCEL),
    ],
)
def test_only_offers_that_the_message_names_bound_it_where_that_can_be_told(
    sms: str, named: set[str] | None, end: End
) -> None:
    theme = theme_of(sms)

    assert named_offers(theme, Channel.SMS) == named
    assert first_end(theme, Channel.SMS) == end


@pytest.mark.parametrize(
    "sms",
    [
        "{% for id in ['women-20-off-100'] %}{{ coupon(id).name }}{% endfor %}",
        "{{ coupon('women-20-off-100').name }} {{ coupon('first-' ~ 'parcel-free').name }}",
        "{{ coupon('women-20-off-100').name }} {{ coupon(offer_id='first-parcel-free').name }}",
        "{% set other = coupon %}{{ coupon('women-20-off-100').name }} {{ other('first-parcel-free').name }}",
    ],
)
def test_where_a_name_is_only_known_once_rendered_every_offer_bounds_it(sms: str) -> None:
    theme = theme_of().model_copy(deep=True)
    message = theme.channels.sms
    assert message is not None
    # Most of these are refused in a theme file; what was frozen before they were is sent all the same.
    channels = theme.channels.model_copy(update={"sms": message.model_copy(update={"text": sms})})
    theme = theme.model_copy(update={"channels": channels})

    assert named_offers(theme, Channel.SMS) is None
    assert first_end(theme, Channel.SMS) == PARCEL


def test_each_channel_has_its_own_end_and_the_theme_the_first_of_them() -> None:
    theme = theme_of()

    ends = {channel: first_end(theme, channel) for channel in theme.channels.used()}
    assert ends[Channel.SMS] == ends[Channel.PUSH] == ends[Channel.MINI_PROGRAM] == CLAIMING
    assert first_of_all(theme) == min(ends.values())
    assert first_of_all(theme_of("{{ coupon('first-parcel-free').name }}")) == PARCEL
