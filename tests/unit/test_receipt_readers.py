"""What providers' callbacks say in our words; what is strange is counted, never an error."""

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as some

from channels.callback_readers import READERS
from channels.callbacks import Callback, CallbackRefused, CallbackUnreadable, Heard
from channels.message import ReceiptKind
from channels.mini_program import wechat_events
from channels.push import jpush_receipts
from channels.sms import aliyun_receipts, twilio_receipts
from channels.sms import twilio as twilio_terms
from channels.sms.twilio_signature import signature as twilio_signature
from channels.states import ErrorClass

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AES_KEY = b64encode(bytes(range(32))).decode().rstrip("=")
WECHAT = {"push_token": "tok", "push_aes_key": AES_KEY, "app_id": "wx1"}
JPUSH = {"app_key": "app", "master_secret": "secret"}
BASIC = {"authorization": "Basic " + b64encode(b"app:secret").decode()}


def aliyun(*items: object) -> Heard:
    return aliyun_receipts.read(Callback(method="POST", body=json.dumps(items).encode()), settings={}, now=NOW)


REPORT: dict[str, Any] = {
    "phone_number": "13900000001",
    "send_time": "2017-01-01 00:00:00",
    "report_time": "2017-01-01 08:00:00",
    "success": True,
    "err_code": "DELIVERED",
    "err_msg": "user received",
    "sms_size": "1",
    "biz_id": "12345",
    "out_id": "67890",
}


def test_report_of_aliyun_has_times_of_china_and_numbers_without_country() -> None:
    heard = aliyun(REPORT)
    (receipt,) = heard.receipts
    assert receipt.kind is ReceiptKind.DELIVERED
    assert receipt.occurred_at == datetime(2017, 1, 1, tzinfo=UTC)
    assert (receipt.address, receipt.provider_message_id, receipt.reference) == ("+8613900000001", "12345", "67890")
    assert json.loads(heard.answer) == {"code": 0, "msg": "成功"}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("MOBILE_NOT_ON_SERVICE", ErrorClass.BAD_RECIPIENT),
        ("MK:0001", ErrorClass.BAD_RECIPIENT),
        ("UNDELIV", ErrorClass.BAD_RECIPIENT),
        ("MOBILE_IN_BLACK", ErrorClass.UNSUBSCRIBED),
        ("CMCC-BLACK", ErrorClass.UNSUBSCRIBED),
        ("SIGNATURE_BLACKLIST", ErrorClass.CONTENT),  # it is our signature that is on that list
        ("CONTENT_KEYWORD", ErrorClass.CONTENT),
        ("REJECTD", ErrorClass.CONTENT),
        ("EXPIRED", ErrorClass.DOWN),
        ("MOBILE_SEND_LIMIT", ErrorClass.THROTTLED),
        ("ZZ:9999", ErrorClass.UNRECOGNISED),
        ("", ErrorClass.UNRECOGNISED),
    ],
)
def test_codes_of_carriers_in_our_classes(code: str, error: ErrorClass) -> None:
    (receipt,) = aliyun({**REPORT, "success": False, "err_code": code}).receipts
    assert (receipt.kind, receipt.error, receipt.code) == (ReceiptKind.FAILED, error, code)


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("13900000001", "+8613900000001"),
        ("8613900000001", "+8613900000001"),
        ("008613900000001", "+8613900000001"),
        ("+8613900000001", "+8613900000001"),
        ("447700900101", "+447700900101"),
    ],
)
def test_number_in_any_form_that_aliyun_writes(written: str, ours: str) -> None:
    assert aliyun_receipts.e164(written) == ours


def test_the_same_report_has_the_same_key_and_another_has_another() -> None:
    keys = [
        aliyun(report).receipts[0].dedupe
        for report in (REPORT, {**REPORT, "sms_size": "2"}, {**REPORT, "phone_number": "1"}, {**REPORT, "biz_id": "6"})
    ]
    assert keys[0] == keys[1]
    assert len({*keys}) == 3


def test_items_that_are_no_reports_are_counted() -> None:
    heard = aliyun(REPORT, {"success": "yes"}, None, [REPORT], {**REPORT, "phone_number": None})
    assert (len(heard.receipts), heard.left) == (1, 4)


def test_time_that_lies_ahead_or_is_none_is_now() -> None:
    for stamp in ("2099-01-01 00:00:00", "yesterday", "", None):
        assert aliyun({**REPORT, "report_time": stamp}).receipts[0].occurred_at == NOW


TOKEN = "12345"
URL = "https://go.example.org/callbacks/sms/s3cret?delivery=7d9f2b6e-8c1d-8a4e-9f00-1234567890ab"


