"""The environment of everything that belongs to an installation, and of the commands that talk to it.

One precedence everywhere: what is set in the real environment (or in `.env`) wins over what the installation offers.
"""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr

from console.supervisor import record
from console.supervisor.layout import Layout, read_private
from logs import PREFECT_LOGGING, LogFormat
from settings import Settings

DATABASE_URL = "THEMELINE_DATABASE_URL"
SECRET_KEY = "THEMELINE_SECRET_KEY"  # noqa: S105 - the name of a variable
API_URL = "PREFECT_API_URL"
API_AUTH = "PREFECT_API_AUTH_STRING"

#: These would lead an embedded Prefect server, or its clients, to another installation.
_OTHER_PREFECT = (API_URL, API_AUTH, "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_HOME", "PREFECT_PROFILES_PATH")
_OTHER_PREFECT_DATABASE = ("PREFECT_API_DATABASE_", "PREFECT_SERVER_DATABASE_", "PREFECT_SERVER_API_")


def embedded_database_url(socket_dir: Path, password: str) -> str:
    """As the role of the application, which owns nothing and cannot change the audit."""
    return f"postgresql+psycopg2://themeline_app:{password}@/themeline?host={quote(str(socket_dir), safe='')}"


def is_embedded_database(url: str, socket_dir: Path) -> bool:
    """Whether an address leads to our own server, whatever the role and the password in it."""
    return str(socket_dir) in parse_qs(urlsplit(url).query).get("host", [])


def load_environment(state_dir: Path, *, given: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """What connects a command to the installation of this state directory; empty when there is none.

    `given` stands for the real environment together with `.env`, and wins.

    Raises:
        StateUnreadable: the record of what runs is damaged.
    """
    layout = Layout(state_dir.resolve())
    installation = record.load(layout.state)
    if installation is None:
        return {}
    offered = {
        "THEMELINE_STATE_DIR": str(layout.root),
        DATABASE_URL: read_private(layout.database_url),
        SECRET_KEY: read_private(layout.secret_key) if installation.options.dev_key else None,
        "PREFECT_HOME": str(layout.prefect),
        **_addresses(installation.addresses),
        **_prefect_access(layout, installation.addresses),
    }
    given = {**settings_environment(Settings()), **os.environ} if given is None else given
    chosen = {name: given.get(name, value) for name, value in offered.items()}
    if API_AUTH not in given and given.get(API_URL, chosen[API_URL]) != offered[API_URL]:
        chosen.pop(API_AUTH)  # the password of our server is not for somebody else's
    return {name: value for name, value in chosen.items() if value}


def _prefect_access(layout: Layout, addresses: Mapping[str, str]) -> dict[str, str | None]:
    return {API_URL: addresses.get("prefect_api"), API_AUTH: read_private(layout.prefect_api_auth)}


def _addresses(addresses: Mapping[str, str]) -> dict[str, str | None]:
    return {
        "THEMELINE_SANDBOX_HTTP": addresses.get("sandbox_http"),
        "THEMELINE_SANDBOX_SMTP": addresses.get("sandbox_smtp"),
        "THEMELINE_HTTP": addresses.get("http"),
    }


def apply_environment(state_dir: Path, target: MutableMapping[str, str] = os.environ) -> None:
    """Connect this process to the installation of the state directory."""
    for name, value in load_environment(state_dir).items():
        target.setdefault(name, value)


def settings_environment(settings: Settings) -> dict[str, str]:
    """Every setting that was set, as variables: a process in another directory would not find our `.env`."""
    return {
        f"THEMELINE_{name.upper()}": _plain(getattr(settings, name), settings.model_dump(mode="json")[name])
        for name in sorted(settings.model_fields_set)
        if getattr(settings, name) is not None
    }


def _plain(value: object, dumped: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(dumped)


def base_environment(*, embedded_prefect: bool) -> dict[str, str]:
    """The real environment, without what would lead an embedded Prefect elsewhere."""
    if not embedded_prefect:
        return dict(os.environ)
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _OTHER_PREFECT and not name.startswith(_OTHER_PREFECT_DATABASE)
    }


def prefect_server_environment(auth: str) -> dict[str, str]:
    """Settings of the embedded server: basic auth, nothing reported, few runs scheduled ahead."""
    return {
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "30",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT2M",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # none are used, and it costs a second at each start
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }


def prefect_client_environment(log_format: LogFormat) -> dict[str, str]:
    environment = {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false", "DO_NOT_TRACK": "1"}
    if log_format is LogFormat.JSON:
        environment["PREFECT_LOGGING_CONFIG_PATH"] = str(PREFECT_LOGGING)
    return environment
