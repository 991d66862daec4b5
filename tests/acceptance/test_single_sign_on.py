"""The proxy of docs/single-sign-on.md: the very configuration of that page, in nginx, in front of a real Prefect."""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Page, sync_playwright

from console.supervisor.layout import Layout, read_private
from tests.acceptance.prefect_ui import OUT, PATIENCE_MS, PrefectUi, chromium
from tests.acceptance.world import ROOT, World, wait_until, world_of

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PROXY = ROOT / "docs" / "proxy"
KEY = "acc-sso"
ANY = "00000000-0000-4000-8000-000000000000"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(NGINX is None, reason="the proxy test needs nginx: apt-get install nginx"),
    pytest.mark.skipif(chromium() is None, reason="the browser test needs Chromium: apt-get install chromium"),
]

#: What the pages of the UI ask for, and the Resume button.
READ_AND_ANSWER = (
    ("GET", "/"),
    ("GET", "/runs?tag=approver:acc-bob&state=Suspended&type=span&seconds=-7776000"),
    ("GET", "/runs/flow-run/{gate}?entity_id={gate}"),
    ("GET", "/v2/"),
    ("GET", "/ui-settings"),
    ("GET", "/api/health"),
    ("GET", "/api/admin/version"),
    ("GET", "/api/flow_runs/{gate}"),
    ("GET", "/api/flow_runs/{gate}/graph-v2"),
    ("GET", "/api/flow_runs/{gate}/logs/download"),
    ("GET", "/api/flow_runs/{gate}/input/{schema}"),
    ("GET", "/api/flow_runs/{gate}/input/{description}"),
    ("GET", "/api/flow_run_states/?flow_run_id={gate}"),
    ("GET", "/api/deployments/{gate_deployment}"),
    ("GET", "/api/work_pools/approvals"),
    ("GET", "/api/work_pools/approvals/queues/default"),
    ("POST", "/api/flow_runs/filter"),
    ("POST", "/api/flow_runs/count"),
    ("POST", "/api/flow_runs/paginate"),
    ("POST", "/api/flows/filter"),
    ("POST", "/api/deployments/filter"),
    ("POST", "/api/task_runs/filter"),
    ("POST", "/api/artifacts/latest/filter"),
    ("POST", "/api/logs/filter"),
    ("POST", "/api/events/filter"),
    ("POST", "/api/work_pools/filter"),
    ("POST", "/api/work_pools/approvals/queues/filter"),
    ("POST", "/api/saved_searches/filter"),
    ("POST", "/api/ui/flow_runs/count-task-runs"),
    ("POST", "/api/ui/schemas/validate"),
    ("POST", "/api/flow_runs/{gate}/resume"),  # with an empty form: it is Prefect that says no
)
START = tuple(
    ("POST", f"/api/deployments/{{{name}}}/create_flow_run") for name in ("draft", "submit", "action", "retry")
)
REFUSED = (
    # What would change a run, or what was answered.
    ("POST", "/api/flow_runs/{gate}/set_state"),
    ("POST", "/api/flow_runs/bulk_set_state"),
    ("POST", "/api/flow_runs/bulk_delete"),
    ("POST", "/api/flow_runs/{gate}/input"),
    ("DELETE", "/api/flow_runs/{gate}/input/{response}"),
    ("PATCH", "/api/flow_runs/{gate}"),
    ("PATCH", "/api/flow_runs/{gate}/labels"),
    ("DELETE", "/api/flow_runs/{gate}"),
    ("POST", "/api/flow_runs/"),
    ("POST", f"/api/task_runs/{ANY}/set_state"),
    # What was typed into a form, codes among it.
    ("GET", "/api/flow_runs/{gate}/input/{response}"),
    ("POST", "/api/flow_runs/{gate}/input/filter"),
    # Deployments, among them those whose workers would run a command of the caller's.
    ("POST", "/api/deployments/{gate_deployment}/create_flow_run"),
    ("POST", "/api/deployments/{launch}/create_flow_run"),
    ("POST", "/api/deployments/{action}/create_flow_run/bulk"),
    ("POST", "/api/deployments/"),
    ("POST", "/api/deployments/bulk_delete"),
    ("PATCH", "/api/deployments/{action}"),
    ("DELETE", "/api/deployments/{action}"),
    ("POST", "/api/deployments/{action}/pause_deployment"),
    ("POST", "/api/deployments/{action}/schedules"),
    # Reads that look harmless and mark a work pool as polled.
    ("POST", "/api/deployments/get_scheduled_flow_runs"),
    ("POST", "/api/work_pools/approvals/get_scheduled_flow_runs"),
    # The rest of the server.
    ("POST", "/api/block_documents/filter"),
    ("GET", f"/api/block_documents/{ANY}?include_secrets=true"),
    ("GET", "/api/block_types/slug/secret/block_documents?include_secrets=true"),
    ("POST", "/api/variables/"),
    ("POST", "/api/variables/filter"),
    ("POST", "/api/automations/"),
    ("PUT", f"/api/automations/{ANY}"),
    ("PATCH", "/api/work_pools/approvals"),
    ("POST", "/api/work_pools/"),
    ("POST", "/api/work_pools/approvals/workers/heartbeat"),
    ("POST", "/api/concurrency_limits/"),
    ("POST", "/api/v2/concurrency_limits/increment"),
    ("PUT", "/api/saved_searches/"),
    ("GET", "/api/admin/storage"),
    ("PUT", "/api/admin/storage"),
    ("POST", "/api/logs/"),
    ("POST", "/api/events"),
    ("OPTIONS", "/api/flow_runs/filter"),
    ("TRACE", "/"),
    # Other spellings of what is refused, and of what is allowed.
    ("POST", "/api/flow_runs/filter/../{gate}/set_state"),
    ("POST", "/api/flow_runs/%2e%2e/flow_runs/{gate}/set_state"),
    ("POST", "/api/flow_runs/{gate}/resume/../set_state"),
    ("POST", "/api/flow_runs/{gate}/set_state?x=/resume"),
    ("POST", "/api/flow_runs/{gate}/set_state#/resume"),
    ("POST", "/api/flow_runs/{gate}%2fset_state"),
    ("POST", "/api//flow_runs/{gate}/resume"),
    ("POST", "//api/flow_runs/{gate}/resume"),
    ("POST", "/API/flow_runs/{gate}/resume"),
    ("POST", "/%61pi/flow_runs/{gate}/resume"),
    ("POST", "/api/flow_runs/{gate}/resume/"),
    ("POST", "/api/flow_runs/{gate}/resum%65"),
    ("POST", "/api/flow_runs/{gate};/resume"),
    ("DELETE", "/runs/../api/flow_runs/{gate}"),
    ("GET", "/runs/../api/block_documents/" + ANY),
    ("GET", "/runs/%2e%2e/api/admin/storage"),
    ("GET", "/x//../api/admin/storage"),
    ("GET", "/api"),
    ("POST", "/"),
    ("GET", "/api/flow_runs/{gate}/input/{schema}/../{response}"),
)
#: Both would be closed by Prefect itself: it wants the password in the first message.
SOCKETS = ("/api/events/out", "/api/logs/out", "/api/events/in", "/api/work_pools/approvals/workers/connect")