def twilio(form: str, *, signed: bool = True, token: str = TOKEN, urls: tuple[str, ...] = (URL,)) -> Heard:
    fields = parse_qs(form, keep_blank_values=True)
    headers = {"x-twilio-signature": twilio_signature(auth_token=TOKEN, url=URL, fields=fields)} if signed else {}
    called = Callback(
        method="POST",
        urls=urls,
        query={"delivery": "7d9f2b6e-8c1d-8a4e-9f00-1234567890ab"},
        headers=headers,
        body=form.encode(),
    )
    return twilio_receipts.read(called, settings={"auth_token": token}, now=NOW)


@pytest.mark.parametrize(
    ("status", "error", "kind", "error_class"),
    [
        ("queued", "", ReceiptKind.ACCEPTED, None),
        ("sent", "", ReceiptKind.ACCEPTED, None),
        ("delivered", "", ReceiptKind.DELIVERED, None),
        ("read", "", ReceiptKind.DELIVERED, None),
        ("undelivered", "30005", ReceiptKind.FAILED, ErrorClass.BAD_RECIPIENT),
        ("undelivered", "30003", ReceiptKind.FAILED, ErrorClass.DOWN),
        ("failed", "21610", ReceiptKind.FAILED, ErrorClass.UNSUBSCRIBED),
        ("failed", "30007", ReceiptKind.FAILED, ErrorClass.CONTENT),
        ("failed", "99999", ReceiptKind.FAILED, ErrorClass.UNRECOGNISED),
        ("canceled", "", ReceiptKind.FAILED, ErrorClass.UNRECOGNISED),
    ],
)
def test_statuses_of_twilio_in_our_words(
    status: str, error: str, kind: ReceiptKind, error_class: ErrorClass | None
) -> None:
    (receipt,) = twilio(f"MessageSid=SM1&MessageStatus={status}&To=%2B447700900101&ErrorCode={error}").receipts
    assert (receipt.kind, receipt.error) == (kind, error_class)
    assert (receipt.provider_message_id, receipt.address) == ("SM1", "+447700900101")
    assert receipt.reference == "7d9f2b6e-8c1d-8a4e-9f00-1234567890ab"


#: Twilio's documented codes of messages that were taken and did not arrive.
TWILIO_CODES = {
    ErrorClass.BAD_RECIPIENT: {21211, 21217, 21614, 30005, 30006},
    ErrorClass.UNSUBSCRIBED: {21610},
    ErrorClass.CONTENT: {21602, 21617, 21656, 30007},
    ErrorClass.CONFIG: {
        *(20003, 20404, 21212, 21408, 21603, 21604, 21605, 21606, 21608, 21609, 21612, 21655, 21701, 30034, 90007)
    },
    ErrorClass.THROTTLED: {14107, 20429, 30001, 30022},
    ErrorClass.DOWN: {20500, 20503, 21730, 30003, 30008, 30036},
}


def test_every_code_of_twilio_that_is_known_anywhere_has_its_class_in_a_receipt() -> None:
    told = {code: expected for expected, codes in TWILIO_CODES.items() for code in codes}
    assert set(told) == {*twilio_terms.TERMS, *map(int, twilio_receipts.FAILURES)}
    for code, expected in told.items():
        (receipt,) = twilio(f"MessageSid=SM1&MessageStatus=failed&To=%2B447700900101&ErrorCode={code}").receipts
        assert (receipt.code, receipt.error) == (str(code), expected)


@pytest.mark.parametrize("code", ["", "99999", "x", "\u0661"])
def test_code_that_no_table_knows_is_unrecognised(code: str) -> None:
    assert twilio_receipts.class_of(code) is ErrorClass.UNRECOGNISED


def test_form_that_twilio_did_not_sign_is_refused() -> None:
    form = "MessageSid=SM1&MessageStatus=delivered"
    refusals: list[dict[str, Any]]
    refusals = [{"signed": False}, {"token": "other"}, {"urls": ("https://elsewhere.example/",)}, {"urls": ()}]
    for refused in refusals:
        with pytest.raises(CallbackRefused):
            twilio(form, **refused)


def test_status_or_message_that_twilio_does_not_name_is_counted() -> None:
    for form in ("MessageSid=SM1&MessageStatus=dreaming", "MessageStatus=sent", "MessageSid=SM1", ""):
        assert (twilio(form).receipts, twilio(form).left) == ([], 1)


def encrypted(message: bytes, app: str = "wx1", key: str = AES_KEY) -> str:
    """As the platform does it, after its documentation."""
    raw = b64decode(key + "=")
    plain = b"r" * 16 + len(message).to_bytes(4, "big") + message + app.encode()
    padding = 32 - len(plain) % 32
    sealer = Cipher(algorithms.AES(raw), modes.CBC(raw[:16])).encryptor()
    return b64encode(sealer.update(plain + bytes([padding]) * padding) + sealer.finalize()).decode()


