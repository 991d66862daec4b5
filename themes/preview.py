"""What one recipient would get on every channel of a theme, for people to look at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from channels.message import Content, EmailContent, MiniProgramContent, PushContent, SmsContent
from channels.states import Channel
from themes.render import Renderer, RenderFailed
from themes.theme import Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The texts of one channel by name, or why there are none."""

    channel: Channel
    texts: Mapping[str, str]
    failure: str | None = None

    def __str__(self) -> str:
        lines = [f"── {self.channel} ──", *(f"{name}: {text}" for name, text in self.texts.items())]
        return "\n".join([*lines, f"not possible: {self.failure}"] if self.failure else lines)


def preview(theme: Theme, recipient: Mapping[str, Any]) -> tuple[Preview, ...]:
    """One preview per channel in use; a channel whose message fails for this recipient says so."""
    return tuple(_of_channel(theme, channel, recipient) for channel in theme.channels.used())


def _of_channel(theme: Theme, channel: Channel, recipient: Mapping[str, Any]) -> Preview:
    try:
        content = Renderer(theme, channel).render(recipient)
    except RenderFailed as failed:
        return Preview(channel=channel, texts={}, failure=str(failed))
    return Preview(channel=channel, texts={name: text for name, text in _texts(content) if text})


def _texts(content: Content) -> Iterator[tuple[str, str]]:
    match content:
        case SmsContent():
            yield from (("text", content.text), ("template", content.template or ""), *content.params.items())
        case EmailContent():
            yield from (("subject", content.subject), ("text", content.text), ("html", content.html))
            yield from content.headers.items()
        case PushContent():
            yield from (("title", content.title), ("body", content.body), *content.extras.items())
        case MiniProgramContent():
            yield from (("template", content.template), *content.data.items(), ("page", content.page or ""))
