"""What one recipient would get on every channel of a theme, for people to look at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from approval.markdown import plain, quotation
from approval.wording import both
from channels.message import Content, EmailContent, MiniProgramContent, PushContent, SmsContent
from channels.states import Channel
from themes.render import Renderer, RenderFailed
from themes.theme import Theme

_SPOKEN = ("subject", "title", "text", "body")
_TECHNICAL = frozenset({"template", "page", "html"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The texts of one channel by name, or why there are none."""

    channel: Channel
    texts: Mapping[str, str]
    failure: str | None = None

    def __str__(self) -> str:
        lines = [f"── {self.channel} ──", *(f"{name}: {text}" for name, text in self.texts.items())]
        return "\n".join([*lines, f"not possible: {self.failure}"] if self.failure else lines)

    def excerpt(self) -> str:
        """What it says to people: its subject or title and its text; of a provider's template the values put in."""
        spoken = [self.texts[name] for name in _SPOKEN if name in self.texts]
        return " · ".join(spoken or [text for name, text in self.texts.items() if name not in _TECHNICAL])

    def page(self) -> str:
        """The whole as Markdown, for readers of either language. Of a mail its text, not its HTML."""
        told = [(name, text) for name, text in self.texts.items() if name != "html"]
        blocks = [f"**{plain(both(name))}**\n\n{quotation(text)}" for name, text in told]
        failure = [plain(both("not_possible", because=self.failure))] if self.failure else []
        return "\n\n".join([both("preview_whom"), *blocks, *failure]) + "\n"


def preview(theme: Theme, recipient: Mapping[str, Any]) -> tuple[Preview, ...]:
    """One preview per channel in use; a channel whose message fails for this recipient says so."""
    return tuple(_of_channel(theme, channel, recipient) for channel in theme.channels.used())


def preview_key(theme_id: int, revision: int, channel: str) -> str:
    """What a revision's preview is published under; it may hold nothing but `[a-z0-9-]`."""
    return f"preview-theme-{theme_id}-r{revision}-{channel.replace('_', '-')}"


def preview_link(theme_id: int, revision: int, channel: str, *, ui: str = "") -> str:
    """Where it shows in Prefect's UI; without the address of that it leads there from within it."""
    return f"{ui.rstrip('/')}/artifacts/key/{preview_key(theme_id, revision, channel)}"


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