def wechat(body: bytes | str, *, secret: str | None = None, **settings: Any) -> Heard:
    query = {"timestamp": "1", "nonce": "n", "signature": wechat_events.signature("tok", "1", "n")}
    if secret is not None:
        query["msg_signature"] = wechat_events.signature("tok", "1", "n", secret)
    called = Callback(method="POST", query=query, body=body.encode() if isinstance(body, str) else body)
    return wechat_events.read(called, settings={**WECHAT, **settings}, now=NOW)


def event(name: str, listed: object, **values: object) -> dict[str, object]:
    return {
        "FromUserName": "o1",
        "CreateTime": 1_790_000_000,
        "MsgType": "event",
        "Event": name,
        "List": listed,
        **values,
    }


AGREED = {"TemplateId": "T1", "SubscribeStatusString": "accept", "PopupScene": "2"}
REFUSED = {"TemplateId": "T2", "SubscribeStatusString": "reject", "PopupScene": "2"}


def test_list_of_one_is_an_object_and_of_several_an_array() -> None:
    one = wechat(json.dumps(event("subscribe_msg_popup_event", AGREED)))
    several = wechat(json.dumps(event("subscribe_msg_popup_event", [AGREED, REFUSED, {**AGREED, "TemplateId": "T3"}])))
    assert [(word.template, word.accepted) for word in one.subscriptions] == [("T1", True)]
    assert [(word.template, word.accepted) for word in several.subscriptions] == [("T1", True), ("T3", True)]
    assert (one.left, several.left, several.answer) == (0, 0, b"success")


def test_no_in_the_settings_ends_what_was_agreed() -> None:
    (word,) = wechat(json.dumps(event("subscribe_msg_change_event", [REFUSED]))).subscriptions
    assert (word.openid, word.template, word.accepted) == ("o1", "T2", False)


def test_time_is_a_number_or_a_text() -> None:
    for stamp in (1_790_000_000, "1790000000"):
        (word,) = wechat(json.dumps(event("subscribe_msg_popup_event", AGREED, CreateTime=stamp))).subscriptions
        assert word.occurred_at == datetime.fromtimestamp(1_790_000_000, UTC) or word.occurred_at == NOW


SENT_XML = """<xml><ToUserName><![CDATA[gh]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>
<CreateTime>1763600000</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe_msg_sent_event]]></Event>
<SubscribeMsgSentEvent><List><TemplateId><![CDATA[T1]]></TemplateId><MsgID>1700827132819554304</MsgID>
<ErrorCode>{code}</ErrorCode><ErrorStatus><![CDATA[{status}]]></ErrorStatus></List></SubscribeMsgSentEvent></xml>"""


@pytest.mark.parametrize(
    ("code", "status", "kind", "error"),
    [
        ("0", "success", ReceiptKind.DELIVERED, None),
        ("43101", "user refuse", ReceiptKind.FAILED, ErrorClass.UNSUBSCRIBED),
        ("1", "user block", ReceiptKind.FAILED, ErrorClass.UNSUBSCRIBED),
        ("1", "who knows", ReceiptKind.FAILED, ErrorClass.UNRECOGNISED),
    ],
)
def test_sent_event_in_xml(code: str, status: str, kind: ReceiptKind, error: ErrorClass | None) -> None:
    (receipt,) = wechat(SENT_XML.format(code=code, status=status)).receipts
    assert (receipt.kind, receipt.error) == (kind, error)
    assert (receipt.address, receipt.provider_message_id) == ("o1", "1700827132819554304")


def test_xml_with_several_items_has_each() -> None:
    listed = "".join(
        f"<List><TemplateId>T{n}</TemplateId><SubscribeStatusString>accept</SubscribeStatusString></List>"
        for n in range(3)
    )
    body = (
        "<xml><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><Event>subscribe_msg_popup_event</Event>"
        f"<SubscribeMsgPopupEvent>{listed}</SubscribeMsgPopupEvent></xml>"
    )
    assert [word.template for word in wechat(body).subscriptions] == ["T0", "T1", "T2"]


@pytest.mark.parametrize("form", ["json", "xml"])
def test_safe_mode_is_opened_with_the_key_and_checked_with_the_token(form: str) -> None:
    sealed = encrypted(SENT_XML.format(code="0", status="success").encode())
    body = json.dumps({"Encrypt": sealed}) if form == "json" else f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    assert wechat(body, secret=sealed).receipts[0].kind is ReceiptKind.DELIVERED


