"""The parameters of SendSms and SendBatchSms, checked against the limits of Dysmsapi."""

import json
import re
from dataclasses import dataclass
from typing import Any

from sandbox.credentials import AliyunAccount

MAX_SINGLE = 1000
MAX_BATCH = 100
MAX_TEXT = 500
_MAX_OUT_ID = 255
# Mainland: `+`, `+86`, `0086`, `86` or nothing before 11 digits. Abroad: country code and number, no plus.
_NUMBER = re.compile(r"(?:\+86|0086|86|\+)?1\d{10}|[1-9]\d{6,14}")
_PREFIX = re.compile(r"^(?:\+|00)?(?:86(?=1\d{10}$))?")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class BusinessRefused(Exception):
    """The service answered 200 with a Code other than OK; nothing of the request was sent."""

    def __init__(self, code: str, message: str, *, messages: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Sms:
    recipient: str
    sign_name: str
    template_code: str
    parameters: dict[str, Any]
    text: str | None

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {"sign_name": self.sign_name, "template_code": self.template_code}
        content["template_param"] = self.parameters
        return content if self.text is None else {**content, "text": self.text}


@dataclass(frozen=True, slots=True)
class OutgoingSms:
    messages: list[Sms]
    out_id: str | None


def canonical_number(number: str) -> str:
    """One form for all the ways in which the same number may be written."""
    return _PREFIX.sub("", number)


def read_single(parameters: dict[str, str], account: AliyunAccount) -> OutgoingSms:
    """SendSms: a comma list of numbers, one sign, one template, one set of variables. Raises BusinessRefused."""
    numbers = _required(parameters, "PhoneNumbers").split(",")
    _check_count(numbers, MAX_SINGLE)
    sign = _required(parameters, "SignName")
    variables = _object(parameters.get("TemplateParam") or "{}", len(numbers))
    return _outgoing(parameters, account, numbers, [sign] * len(numbers), [variables] * len(numbers))


def read_batch(parameters: dict[str, str], account: AliyunAccount) -> OutgoingSms:
    """SendBatchSms: arrays aligned by index, one template. Raises BusinessRefused."""
    numbers = _array(parameters, "PhoneNumberJson")
    _check_count(numbers, MAX_BATCH)
    signs = _array(parameters, "SignNameJson")
    variables = _array(parameters, "TemplateParamJson") if "TemplateParamJson" in parameters else [{}] * len(numbers)
    for name, found in (("SignNameJson", signs), ("TemplateParamJson", variables)):
        if len(found) != len(numbers):
            message = f"{name} has {len(found)} entries for {len(numbers)} numbers."
            raise BusinessRefused("isv.INVALID_PARAMETERS", message, messages=len(numbers))
    return _outgoing(parameters, account, numbers, signs, [_object(found, len(numbers)) for found in variables])


def _outgoing(
    parameters: dict[str, str], account: AliyunAccount, numbers: list[Any], signs: list[Any], variables: list[Any]
) -> OutgoingSms:
    template = _required(parameters, "TemplateCode")
    out_id = parameters.get("OutId") or None
    if out_id is not None and len(out_id) > _MAX_OUT_ID:
        raise BusinessRefused("isv.INVALID_PARAMETERS", "OutId must be under 256 characters.", messages=len(numbers))
    try:
        rows = zip(numbers, signs, variables, strict=True)
        return OutgoingSms([_sms(account, number, sign, template, given) for number, sign, given in rows], out_id)
    except BusinessRefused as refusal:
        refusal.messages = len(numbers)
        raise


def _sms(account: AliyunAccount, number: object, sign: object, template: str, given: dict[str, Any]) -> Sms:
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        raise BusinessRefused("isv.MOBILE_NUMBER_ILLEGAL", "A number of the request is invalid.")
    if not isinstance(sign, str) or not sign or (account.sign_names is not None and sign not in account.sign_names):
        raise BusinessRefused("isv.SMS_SIGNATURE_ILLEGAL", "The sign name does not exist or is not approved.")
    return Sms(number, sign, template, given, _text(account, sign, template, given))


def _text(account: AliyunAccount, sign: str, template: str, given: dict[str, Any]) -> str | None:
    if account.templates is None:
        return None
    if template not in account.templates:
        raise BusinessRefused("isv.SMS_TEMPLATE_ILLEGAL", "The template does not exist or is not approved.")
    text = account.templates[template]
    missing = [name for name in _VARIABLE.findall(text) if given.get(name) in (None, "")]
    if missing:
        raise BusinessRefused(
            "isv.TEMPLATE_MISSING_PARAMETERS", f"Template variables are missing: {', '.join(missing)}."
        )
    filled = f"【{sign}】" + _VARIABLE.sub(lambda found: str(given[found[1]]), text)
    if len(filled) > MAX_TEXT:
        raise BusinessRefused("isv.PARAM_LENGTH_LIMIT", f"The message has {len(filled)} characters of {MAX_TEXT}.")
    return filled


def _check_count(numbers: list[Any], most: int) -> None:
    if not 0 < len(numbers) <= most:
        message = f"{len(numbers)} numbers in one request; 1 to {most} are allowed."
        raise BusinessRefused("isv.MOBILE_COUNT_OVER_LIMIT", message, messages=max(len(numbers), 1))


def _required(parameters: dict[str, str], name: str) -> str:
    value = parameters.get(name)
    if not value:
        raise BusinessRefused(f"Missing{name}", f"{name} is mandatory for this action.")
    return value


def _array(parameters: dict[str, str], name: str) -> list[Any]:
    try:
        found = json.loads(_required(parameters, name))
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise BusinessRefused("isv.INVALID_JSON_PARAM", f"{name} is not a JSON array.")
    return found


def _object(found: object, messages: int) -> dict[str, Any]:
    """A set of variables: an object, or the text of one."""
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            found = None
    if not isinstance(found, dict):
        raise BusinessRefused("isv.INVALID_JSON_PARAM", "Template variables are not a JSON object.", messages=messages)
    return found
