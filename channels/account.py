"""The settings of a provider account: every problem is told at once, and the value of a secret never."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from channels.errors import AccountSettingsInvalid
from channels.message import Content, Message


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address such as https://host or http://host:port")
    if parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError("must be scheme, host and port alone, without path, query or credentials")
    return f"{parts.scheme}://{parts.netloc}"


#: Where a provider is reached, without a trailing slash; another origin lets a stand-in serve.
Origin = Annotated[str, AfterValidator(_origin)]
#: Of one call; the answer is lost to us after that.
Timeout = Annotated[float, Field(gt=0, le=120, description="seconds that one call may take")]


class AccountSettings(BaseModel):
    """Fields of type SecretStr are given among the secrets, all others among the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)

    @classmethod
    def secret_names(cls) -> frozenset[str]:
        return frozenset(name for name, field in cls.model_fields.items() if _is_secret(field.annotation))


SettingsT = TypeVar("SettingsT", bound=AccountSettings)
ContentT = TypeVar("ContentT", bound=Content)


def read_settings(
    model: type[SettingsT], *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object]
) -> SettingsT:
    """Raise AccountSettingsInvalid with everything that is wrong."""
    problems = list(_misplaced(model, settings, secrets))
    try:
        read = model.model_validate({**settings, **secrets})
    except ValidationError as error:
        problems += [_problem(model, item["type"], item["loc"], item["msg"]) for item in error.errors()]
        raise AccountSettingsInvalid(account=account, problems=problems) from None
    if problems:
        raise AccountSettingsInvalid(account=account, problems=problems)
    return read


def content_of(message: Message, kind: type[ContentT]) -> ContentT:
    if not isinstance(message.content, kind):
        raise TypeError(f"delivery {message.delivery_id} carries {type(message.content).__name__}, not {kind.__name__}")
    return message.content


def _is_secret(annotation: Any) -> bool:  # noqa: ANN401 - an annotation is anything
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _misplaced(
    model: type[AccountSettings], settings: Mapping[str, object], secrets: Mapping[str, object]
) -> Iterator[str]:
    private = model.secret_names()
    public = model.model_fields.keys() - private
    yield from (f"{name}: is a secret, give it among the secrets" for name in settings if name in private)
    yield from (f"{name}: is no secret, give it among the settings" for name in secrets if name in public)


def _problem(model: type[AccountSettings], kind: str, place: tuple[int | str, ...], said: str) -> str:
    name = ".".join(map(str, place))
    if kind == "missing":
        among = "secrets" if name in model.secret_names() else "settings"
        return f"{name}: is missing among the {among}"
    if kind == "extra_forbidden":
        near = get_close_matches(name, model.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(model.model_fields)}"
        return f"{name}: is unknown; {hint}"
    said = said.removeprefix("Value error, ")
    return f"{name}: {said}" if name else said
