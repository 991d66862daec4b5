"""Every setting, in one place. Each is read from the environment with the prefix THEMELINE_, or from `.env`."""

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from logs import LogFormat


def _seconds(value: object) -> object:
    """A plain number counts seconds; `PT90S` and `00:01:30` say the same."""
    return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdigit() else value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="THEMELINE_", env_file=".env", extra="ignore")

    state_dir: Path = Field(Path(".themeline"), description="where `themeline up` keeps everything it starts")
    database_url: SecretStr | None = Field(None, description="PostgreSQL to use in place of the embedded one")
    secret_key: SecretStr | None = Field(
        None, description="encrypts secrets at rest; approval refuses to start without"
    )
    prefect_port: int = Field(0, description="port of the embedded Prefect server; 0 takes a free one")
    prefect_file: Path = Field(
        Path(__file__).with_name("prefect.yaml"), description="the deployments that `themeline up` registers"
    )
    prefect_ui_url: str | None = Field(
        None, description="where people reach Prefect's UI, for links in notices; as Prefect itself is told, if not set"
    )
    sandbox_http_port: int = Field(0, description="port of the sandbox for HTTP; 0 takes a free one")
    sandbox_smtp_port: int = Field(0, description="port of the sandbox for SMTP; 0 takes a free one")
    approvals_poll: Duration = Field(timedelta(seconds=0.5), description="how often answered questions are looked for")
    approvals_limit: int = Field(8, description="runs of pool approvals in flight at once")
    code_drift_steps: int = Field(1, description="how many 30 s steps a TOTP code may be early or late")
    code_attempts: int = Field(5, description="wrong codes in a row that lock a person")
    code_lock: Duration = Field(timedelta(minutes=15), description="how long a person stays locked")
    public_url: str = Field("https://go.example.com", description="where the links in messages lead")
    http_host: str = Field("127.0.0.1", description="where the HTTP service listens; a proxy with TLS stands before it")
    http_port: int = Field(0, description="port of the HTTP service; 0 takes a free one")
    callback_url: str | None = Field(
        None, description="where providers reach the HTTP service; as THEMELINE_PUBLIC_URL, if not set"
    )
    metrics_token: SecretStr | None = Field(
        None, description="whoever shows it may read /metrics; without it, this machine alone may"
    )
    log_format: LogFormat = Field(LogFormat.TEXT, description="text for people, or json: one document a line")
    launch_grace: Duration = Field(timedelta(minutes=30), description="a start later than this is missed")
    lease: Duration = Field(timedelta(seconds=60), description="how long a batch is held without a heartbeat")
    retry_base: Duration = Field(timedelta(seconds=2), description="first back-off of a transient error")
    retry_ceiling: Duration = Field(timedelta(minutes=15), description="longest back-off of a transient error")
    retry_budget: Duration = Field(timedelta(hours=6), description="a delivery is retried for so long, then failed")
    sender_batch: int = Field(2_000, description="deliveries that a sender claims at once")
    sender_concurrency: int = Field(64, description="provider calls in flight per sender")
    lost_run_after: Duration = Field(timedelta(minutes=3), description="a run without heartbeat for so long is lost")


@lru_cache
def get_settings() -> Settings:
    return Settings()
