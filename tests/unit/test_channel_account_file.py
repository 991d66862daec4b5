"""The account file: which accounts carry what the product itself has to say."""

from typing import Any

import pytest
import yaml

from channels.account_file import NoticeVariable, read_accounts
from channels.errors import AccountSettingsInvalid


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
