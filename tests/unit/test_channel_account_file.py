"""The account file: who carries notices, how fast an account goes, at what price, and beside which others."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.account_file import Limits, NoticeVariable, read_accounts
from channels.errors import AccountSettingsInvalid
from channels.price import Price, PricedPer
from channels.rate import Counted, RateWindow
from channels.registry import PROVIDERS
from channels.service.provider import documented_windows
from channels.states import Channel


def account(name: str = "mail-main", channel: str = "email", **more: object) -> dict[str, Any]:
    return {"account": name, "product_line": "giftware-eu", "channel": channel, "provider": "p", **more}


def read(*accounts: dict[str, Any]) -> list[Any]:
    return list(read_accounts(yaml.safe_dump({"accounts": accounts}), where="accounts.yaml"))


def test_an_account_serves_notices_only_where_it_says_so() -> None:
    quiet, serving = read(account("sms-main", "sms"), account(notices=True))
    assert (quiet.notices, serving.notices) == (False, True)


def test_a_template_for_notices_maps_the_providers_names_to_ours() -> None:
    template = {"template": "SMS_9", "sign_name": "审批", "variables": {"who": "name", "where": "link"}}
    (entry,) = read(account("sms-main", "sms", notices=True, notice_template=template))
    assert entry.notice_template.variables == {"who": NoticeVariable.NAME, "where": NoticeVariable.LINK}


def test_an_account_that_gives_notices_up_is_read_before_the_one_that_takes_them_on() -> None:
    entries = read(account("new", notices=True), account("old"))
    assert [entry.account for entry in entries] == ["old", "new"]


_TEMPLATE = {"template": "SMS_9", "variables": {}}


@pytest.mark.parametrize(
    ("accounts", "problem"),
    [
        # a push or a mini-program message needs a device that a person has registered with us
        ([account("push-main", "push", notices=True)], "notices go by email and sms, not by push"),
        # mail takes free text
        ([account(notices=True, notice_template=_TEMPLATE)], "notice_template is for an account of channel sms"),
        # nothing would use it
        ([account("sms-main", "sms", notice_template=_TEMPLATE)], "with `notices: true`"),
        # which of them would be chance
        ([account("a", notices=True), account("b", notices=True)], "a and b both have `notices: true` for email"),
        # a name of ours that there is not, with those that there are
        (
            [account("s", "sms", notices=True, notice_template={"template": "T", "variables": {"x": "budget"}})],
            "'name', 'theme', 'subject', 'text' or 'link'",
        ),
    ],
)
def test_an_account_file_that_leaves_notices_to_chance_is_refused(accounts: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(AccountSettingsInvalid) as refused:
        read(*accounts)
    assert problem in str(refused.value)


def test_two_product_lines_have_an_account_for_notices_each() -> None:
    assert len(read(account("a", notices=True), account("b", notices=True, product_line="other"))) == 2


# Limits, pools and prices.


def window(seconds: int, at_most: int, counts: Counted = Counted.CALLS) -> RateWindow:
    return RateWindow(per=timedelta(seconds=seconds), at_most=at_most, counts=counts)


_DOCUMENTED = (window(1, 5_000), window(86_400, 1_000_000))


@pytest.mark.parametrize(
    ("limits", "in_force"),
    [
        ({}, list(_DOCUMENTED)),
        # in place of the documented ones, the shortest first
        (
            {"windows": [{"per_seconds": 3_600, "at_most": 9}, {"per_seconds": 60, "at_most": 5}]},
            [window(60, 5), window(3_600, 9)],
        ),
        # no limit at all, by somebody who knows
        ({"windows": []}, []),
        # a rate beside them; of two of a second the tighter one
        ({"rate_per_second": 50}, [window(1, 50), window(86_400, 1_000_000)]),
        ({"rate_per_second": 9_000}, list(_DOCUMENTED)),
        ({"rate_per_second": 0.5, "windows": []}, [window(2, 1)]),
        ({"rate_per_second": 2.5, "windows": []}, [window(2, 5)]),
        # and it counts what the others count
        (
            {"rate_per_second": 14, "windows": [{"per_seconds": 86_400, "at_most": 50_000, "counts": "recipients"}]},
            [window(1, 14, Counted.RECIPIENTS), window(86_400, 50_000, Counted.RECIPIENTS)],
        ),
    ],
)
def test_the_windows_of_an_account_are_the_providers_unless_the_file_says_otherwise(
    limits: dict[str, Any], in_force: list[RateWindow]
) -> None:
    assert list(Limits.model_validate(limits).in_force(_DOCUMENTED)) == in_force


def test_an_account_has_its_place_in_a_pool_and_its_price() -> None:
    price = {"amount": "0.045", "per": "segment"}
    main, spare = read(
        account("sms-a", "sms", pool="bulk", weight=3, price=price), account("sms-b", "sms", pool="bulk", weight=0)
    )
    assert (main.pool, main.weight, spare.weight) == ("bulk", 3, 0)
    assert main.price.as_price() == Price(amount=Decimal("0.045"), per=PricedPer.SEGMENT)
    assert spare.price is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        # one of them would never matter
        ({"limits": {"windows": [{"per_seconds": 1, "at_most": 5}, {"per_seconds": 1, "at_most": 9}]}}, "equally long"),
        # a sender asks for one or the other
        (
            {
                "limits": {
                    "windows": [
                        {"per_seconds": 1, "at_most": 5},
                        {"per_seconds": 60, "at_most": 9, "counts": "recipients"},
                    ]
                }
            },
            "all count the same",
        ),
        ({"limits": {"windows": [{"per_seconds": 0, "at_most": 5}]}}, "greater than or equal to 1"),
        ({"limits": {"windows": [{"per_seconds": 1, "at_most": 0}]}}, "greater than or equal to 1"),
        ({"limits": {"windows": [{"per_seconds": 0.5, "at_most": 5}]}}, "per_seconds"),
        ({"limits": {"windows": [{"per_seconds": 1, "at_most": 5, "counts": "bytes"}]}}, "'calls' or 'recipients'"),
        # a share of nothing
        ({"weight": 2}, "give the account a `pool`"),
        ({"pool": "bulk", "weight": -1}, "greater than or equal to 0"),
        ({"price": {"amount": "-1", "per": "recipient"}}, "greater than or equal to 0"),
        ({"price": {"amount": "1", "per": "message"}}, "'recipient' or 'segment'"),
        ({"price": {"amount": "1", "per": "segment"}}, "only sms has segments"),
    ],
)
def test_terms_that_make_no_sense_are_refused(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(AccountSettingsInvalid) as refused:
        read(account(**entry))
    assert problem in str(refused.value)


def test_a_price_is_of_recipients_or_of_segments() -> None:
    a_head = Price(amount=Decimal("0.02"), per=PricedPer.RECIPIENT)
    a_segment = Price(amount=Decimal("0.045"), per=PricedPer.SEGMENT)
    assert a_head.of(recipients=1_000) == Decimal("20.00")
    assert a_segment.of(recipients=1_000, segments=2_000) == Decimal("90.000")
    with pytest.raises(ValueError, match="say how many"):
        a_segment.of(recipients=1_000)


@pytest.mark.parametrize(("channel", "provider"), PROVIDERS)
def test_every_provider_says_which_windows_it_documents(channel: Channel, provider: str) -> None:
    assert hasattr(PROVIDERS[channel, provider], "LIMITS")
    found = documented_windows(channel, provider)
    assert list(Limits().in_force(found)) == list(found)


def test_of_a_provider_that_there_is_not_no_windows_are_known() -> None:
    assert documented_windows(Channel.SMS, "nobody") == ()


def test_the_account_file_of_the_docs_can_be_read_and_its_table_says_what_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "accounts.md").read_text(encoding="utf-8")
    example = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    assert [entry.weight for entry in read_accounts(example, where="accounts.md")] == [3, 0]
    table = page.partition("| provider | documented |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| ([a-z]+) \| (.+?) \|$", table, re.MULTILINE))
    assert rows.keys() == {provider for _, provider in PROVIDERS}
    for (channel, provider), said in ((key, rows[key[1]]) for key in PROVIDERS):
        windows = documented_windows(channel, provider)
        assert (
            said.startswith("none") if not windows else said.startswith(f"{windows[0].at_most:,} {windows[0].counts}")
        )
