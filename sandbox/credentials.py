"""What the stand-ins accept. Every default here is fake: it opens nothing but a sandbox on loopback."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ConfigRefused(Exception):
    """The sandbox configuration cannot be used."""


class _Account(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AliyunAccount(_Account):
    """`templates` maps a template code to its text with `${name}` variables; None accepts any sign or template."""

    access_key_id: str = "sandbox-ak"
    access_key_secret: str = "sandbox-secret"  # noqa: S105 - fake, documented, opens only the sandbox
    sign_names: tuple[str, ...] | None = None
    templates: dict[str, str] | None = None


class SmtpAccount(_Account):
    user: str = "sandbox"
    password: str = "sandbox-smtp"  # noqa: S105 - fake, documented, opens only the sandbox
    auth_required: bool = False
    max_recipients: int = Field(default=100, ge=1)
    max_message_bytes: int = Field(default=10 * 1024 * 1024, ge=1024)
    messages_per_connection: int | None = Field(default=None, ge=1)


class JPushAccount(_Account):
    app_key: str = "sandboxappkey0000000000"
    master_secret: str = "sandbox-master"  # noqa: S105 - fake, documented, opens only the sandbox
    requests_per_minute: int = Field(default=600_000, ge=1)
    cids_per_call: int = Field(default=1000, ge=1)


class TwilioAccount(_Account):
    account_sid: str = "AC00000000000000000000000000000000"
    auth_token: str = "sandbox-twilio"  # noqa: S105 - fake, documented, opens only the sandbox
    api_key: str = "SK00000000000000000000000000000000"
    api_key_secret: str = "sandbox-twilio-key"  # noqa: S105 - fake, documented, opens only the sandbox


class FcmAccount(_Account):
    """The key of the service account is made by the sandbox; `GET /_service_account` hands it out."""

    project_id: str = "sandbox-project"
    client_email: str = "sender@sandbox-project.iam.gserviceaccount.com"
    key_id: str = "sandbox-key"
    token_seconds: float = Field(default=3599, gt=0)


class WeChatAccount(_Account):
    """`templates` maps a template id to its keys (None: any).

    Grants are the sends that an openid has, in all, per template id; None is without end.
    """

    appid: str = "wxsandbox"
    secret: str = "sandbox-wechat"  # noqa: S105 - fake, documented, opens only the sandbox
    token_seconds: float = Field(default=7200, gt=0)
    renew_before_seconds: float = Field(default=300, ge=0)
    templates: dict[str, tuple[str, ...]] | None = None
    default_grants: int | None = Field(default=None, ge=0)
    grants: dict[str, dict[str, int]] = Field(default_factory=dict)


class Accounts(_Account):
    """The whole configuration file; `keep_content: false` keeps who got a message, and drops the message (for load)."""

    aliyun: AliyunAccount = AliyunAccount()
    smtp: SmtpAccount = SmtpAccount()
    jpush: JPushAccount = JPushAccount()
    twilio: TwilioAccount = TwilioAccount()
    fcm: FcmAccount = FcmAccount()
    wechat: WeChatAccount = WeChatAccount()
    keep_content: bool = True


def read_accounts(path: Path | None) -> Accounts:
    """Defaults, overridden by the JSON file at `path`. Raises ConfigRefused, naming the file and the key."""
    if path is None:
        return Accounts()
    try:
        return Accounts.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigRefused(f"cannot read the configuration {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ConfigRefused(f"{path} is not JSON: {error.msg} at line {error.lineno}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ConfigRefused(f"{path}: {place}: {first['msg']}") from error
