# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What every scenario of delivery finds: approved themes, provider accounts at a sandbox, and customers by number."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import yaml
from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.account_file import AccountEntry, Limits
from channels.service.provider import apply_account
from channels.states import Channel
from sandbox.credentials import Accounts
from sandbox.process import Running
from tests.integration.scene import LINE, MORNING, Scene
from themes.service import launch

ZONE = "Europe/London"
STARTS_AT, ENDS_AT = "2027-03-06T00:00", "2027-05-01T00:00"
#: The offer of `flash` is over long before its theme is.
OFFERS_END = {"spring": ENDS_AT, "summer": ENDS_AT, "flash": "2027-03-06T23:00"}
THEMES = tuple(OFFERS_END)
ACCOUNTS = {
    Channel.SMS: "sms-main",
    Channel.EMAIL: "mail-main",
    Channel.PUSH: "push-main",
    Channel.MINI_PROGRAM: "wechat-main",
}


def _limits(rules: str) -> str:
    return f"limits:\n  - product_line: {LINE}\n    {rules}\n"


#: What ops may lay down, by the name that scenarios call it.
LIMITS = {
    "one-a-day": _limits("caps: [{cap: daily, most: 1, per: day}]"),
    "one-in-24-hours": _limits("caps: [{cap: rolling, most: 1, per: 24h}]"),
    "quiet-nights": _limits('quiet_hours: [{channels: [sms, email, push, mini_program], hours: "21:00-08:00"}]'),
}
CORRECTION = """\
channels:
  push: {title: A mistake, body: "It was a mistake."}
  sms: {template: SMS_9, params: {name: "{{ customer.name }}"}}
"""
#: A call that is never answered is given up after this; long, for machines that have much to do.
CALL_SECONDS = 20.0
_GRACE = timedelta(days=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The name of a database that holds all of it; each scenario plays in a copy."""

    name: str
    scene: Scene
    key: str  # which the secrets of accounts are encrypted with
    sandbox: Running


def theme_text(key: str) -> str:
    coupon = {
        "id": "spring-20",
        "preset": "full_reduction",
        "name": "20 off from 100",
        "at": "100.00",
        "amount": "20.00",
        "scope": {"all": True},
        "total": 500,
        "per_customer": 1,
        "claim": {"from": STARTS_AT, "to": OFFERS_END[key]},
        "valid": {"from": STARTS_AT, "to": OFFERS_END[key]},
    }
    said = f"{key}, as it was approved"
    content = {
        "theme": key,
        "title": f"The theme {key}",
        "product_line": LINE,
        "author": "ann",
        "currency": "GBP",
        "timezone": ZONE,
        "window": {"from": STARTS_AT, "to": ENDS_AT},
        "goals": {"gmv": "1000.00"},
        "budget": "500.00",
        "coupons": [coupon],
        "audience": {"include": ["registered_no_order"]},
        "channels": {
            "sms": {"account": "sms-main", "text": f"{said}: {{{{ customer.name }}}}"},
            "email": {"account": "mail-main", "subject": said, "text": "mail.txt.j2"},
            "push": {"account": "push-main", "title": said, "body": "For {{ customer.name }}"},
            "mini_program": {"account": "wechat-main", "template": "TPL", "data": {"thing1": said[:20]}},
        },
        "placements": [],
        "policy": "demo",
    }
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


TEMPLATES = {"mail.txt.j2": "{{ customer.name }}: {{ theme.title }}, as it was approved. {{ unsubscribe_link }}\n"}


def approve_themes(scene: Scene) -> None:
    for key in THEMES:
        scene.draft(theme_text(key), templates=TEMPLATES)
        scene.submit(key)
        scene.approve_all(key)


def apply_accounts(session: Session, scene: Scene, sandbox: Running) -> None:
    for entry, secrets in account_entries(sandbox):
        apply_account(session, entry=entry, secrets=secrets, cipher=scene.rules.cipher)


def account_entries(sandbox: Running) -> Iterable[tuple[AccountEntry, Mapping[str, str]]]:
    known = Accounts()
    reached = {"base_url": sandbox.http, "timeout": CALL_SECONDS}
    values: Mapping[Channel, tuple[str, dict[str, Any], dict[str, str]]] = {
        Channel.SMS: (
            "aliyun",
            {**reached, "access_key_id": known.aliyun.access_key_id, "sign_name": "Spring", "template_code": "SMS_1"},
            {"access_key_secret": known.aliyun.access_key_secret},
        ),
        Channel.EMAIL: (
            "smtp",
            {
                "host": sandbox.smtp_host,
                "port": sandbox.smtp_port,
                "security": "none",
                "sender": "spring@example.com",
                "timeout": CALL_SECONDS,
            },
            {},
        ),
        Channel.PUSH: (
            "jpush",
            {**reached, "app_key": known.jpush.app_key},
            {"master_secret": known.jpush.master_secret},
        ),
        Channel.MINI_PROGRAM: (
            "wechat",
            {**reached, "app_id": known.wechat.appid},
            {"app_secret": known.wechat.secret},
        ),
    }
    for channel, (provider, settings, secrets) in values.items():
        entry = AccountEntry(
            account=ACCOUNTS[channel],
            product_line=LINE,
            channel=channel,
            provider=provider,
            settings=settings,
            limits=Limits(windows=()),  # as fast as it goes, unless a scenario says how fast
        )
        yield entry, secrets


def add_customers(session: Session, count: int, channels: Iterable[Channel]) -> None:
    """Customers 1 to `count`, who agreed to hear from us on all these channels."""
    line = session.scalar(text("SELECT id FROM product_lines WHERE key = :key"), {"key": LINE})
    session.execute(
        text(
            "INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)"
            " SELECT :line, n::text, 'Customer ' || n, 'GB', :zone, 'en', true FROM generate_series(1, :count) n"
        ),
        {"line": line, "count": count, "zone": ZONE},
    )
    for channel in channels:
        session.execute(
            text(
                f"INSERT INTO addresses (customer_id, channel, address, original) SELECT id, :channel, {_MADE[channel]}"
                ", '' FROM customers WHERE product_line_id = :line"
            ),
            {"line": line, "channel": channel},
        )
        session.execute(
            text(
                "INSERT INTO consents (customer_id, channel, granted, source, recorded_at)"
                " SELECT id, :channel, true, 'test', :at FROM customers WHERE product_line_id = :line"
            ),
            {"line": line, "channel": channel, "at": MORNING},
        )


_MADE = {
    Channel.SMS: "'+447' || lpad(external_id, 9, '0')",
    Channel.EMAIL: "'customer-' || external_id || '@gb.example.com'",
    Channel.PUSH: "'1a00' || lpad(external_id, 15, '0')",
    Channel.MINI_PROGRAM: "'oSandbox_' || lpad(external_id, 19, '0')",
}


def address_of(channel: Channel, number: int) -> str:
    made = {
        Channel.SMS: f"+447{number:09d}",
        Channel.EMAIL: f"customer-{number}@gb.example.com",
        Channel.PUSH: f"1a00{number:015d}",
        Channel.MINI_PROGRAM: f"oSandbox_{number:019d}",
    }
    return made[channel]


def spare_of(channel: Channel) -> str:
    return f"{ACCOUNTS[channel].partition('-')[0]}-spare"


def put_live(session: Session, theme_id: int, now: datetime) -> None:
    """Schedule an approved theme and start it, as the launch run does; started twice it is live once."""
    wanted = launch.launch_to_schedule(session, theme_id)
    if wanted is not None:
        launch.schedule(session, launch=wanted, run_id=uuid4(), now=now)
        launch.start(
            session, theme_id=theme_id, revision_id=wanted.revision_id, grace=_GRACE, now=now, flow_run_id=None
        )
