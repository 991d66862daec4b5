"""Bad input at the command line: one clear message with place and remedy, exit status 2, and nothing written."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text

from console.prefect_api import PrefectApi
from tests.integration.command_line import CommandLine
from tests.integration.scene import EXAMPLES, TEMPLATES, Scene, theme_text

TABLES = (
    "people",
    "policies",
    "provider_accounts",
    "themes",
    "audit",
    "customers",
    "orders",
    "product_lines",
    "alerts",
)
NOWHERE = "postgresql://someone:hidden@127.0.0.1:1/none"


@pytest.fixture
def untouched(scene: Scene) -> Iterator[None]:
    """Whatever the test does, no row is added anywhere."""
    before = counts(scene)
    yield
    assert counts(scene) == before


def counts(scene: Scene) -> dict[str, int]:
    with scene.begin() as session:
        return {table: session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in TABLES}  # noqa: S608 - our own names


def theme_file(folder: Path, content: str) -> str:
    for name, template in TEMPLATES.items():
        (folder / name).write_text(template, encoding="utf-8")
    path = folder / "theme.yaml"
    path.write_text(content, encoding="utf-8")
    return str(path)


OLD_COUPON, NEW_COUPON = "('women-20-off-100').name }} until", "('women-20').name }} until"
BAD_THEMES = [
    # broken YAML: the line
    ("broken YAML", ("budget:", "budget: ["), ["line", "YAML"]),
    ("unknown key", ("budget:", "bugdet:"), ["bugdet", "did you mean", "budget"]),
    ("end before start", ('to: "2027-03-09T00:00"}', 'to: "2027-03-05T00:00"}'), ["window", "2027-03-05"]),
    ("unknown coupon", (OLD_COUPON, NEW_COUPON), ["channels.sms.text", "women-20'", "women-20-off-100"]),
    ("unknown segment", ("ordered_once,", "ordered_onse,"), ["audience.include", "ordered_onse", "ordered_once"]),
    ("template syntax error", ("{{ link }}", "{{ link "), ["channels.sms.text"]),
    ("unknown policy", ("policy: demo", "policy: demoo"), ["policy", "demoo", "demo"]),
    ("unknown account", ("account: sms-main", "account: sms-mein"), ["channels.sms.account", "sms-mein", "sms-main"]),
    ("unknown author", ("author: ann", "author: anne"), ["author", "anne", "ann"]),
]  # fmt: skip


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("edit", "named"), [row[1:] for row in BAD_THEMES], ids=[row[0] for row in BAD_THEMES])
def test_theme_file_with_a_mistake_is_refused_with_its_place_and_what_is_allowed(
    cli: CommandLine, tmp_path: Path, edit: tuple[str, str], named: list[str]
) -> None:
    file = theme_file(tmp_path, theme_text(edit))
    told = cli.refusal("theme", "validate", file)
    assert [word for word in named if word not in told] == []
    assert cli.refusal("theme", "draft", file, "--login", "ann") == told


def test_every_mistake_of_a_theme_file_is_told_at_once(cli: CommandLine, tmp_path: Path) -> None:
    file = theme_file(tmp_path, theme_text(("budget:", "bugdet:"), ("ordered_once,", "ordered_onse,")))
    told = cli.refusal("theme", "validate", file)
    assert "bugdet" in told
    assert "ordered_onse" in told


def test_missing_file_is_named(cli: CommandLine, tmp_path: Path) -> None:
    assert str(tmp_path / "none.yaml") in cli.refusal("theme", "validate", str(tmp_path / "none.yaml"))


POLICY = yaml.safe_load((EXAMPLES / "demo-policy.yaml").read_text(encoding="utf-8"))


def level(**changes: object) -> dict[str, object]:
    return {"level": "finance", "approvers": ["carl", "cyn"], "quorum": "any", **changes}


BAD_POLICIES = [
    ("unreachable quorum", level(quorum={"count": 3}), ["theme[0].quorum", "found count 3", "at most 2"]),
    ("unknown approver", level(approvers=["carol"]), ["carol", "carl"]),
    ("unknown role", level(approvers=["role:finanse"]), ["finanse"]),
    ("unknown key", level(qourum="any"), ["qourum", "quorum"]),
    ("unknown quorum", level(quorum="most"), ["quorum", "most", "any"]),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("row", "named"), [row[1:] for row in BAD_POLICIES], ids=[row[0] for row in BAD_POLICIES])
def test_policy_that_cannot_work_is_refused_when_it_is_applied(
    cli: CommandLine, tmp_path: Path, row: dict[str, object], named: list[str]
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump({**POLICY, "policy": "new", "theme": [row]}), encoding="utf-8")
    told = cli.refusal("policy", "apply", str(file))
    assert [word for word in named if word not in told] == []


@pytest.mark.usefixtures("untouched")
def test_without_a_secret_key_nobody_is_enrolled(cli: CommandLine) -> None:
    told = cli.refusal("people", "add", "eve", "--name", "Eve", THEMELINE_SECRET_KEY=None)
    assert "THEMELINE_SECRET_KEY" in told


@pytest.mark.usefixtures("untouched")
def test_login_that_is_taken_is_refused_with_what_to_do(cli: CommandLine) -> None:
    assert "themeline people enrol ann" in cli.refusal("people", "add", "ann", "--name", "Another Ann")


def test_unknown_person_theme_and_delivery_are_named_with_the_nearest(cli: CommandLine, scene: Scene) -> None:
    scene.draft()
    assert "did you mean 'ann'" in cli.refusal("inbox", "anne")
    assert "did you mean 'womens-day-2027'" in cli.refusal("theme", "show", "womens-day-2028")
    assert "did you mean 'womens-day-2027'" in cli.refusal("deliveries", "list", "--theme", "womens-day-2028")
    unknown = "00000000-0000-0000-0000-000000000000"
    assert unknown in cli.refusal("deliveries", "show", unknown)


GOOD_MAIL = {"host": "mail.example.com", "sender": "offers@example.com"}


def account(**changes: object) -> dict[str, object]:
    good = {"product_line": "giftware-eu", "channel": "email", "provider": "smtp", "settings": GOOD_MAIL}
    return {"account": "new", **good, **changes}


BAD_ACCOUNTS = [
    ("setting missing", account(settings={"host": "mail.example.com"}), ["'new'", "sender"]),
    ("unknown setting", account(settings={**GOOD_MAIL, "prot": 25}), ["'new'", "prot"]),
    ("unknown provider", account(provider="sendmail"), ["sendmail", "smtp"]),
    ("unknown channel", account(channel="mail"), ["channel", "email"]),
    ("unknown product line", account(product_line="giftware-us"), ["giftware-us", "giftware-eu"]),
    ("unset variable", account(secrets={"password": "ACC_NOT_SET"}), ["ACC_NOT_SET", "not set"]),
    ("unknown limit", account(limits={"rate": 5}), ["limits", "rate"]),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("row", "named"), [row[1:] for row in BAD_ACCOUNTS], ids=[row[0] for row in BAD_ACCOUNTS])
def test_one_wrong_account_of_a_file_keeps_all_of_them_out(
    cli: CommandLine, tmp_path: Path, row: dict[str, object], named: list[str]
) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_text(yaml.safe_dump({"accounts": [account(account="good"), row]}), encoding="utf-8")
    told = cli.refusal("accounts", "apply", str(file))
    assert [word for word in named if word not in told] == []


HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
ROWS = [
    "536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,01/12/2010 08:26,2.55,17850,United Kingdom",
    "536366,71053,WHITE METAL LANTERN,many,01/12/2010 08:26,3.39,17851,United Kingdom",
    "536367,71053,WHITE METAL LANTERN,1,01/12/2010 08:26,3.39,17852,Atlantis",
]


def retail_file(folder: Path) -> str:
    (folder / "retail.csv").write_text("\n".join([HEADER, *ROWS]) + "\n", encoding="utf-8")
    return str(folder / "retail.csv")


def test_bad_rows_of_an_import_are_written_out_with_their_reason_and_the_good_ones_kept(
    cli: CommandLine, tmp_path: Path
) -> None:
    report = cli.json("import", "retail", retail_file(tmp_path), "--product-line", "new")
    assert report["changed"]["customers"]["inserted"] == 1
    with Path(report["rejected_file"]).open(encoding="utf-8", newline="") as opened:
        rejected = list(csv.DictReader(opened))
    assert [(row["line"], row["InvoiceNo"]) for row in rejected] == [("3", "536366"), ("4", "536367")]
    assert all(row["reason"] for row in rejected)


@pytest.mark.usefixtures("untouched")
def test_import_that_cannot_write_out_its_bad_rows_keeps_nothing(cli: CommandLine, tmp_path: Path) -> None:
    rejected = str(tmp_path / "no" / "such" / "folder.csv")
    told = cli.refusal("import", "retail", retail_file(tmp_path), "--product-line", "new", "--rejected", rejected)
    assert rejected in told


@pytest.mark.usefixtures("untouched")
def test_file_that_is_no_retail_file_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert "InvoiceNo" in cli.refusal("import", "retail", str(tmp_path / "other.csv"))


READS = [("theme", "list"), ("people", "list"), ("inbox", "ann"), ("deliveries", "list"), ("audit", "verify")]


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_database_that_is_down_is_named_without_its_password(cli: CommandLine, words: tuple[str, ...]) -> None:
    told = cli.refusal(*words, THEMELINE_DATABASE_URL=NOWHERE)
    assert "127.0.0.1:1" in told
    assert "themeline up" in told
    assert "hidden" not in told


@pytest.mark.parametrize("url", ["sqlite:///theme.db", "not an address", "mysql://someone:hidden@127.0.0.1/none"])
def test_database_that_is_no_postgresql_is_refused_without_its_password(cli: CommandLine, url: str) -> None:
    told = cli.refusal("theme", "list", THEMELINE_DATABASE_URL=url)
    assert "THEMELINE_DATABASE_URL" in told
    assert "hidden" not in told


def test_setting_that_cannot_be_read_is_named(cli: CommandLine) -> None:
    told = cli.refusal("theme", "list", THEMELINE_PREFECT_PORT="many")
    assert "THEMELINE_PREFECT_PORT" in told


def test_nothing_configured_says_how_to_begin(cli: CommandLine) -> None:
    assert "themeline up" in cli.refusal("theme", "list", THEMELINE_DATABASE_URL=None)


SIGNED = ("--login", "ann", "--code", "123456", "--comment", "why")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("verb", ["submit", "withdraw", "recall", "pause", "launch-now"])
def test_verbs_that_start_a_flow_say_when_prefect_is_not_there(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    assert "PREFECT_API_URL" in cli.refusal("theme", verb, "womens-day-2027", *SIGNED)
    defaults = {**(PrefectApi.__init__.__kwdefaults__ or {}), "patience": timedelta(seconds=0.1)}
    monkeypatch.setattr(PrefectApi.__init__, "__kwdefaults__", defaults)
    down = "http://127.0.0.1:1/api"
    told = cli.refusal("theme", verb, "womens-day-2027", *SIGNED, PREFECT_API_URL=down)
    assert down in told
    assert "themeline up" in told


BAD_OPTIONS = [
    ("deliveries", "retry", "womens-day-2027", "--since", "yesterday"),
    ("deliveries", "retry", "womens-day-2027", "--since", "2027-03-06T09:00"),
    ("theme", "move-start", "womens-day-2027", "--start-at", "soon", *SIGNED),
]


@pytest.mark.parametrize("words", BAD_OPTIONS, ids=lambda words: " ".join(words[:2]))
def test_time_that_cannot_be_read_is_refused_with_an_example(cli: CommandLine, words: tuple[str, ...]) -> None:
    assert "+00:00" in cli.refusal(*words)


def test_export_that_cannot_be_written_leaves_what_was_there(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("before", encoding="utf-8")
    cli.refusal("deliveries", "export", "--to", str(tmp_path / "kept.csv"), "--theme", "nothing")
    assert (tmp_path / "kept.csv").read_text(encoding="utf-8") == "before"
    assert str(tmp_path / "no") in cli.refusal("deliveries", "export", "--to", str(tmp_path / "no" / "file.csv"))
    assert sorted(path.name for path in tmp_path.iterdir() if "csv" in path.name) == ["kept.csv"]