def test_message_that_is_not_signed_sealed_or_meant_for_us_is_refused() -> None:
    message = json.dumps(event("subscribe_msg_popup_event", AGREED)).encode()
    sealed, foreign = encrypted(message), encrypted(message, app="wx2")
    other_key = encrypted(message, key=b64encode(bytes(32)).decode().rstrip("="))
    for text, signed, settings in (
        (sealed, None, {}),
        (sealed, "something else", {}),
        (foreign, foreign, {}),
        (other_key, other_key, {}),
        ("AAAA", "AAAA", {}),
        ("ü", "ü", {}),
        (sealed, sealed, {"push_aes_key": None}),
        (sealed, sealed, {"push_aes_key": "short"}),
    ):
        with pytest.raises(CallbackRefused):
            wechat(json.dumps({"Encrypt": text}), secret=signed, **settings)
    with pytest.raises(CallbackRefused):
        wechat(message, push_token="other")


def test_address_check_gets_its_word_back_only_when_it_is_signed() -> None:
    query = {"timestamp": "1", "nonce": "n", "echostr": "42", "signature": wechat_events.signature("tok", "1", "n")}
    asked = Callback(method="GET", query=query)
    assert wechat_events.read(asked, settings=WECHAT, now=NOW).answer == b"42"
    with pytest.raises(CallbackRefused):
        wechat_events.read(asked, settings={"push_token": "other"}, now=NOW)


def test_entities_are_not_expanded() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><xml><Event>&a;</Event></xml>'
    with pytest.raises(CallbackUnreadable):
        wechat(bomb)


def jpush(items: object, headers: dict[str, str] = BASIC) -> Heard:
    called = Callback(method="POST", headers=headers, body=json.dumps(items).encode())
    return jpush_receipts.read(called, settings=JPUSH, now=NOW)


@pytest.mark.parametrize(
    ("event_type", "kind", "error"),
    [
        (4, ReceiptKind.DELIVERED, None),
        ("4", ReceiptKind.DELIVERED, None),
        ("received", ReceiptKind.DELIVERED, None),
        (2, ReceiptKind.ACCEPTED, None),
        (6, ReceiptKind.OPENED, None),
        (5, ReceiptKind.FAILED, ErrorClass.UNRECOGNISED),
        (1, ReceiptKind.FAILED, ErrorClass.BAD_RECIPIENT),
    ],
)
def test_events_of_jpush_in_our_words(event_type: object, kind: ReceiptKind, error: ErrorClass | None) -> None:
    item = {"type": event_type, "msgid": 18_100_287_008_546_112, "target": "1a00", "itime": 1_763_600_000_123}
    (receipt,) = jpush([item]).receipts
    assert (receipt.kind, receipt.error) == (kind, error)
    assert (receipt.provider_message_id, receipt.address) == ("18100287008546112", "1a00")
    assert receipt.occurred_at == datetime.fromtimestamp(1_763_600_000.123, UTC)


def test_jpush_is_known_by_its_credentials() -> None:
    for headers in ({}, {"authorization": "Basic AAAA"}, {"authorization": "Bearer x"}):
        with pytest.raises(CallbackRefused):
            jpush([], headers)
    asked = Callback(method="GET", headers=BASIC, query={"echostr": "571f"})
    assert jpush_receipts.read(asked, settings=JPUSH, now=NOW).answer == b"571f"


def test_recalled_and_strange_events_of_jpush_are_counted() -> None:
    assert jpush({"data": [{"type": 7, "msgid": 1, "target": "x"}, 3, {}]}).left == 3


KEYS = [*REPORT, "Event", "List", "FromUserName", "CreateTime", "Encrypt", "type", "msgid", "target"]
JUNK = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                [*REPORT, "Event", "List", "FromUserName", "CreateTime", "Encrypt", "type", "msgid", "target"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(junk=JUNK, raw=some.binary(max_size=80), as_json=some.booleans())
def test_whatever_comes_is_read_or_refused_and_never_an_error(*, junk: object, raw: bytes, as_json: bool) -> None:
    body = json.dumps(junk).encode() if as_json else raw
    for reader in READERS.values():
        called = Callback(method="POST", headers=BASIC, body=body)
        try:
            heard = reader(called, settings={**JPUSH, "app_id": "wx1"}, now=NOW)
        except (CallbackRefused, CallbackUnreadable):
            continue
        for receipt in heard.receipts:
            assert receipt.occurred_at <= NOW
            assert receipt.dedupe
            receipt.detail.encode()


def test_time_in_the_far_past_or_future_does_no_harm() -> None:
    for stamp in ("-1e300", "1e300", "nan", "-99999999999999"):
        item = {"type": 4, "msgid": "1", "target": "x", "itime": stamp}
        assert jpush([item]).receipts[0].occurred_at <= NOW + timedelta()