class Authenticator(ThreadingHTTPServer):
    """In the place of oauth2-proxy: a session is the cookie `session=LOGIN`."""

    groups: ClassVar[dict[str, str]] = {
        "acc-bob": "approvers",
        "acc-carl": "staff,approvers",
        "acc-ann": "staff,marketers,readers",
        "acc-eve": "staff,approvers-in-training,not-marketers",
        "acc-nil": "",
    }

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), AuthenticatorHandler)


class AuthenticatorHandler(BaseHTTPRequestHandler):
    server: Authenticator

    def do_GET(self) -> None:
        if self.path.startswith("/oauth2/start"):
            back = self.headers.get("X-Auth-Request-Redirect", "")
            self._answer(302, {"Location": "https://login.example.com/", "X-Back": back}, b"sign in there")
            return
        if self.path != "/oauth2/auth":
            self._answer(404, {}, b"")
            return
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        found = re.search(r"session=([\w-]+)", self.headers.get("Cookie", ""))
        login = found.group(1) if found else ""
        if login not in self.server.groups:
            self._answer(401, {}, b"")
            return
        self._answer(202, {"X-Auth-Request-User": login, "X-Auth-Request-Groups": self.server.groups[login]}, b"")

    def _answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    port: int
    folder: Path
    authenticator: Authenticator
    names: dict[str, str] = field(repr=False)

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def call(
        self, method: str, path: str, login: str | None, body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Send a path as it is written, which HTTP libraries would tidy first. Returns status, headers and body."""
        trust = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        with closing(http.client.HTTPSConnection("localhost", self.port, timeout=30, context=trust)) as connection:
            session = {"Cookie": f"session={login}"} if login else {}
            content = None if method == "GET" else json.dumps(body or {})
            sent = {"Content-Type": "application/json", **session, **headers}
            connection.request(method, path.format_map(self.names), content, sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode(errors="replace")

    def refuses(self, method: str, path: str, login: str) -> bool:
        """The proxy itself says no: Prefect would not with 403, and nginx takes some spellings for no request."""
        status, _, text = self.call(method, path, login)
        return (status == 403 and "Your group may not" in text) or (status in {400, 405} and "nginx" in text)

    def log(self) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in self.folder.glob("*.log"))


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


def write_certificate(folder: Path) -> None:
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    addresses = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = builder.add_extension(addresses, critical=True).sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))


def write_configuration(folder: Path, ports: dict[str, str]) -> None:
    """The page's file with other addresses and places, below the frame that a distribution's nginx.conf gives it."""
    text = (PROXY / "themeline.conf").read_text(encoding="utf-8")
    places = {
        "/etc/nginx/conf.d/": "",  # in a comment
        "/etc/nginx/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
        "/etc/ssl/certs/prefect.example.com.pem": f"{folder}/certificate.pem",
        "/etc/ssl/private/prefect.example.com.key": f"{folder}/key.pem",
    }
    for old, new in {**places, **ports}.items():
        assert old in text
        text = text.replace(old, new)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{frame}http {{\n{temporary}{text}}}\n", encoding="utf-8")


@contextmanager
def nginx_in(folder: Path, port: int) -> Iterator[None]:
    assert NGINX
    words = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(words) as process:
        try:
            wait_until("nginx", lambda: process.poll() is not None or listens(port), seconds=10)
            assert process.poll() is None, (folder / "error.log").read_text(encoding="utf-8")
            yield
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with closing(socket.socket()) as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_of(installation.environment, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def gate(world: World) -> str:
    """A theme is in review, and Bob is asked."""
    world.draft(world.theme_file(KEY, author="acc-sue", start=timedelta(days=2), policy="acc-two"), "acc-sue")
    world.sign("submit", KEY, "acc-sue")
    return str(world.question("acc-bob", KEY)["id"])


@pytest.fixture(scope="module")
def authenticator() -> Iterator[Authenticator]:
    with Authenticator() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def proxy(
    installation: Any, world: World, gate: str, authenticator: Authenticator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    write_certificate(folder)
    auth = read_private(Layout(installation.themeline.state_dir).prefect_auth)
    assert auth
    header = base64.b64encode(auth.encode()).decode()
    (folder / "themeline-password.conf").write_text(f'proxy_set_header Authorization "Basic {header}";\n')
    lines = subprocess.run(
        [PROXY / "deployments.sh"],
        env={**os.environ, **installation.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "themeline-deployments.conf").write_text(lines.stdout)
    ports = {
        "127.0.0.1:4200": urlsplit(installation.addresses["prefect_api"]).netloc,
        "127.0.0.1:4180": f"127.0.0.1:{authenticator.server_address[1]}",
        "127.0.0.1:4181": f"127.0.0.1:{free_port()}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
    }
    write_configuration(folder, ports)
    with nginx_in(folder, port):
        yield Proxy(port=port, folder=folder, authenticator=authenticator, names=names_of(world, gate))


def names_of(world: World, gate: str) -> dict[str, str]:
    """What the tables of calls are filled in with."""
    deployments = {
        "draft": "draft-theme/from-form",
        "submit": "submit-theme/from-form",
        "action": "theme-action/from-form",
        "retry": "retry-deliveries/by-ops",
        "gate_deployment": "approval-gate/per-task",
        "launch": "distribute-theme/at-start",
    }
    keyset = world.api.flow_run(gate)["state"]["state_details"]["run_input_keyset"]
    found = {name: str(world.api.deployment(full)["id"]) for name, full in deployments.items()}
    return {"gate": gate, **keyset, **found}


@pytest.mark.parametrize("login", ["acc-bob", "acc-carl", "acc-ann"])
def test_approvers_and_marketers_may_read_what_the_ui_shows_and_answer(proxy: Proxy, login: str) -> None:
    body: dict[str, object] = {"flow_run_ids": [], "schema": {}, "values": {}}  # what some of them ask for
    answers = {call: proxy.call(*call, login, body, Accept="text/html")[0] for call in READ_AND_ANSWER}
    assert {call: status for call, status in answers.items() if status not in {200, 201}} == {}


def test_marketers_may_start_their_four_deployments_and_approvers_none(proxy: Proxy) -> None:
    bad = {"parameters": {"no such": "parameter"}}
    for method, path in START:
        status, _, text = proxy.call(method, path, "acc-ann", bad)
        assert status in {409, 422}, f"{path}: {status} {text}"  # Prefect's own word on the body
        assert proxy.refuses(method, path, "acc-bob")


@pytest.mark.parametrize("login", ["acc-bob", "acc-ann"])
def test_everything_else_is_refused_however_it_is_spelled(proxy: Proxy, world: World, login: str) -> None:
    before = world.api.flow_run(proxy.names["gate"])
    passed = [call for call in REFUSED if not proxy.refuses(*call, login)]
    assert passed == []
    after = world.api.flow_run(proxy.names["gate"])
    assert (after["state_id"], after["updated"]) == (before["state_id"], before["updated"])


@pytest.mark.parametrize("path", SOCKETS)
def test_web_sockets_are_refused(proxy: Proxy, path: str) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    assert proxy.call("GET", path, "acc-ann", **upgrade)[0] == 403


def test_somebody_of_neither_group_may_not_even_read(proxy: Proxy) -> None:
    for login in ("acc-eve", "acc-nil"):
        assert all(proxy.refuses(*call, login) for call in (*READ_AND_ANSWER, *START) if call[1] != "/ui-settings")


def test_without_a_session_pages_lead_to_the_sign_in_and_calls_are_refused(proxy: Proxy) -> None:
    page = "/runs?tag=approver:acc-bob&state=Suspended"
    for login in (None, "acc-forged"):
        status, headers, _ = proxy.call("GET", page, login)
        assert (status, headers["Location"], headers["X-Back"]) == (302, "https://login.example.com/", page)
        calls = [call for call in (*READ_AND_ANSWER, *START, *REFUSED) if call[1].startswith("/api/")]
        assert {proxy.call(*call, login)[0] for call in calls} <= {401, 400, 405}
    assert proxy.call("GET", "/oauth2/callback?code=from-the-provider", None)[0] == 404  # it reaches the authenticator
    assert "from-the-provider" not in proxy.log()
    assert proxy.call("GET", "/oauth2/auth", "acc-bob")[0] == 404


def test_settings_that_the_ui_asks_for_tell_nothing_of_the_server(proxy: Proxy) -> None:
    for path in ("/ui-settings", "/api/admin/settings"):
        status, _, text = proxy.call("GET", path, "acc-bob")
        assert (status, type(json.loads(text))) == (200, dict)
        assert not re.search("password|connection|home|127.0.0.1", text)


def test_headers_of_the_caller_make_nobody_a_member_of_a_group(proxy: Proxy) -> None:
    forged = {"X-Auth-Request-User": "acc-ann", "X-Auth-Request-Groups": "marketers", "X-Forwarded-User": "acc-ann"}
    assert proxy.call("POST", "/api/flow_runs/filter", None, **forged)[0] == 401
    path = "/api/deployments/{action}/create_flow_run"
    assert proxy.call("POST", path, "acc-bob", **forged)[0] == 403
    assert not {"x-auth-request-user", "x-auth-request-groups"} & proxy.authenticator.asked[-1].keys()


def test_a_page_of_somebody_else_presses_no_button_with_the_session_of_its_reader(proxy: Proxy) -> None:
    path = "/api/flow_runs/{gate}/resume"
    for origin in ("https://elsewhere.example.com", f"{proxy.origin}.example.com", proxy.origin[:-1], "null"):
        assert proxy.call("POST", path, "acc-bob", Origin=origin)[0] == 403
    status, headers, _ = proxy.call("POST", path, "acc-bob", Origin=proxy.origin)
    assert status == 200
    assert "access-control-allow-origin" not in {name.lower() for name in headers}


def test_nothing_passes_while_the_authenticator_is_down(proxy: Proxy, tmp_path: Path) -> None:
    port = free_port()
    shutil.copytree(proxy.folder, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "nginx.conf").read_text(encoding="utf-8").replace(str(proxy.folder), str(tmp_path))
    deaf = f"127.0.0.1:{proxy.authenticator.server_address[1]}", f"127.0.0.1:{free_port()}"
    refusal = re.findall(r"listen (127\.0\.0\.1:\d+);", text)
    for old, new in (deaf, (f":{proxy.port} ssl", f":{port} ssl"), (refusal[0], f"127.0.0.1:{free_port()}")):
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    with nginx_in(tmp_path, port):
        beside = Proxy(port=port, folder=tmp_path, authenticator=proxy.authenticator, names=proxy.names)
        assert {beside.call(*call, "acc-ann")[0] for call in READ_AND_ANSWER if call[1] != "/ui-settings"} == {500}


def test_an_answer_through_the_proxy_decides_and_leaves_no_code_in_any_log(proxy: Proxy, world: World) -> None:
    form = world.form("acc-bob")
    status, _, text = proxy.call(
        "POST", "/api/flow_runs/{gate}/resume", "acc-bob", {"run_input": form}, Origin=proxy.origin
    )
    assert (status, json.loads(text)["status"]) == (201, "ACCEPT")
    wait_until("the decision", lambda: world.decisions(KEY) == [("acc-bob", "approve")])
    log = proxy.log()
    assert f'"acc-bob" POST /api/flow_runs/{proxy.names["gate"]}/resume 201' in log
    assert not re.search(rf"\b{form['code']}\b", log)
    assert not any(path.is_file() for kind in ("client_body", "proxy") for path in (proxy.folder / kind).rglob("*"))


@contextmanager
def signed_in(proxy: Proxy, login: str) -> Iterator[Page]:
    """A browser with the session of a person, and without Prefect's password."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 1000}, ignore_https_errors=True)
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies([{"name": "session", "value": login, "url": proxy.origin}])
        try:
            yield context.new_page()
        finally:
            browser.close()


def test_an_approver_answers_in_the_ui_behind_the_proxy_without_knowing_the_password(
    proxy: Proxy, world: World
) -> None:
    run = world.question("acc-carl", KEY)
    with signed_in(proxy, "acc-carl") as page:
        answers: list[tuple[int, str]] = []
        page.on("response", lambda answer: answers.append((answer.status, urlsplit(answer.url).path)))
        ui = PrefectUi(page=page, origin=proxy.origin, auth="")
        ui.open(f"/runs/flow-run/{run['id']}")
        form = ui.open_form()
        page.screenshot(path=OUT / "single-sign-on-form.png", animations="disabled")
        form.answer("approve", login="acc-carl", code=world.people["acc-carl"].code())
        form.submit_and_close()
        wait_until("the decision", lambda: ("acc-carl", "approve") in world.decisions(KEY))
        page.screenshot(path=OUT / "single-sign-on-run.png", animations="disabled")
        assert [answer for answer in answers if answer[0] in {401, 403, 500, 502}] == []
    assert world.wait_for_end(run["id"]) == "Decided"
