"""The signature of Twilio's callbacks: a vector of its documentation, and what must not pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from channels.sms.twilio_signature import is_genuine, signature

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = {
    "CallSid": ["CA1234567890ABCDE"],
    "Caller": ["+14158675309"],
    "Digits": ["1234"],
    "From": ["+14158675309"],
    "To": ["+18005551212"],
}
DOCUMENTED = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
BY_SHA256 = "key=1,algorithm=HMAC_SHA256"


def test_documented_form_has_the_documented_signature() -> None:
    assert signature(auth_token=TOKEN, url=URL, fields=FIELDS) == DOCUMENTED


def test_signature_counts_whether_the_address_names_its_port_or_not() -> None:
    for url in (URL, URL.replace(".com/", ".com:443/")):
        signed = signature(auth_token=TOKEN, url=url, fields=FIELDS)
        for called in (URL, URL.replace(".com/", ".com:443/")):
            assert is_genuine(signed, auth_token=TOKEN, url=called, fields=FIELDS)


def test_signature_by_sha256_counts_only_where_the_settings_say_so() -> None:
    signed = signature(auth_token=TOKEN, url=URL, fields=FIELDS, algorithm="HMAC_SHA256")
    assert is_genuine(signed, auth_token=TOKEN, url=URL, fields=FIELDS, settings=BY_SHA256)
    assert not is_genuine(signed, auth_token=TOKEN, url=URL, fields=FIELDS)


@dataclass(frozen=True)
class Call:
    given: str = DOCUMENTED
    auth_token: str = TOKEN
    url: str = URL
    fields: Mapping[str, Sequence[str]] = field(default_factory=lambda: FIELDS)
    settings: str = ""


@pytest.mark.parametrize(
    "call",
    [
        Call(given="RSOYDt4T1cUTdK1PDd93/VVr8B9="),
        Call(given=""),
        Call(given="ß"),
        Call(auth_token="12346"),
        Call(url=URL.replace("foo=1", "foo=2")),
        Call(url=URL.replace("https:", "http:")),
        Call(fields={**FIELDS, "Digits": ["1235"]}),
        Call(fields={**FIELDS, "More": [""]}),
        Call(settings=BY_SHA256),
        Call(settings="algorithm=NONE"),
    ],
)
def test_anything_that_differs_is_not_genuine(call: Call) -> None:
    assert not is_genuine(
        call.given, auth_token=call.auth_token, url=call.url, fields=call.fields, settings=call.settings
    )


def test_field_that_comes_twice_counts_once_for_each_of_its_values() -> None:
    twice = {"MediaUrl": ["b", "a", "b"]}
    assert signature(auth_token=TOKEN, url=URL, fields=twice) == signature(
        auth_token=TOKEN, url=URL, fields={"MediaUrl": ["a", "b"]}
    )
