"""The file in which ops describe provider accounts; a secret is the name of an environment variable."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from channels.engine import Backoff
from channels.errors import AccountSettingsInvalid
from channels.states import Channel


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(_Part):
    """How the engine uses an account. What is not given follows the installation's settings."""

    rate_per_second: Annotated[float, Field(gt=0)] | None = None  # calls, per sender
    concurrency: Annotated[int, Field(ge=1, le=1_024)] | None = None  # calls in flight, per sender
    retry_base_seconds: Annotated[float, Field(gt=0)] | None = None
    retry_ceiling_seconds: Annotated[float, Field(gt=0)] | None = None
    retry_budget_seconds: Annotated[float, Field(gt=0)] | None = None

    def backoff(self, standard: Backoff) -> Backoff:
        return Backoff(
            base=_seconds(self.retry_base_seconds, standard.base),
            ceiling=_seconds(self.retry_ceiling_seconds, standard.ceiling),
            budget=_seconds(self.retry_budget_seconds, standard.budget),
        )


class AccountEntry(_Part):
    account: Annotated[str, Field(min_length=1)]
    product_line: Annotated[str, Field(min_length=1)]
    channel: Channel
    provider: Annotated[str, Field(min_length=1)]
    settings: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)  # name -> environment variable that holds it
    limits: Limits = Limits()


class _File(_Part):
    accounts: Annotated[list[AccountEntry], Field(min_length=1)]


def read_accounts(text: str, *, where: str) -> Sequence[AccountEntry]:
    """Read an account file. Raises AccountSettingsInvalid with every problem; no value of it is repeated there."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise AccountSettingsInvalid(account=where, problems=[f"{line}this is not YAML"]) from None
    try:
        return _File.model_validate(raw).accounts
    except ValidationError as invalid:
        problems = [f"{'.'.join(map(str, error['loc'])) or 'the file'}: {error['msg']}" for error in invalid.errors()]
        raise AccountSettingsInvalid(account=where, problems=problems) from None


def secrets_from(entry: AccountEntry, environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets themselves. Raises AccountSettingsInvalid naming the variables that are not set."""
    unset = [
        f"{name}: the environment variable {variable} is not set"
        for name, variable in entry.secrets.items()
        if not environment.get(variable)
    ]
    if unset:
        raise AccountSettingsInvalid(account=entry.account, problems=unset)
    return {name: environment[variable] for name, variable in entry.secrets.items()}


def _seconds(given: float | None, standard: timedelta) -> timedelta:
    return standard if given is None else timedelta(seconds=given)
