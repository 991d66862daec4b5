"""The JSON of `POST /_faults`, checked: what is wrong is named by field, with what is allowed."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.faults import RECIPIENT_KINDS, Fault, Kind
from sandbox.ledger import PROVIDERS
from sandbox.smtp_commands import are_codes

# The first is the default; a `down` fault without one hits all of them.
ENDPOINTS = {
    "sms": ("send", "query"),
    "email": ("message", "mail"),
    "push": ("send", "cid", "token"),
    "mini_program": ("send", "token"),
}
#: Of a provider that has not all those of its channel.
_ENDPOINTS_OF = {"jpush": ("send", "cid"), "fcm": ("send", "token")}
_KINDS_OF = {
    "status": {Kind.STATUS},
    "code": {Kind.STATUS, Kind.RECIPIENT_ERROR, Kind.THROTTLE},
    "message": {Kind.STATUS, Kind.RECIPIENT_ERROR, Kind.THROTTLE},
    "delay": {Kind.DELAY},
    "retry_after": {Kind.THROTTLE},
    "requests_per_second": {Kind.THROTTLE},
    "match": set(Kind) - {Kind.DOWN},
}
_SMTP_STATUS = range(400, 600)
_HTTP_STATUS = range(200, 600)

Positive = Annotated[float, Field(gt=0)]


class BadField(Exception):
    """A field of the request cannot be used."""

    def __init__(self, field: str, found: object, allowed: str) -> None:
        super().__init__(f"{field}: {found!r} is not allowed; allowed: {allowed}")
        self.field = field
        self.found = found
        self.allowed = allowed


class FaultForm(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    channel: Literal["sms", "email", "push", "mini_program"]
    kind: Kind
    provider: str | None = None
    endpoint: str | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    count: Annotated[int, Field(ge=1)] | None = None
    match: str | None = None
    seconds: Positive | None = None
    status: int | None = None
    code: int | str | None = None
    message: Annotated[str, Field(pattern=r"^[^\r\n]*$")] | None = None
    delay: Positive | None = None
    retry_after: Annotated[float, Field(ge=0)] | None = None
    requests_per_second: Positive | None = None


def read_fault(content: object) -> Fault:
    """Raises BadField."""
    try:
        form = FaultForm.model_validate(content)
    except ValidationError as error:
        raise _first_problem(error) from error
    if form.provider is not None and form.provider not in PROVIDERS[form.channel]:
        raise BadField("provider", form.provider, ", ".join(PROVIDERS[form.channel]))
    _check_kind(form)
    _check_terms(form)
    given = form.model_dump(exclude_none=True, exclude={"match"})
    given["endpoint"] = _endpoint(form)
    return Fault(**given, match=_pattern(form.match))


def as_json(fault: Fault) -> dict[str, Any]:
    names = (
        "id",
        "channel",
        "kind",
        *(name for name in FaultForm.model_fields if name not in ("channel", "kind")),
        "hits",
    )
    found = {name: getattr(fault, name) for name in names}
    found["match"] = fault.match.pattern if fault.match else None
    return {name: value for name, value in found.items() if value is not None and not (name == "delay" and value == 0)}


def _check_kind(form: FaultForm) -> None:
    if form.kind is Kind.NO_RECEIPT and form.channel != "sms":
        raise BadField(
            "kind", form.kind.value, f"no_receipt for sms only; {', '.join(k for k in Kind if k != form.kind)}"
        )
    for name, kinds in _KINDS_OF.items():
        if getattr(form, name) is not None and form.kind not in kinds:
            raise BadField(name, getattr(form, name), f"only with kind {', '.join(sorted(kinds))}")
    if form.kind is Kind.DELAY and form.delay is None:
        raise BadField(
            "delay", None, "the seconds by which the answer is late (`seconds` is how long the fault is active)"
        )
    if form.kind is Kind.STATUS and form.status is None and form.code is None:
        raise BadField("status", None, "an HTTP status or SMTP reply code, or a provider's own `code`")


def _check_terms(form: FaultForm) -> None:
    """Codes and statuses in the provider's own terms."""
    statuses = _SMTP_STATUS if form.channel == "email" else _HTTP_STATUS
    if form.status is not None and form.status not in statuses:
        raise BadField("status", form.status, f"{statuses.start} to {statuses.stop - 1}")
    if form.code is None:
        return
    code = str(form.code)
    if form.provider == "fcm":
        if not re.fullmatch(r"[A-Z_]{1,60}", code):
            raise BadField("code", form.code, "a word in capitals, as UNREGISTERED")
    elif form.channel in ("push", "mini_program") and not re.fullmatch(r"-?\d{1,9}", code):
        raise BadField("code", form.code, "a whole number, as this provider's errors are")
    if form.channel == "email" and not are_codes(code):
        raise BadField("code", form.code, "a reply code 4yz or 5yz, an enhanced code like 5.1.1, or both with a space")


def _endpoint(form: FaultForm) -> str | None:
    allowed: tuple[str, ...] = _ENDPOINTS_OF.get(form.provider or "", ENDPOINTS[form.channel])
    if form.kind is Kind.NO_RECEIPT:
        allowed = ("query",)
    elif form.kind in RECIPIENT_KINDS and form.channel != "sms":
        allowed = allowed[:1]
    if form.endpoint is not None and form.endpoint not in allowed:
        raise BadField("endpoint", form.endpoint, ", ".join(allowed))
    return form.endpoint or (None if form.kind is Kind.DOWN else allowed[0])


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise BadField("match", text, f"a regular expression ({error})") from error


def _first_problem(error: ValidationError) -> BadField:
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "body"
    if first["type"] == "extra_forbidden":
        return BadField(field, first["input"], ", ".join(FaultForm.model_fields))
    if field == "kind":
        return BadField(field, first["input"] if first["type"] != "missing" else None, ", ".join(Kind))
    if field == "channel":
        return BadField(field, first["input"] if first["type"] != "missing" else None, ", ".join(ENDPOINTS))
    return BadField(field, first["input"], first["msg"])
