"""The provider clients under test, pointed at the sink, and what is sent: the same for senders, bare loop and peers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from channels.message import Content, Provider
from channels.registry import build_provider
from channels.states import Channel
from channels.transport import Transport
from themes.document import Vocabulary, parse_theme
from themes.recipient import RecipientLinks
from themes.render import Renderer
from themes.signed_links import LinkSigner

EXAMPLE = Path(__file__).parents[1] / "examples" / "womens-day"
#: Of each account: provider, settings, secrets.
_ACCOUNTS: Mapping[Channel, tuple[str, dict[str, str], dict[str, str]]] = {
    Channel.SMS: (
        "aliyun",
        {"access_key_id": "benchmark", "sign_name": "Themeline", "template_code": "SMS_1"},
        {"access_key_secret": "benchmark"},
    ),
    Channel.PUSH: ("jpush", {"app_key": "benchmark"}, {"master_secret": "benchmark"}),
    Channel.MINI_PROGRAM: ("wechat", {"app_id": "benchmark"}, {"app_secret": "benchmark"}),
}


def provider_for(channel: Channel, sink: str, transport: Transport) -> Provider:
    provider, settings, secrets = _ACCOUNTS[channel]
    return build_provider(
        account="benchmark",
        channel=channel,
        provider=provider,
        settings={**settings, "base_url": sink},
        secrets=secrets,
        transport=transport,
    )


def renderer(channel: Channel) -> Callable[[Mapping[str, Any]], Content]:
    """Each recipient's message of the example theme, as a sender makes it: template, name and a signed way out."""
    templates = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
    text = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
    text = text.replace('{thing1: "', '{thing3: "{{ customer.name | truncate_chars(20) }}", thing1: "')
    text = text.replace('body: "', 'body: "{{ customer.name }}: ')
    theme = parse_theme(text, templates=templates, known=Vocabulary())
    made = Renderer(theme, channel)
    links = RecipientLinks(theme.key, public_url="https://go.example.com", signer=LinkSigner([bytes(32)]))

    def render(recipient: Mapping[str, Any]) -> Content:
        own = links.of(recipient["delivery_id"]) if made.leads_out else links.to_theme
        return made.render({**recipient, **own})

    return render


def customer(number: int, delivery_id: UUID) -> Mapping[str, Any]:
    """What a message says of somebody who stands in no database."""
    facts = {"id": f"c{number}", "name": f"Customer {number}", "country": "GB", "language": "en"}
    return {"delivery_id": delivery_id, "customer": {**facts, "timezone": "Europe/London"}}
