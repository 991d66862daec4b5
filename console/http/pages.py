"""The few pages that people who got a message may see: plain HTML without scripts, in their language."""

from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

from channels.states import Channel

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    title: str
    ask: str
    button: str
    done: str
    preview: str
    unknown: str
    channels: dict[Channel, str]


_ENGLISH = Words(
    title="Unsubscribe",
    ask="Do you want no more messages from {line} by {channel}?",
    button="Unsubscribe",
    done="You will get no more messages from {line} by {channel}.",
    preview="This link belongs to a preview: nobody is unsubscribed by it.",
    unknown="This link is not valid. If it came in a message, please copy it whole.",
    channels={
        Channel.SMS: "text message",
        Channel.EMAIL: "email",
        Channel.PUSH: "app notification",
        Channel.MINI_PROGRAM: "mini-program message",
    },
)
_CHINESE = Words(
    title="退订",
    ask="您确定不再通过{channel}接收 {line} 的消息吗?",
    button="退订",
    done="您将不再通过{channel}收到 {line} 的消息。",
    preview="此链接来自预览,不会退订任何人。",
    unknown="此链接无效。如果它来自某条消息,请完整复制后重试。",
    channels={
        Channel.SMS: "短信",
        Channel.EMAIL: "电子邮件",
        Channel.PUSH: "应用通知",
        Channel.MINI_PROGRAM: "小程序消息",
    },
)
_STYLE = (
    "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;text-align:center}"
    "button{font:inherit;padding:.6rem 2rem;margin-top:1rem;cursor:pointer}"
)


def words_in(language: str) -> Words:
    """`language` is a BCP 47 tag, or what a browser asks for."""
    return _CHINESE if language.lower().startswith("zh") else _ENGLISH


def ask_page(language: str, *, line: str, channel: Channel) -> HTMLResponse:
    """The button posts to the same address, with what RFC 8058 has a mail program post."""
    words = words_in(language)
    sentence = words.ask.format(line=line, channel=words.channels[channel])
    button = f'<button name="List-Unsubscribe" value="One-Click">{escape(words.button)}</button>'
    return _page(words, f'<p>{escape(sentence)}</p><form method="post">{button}</form>')


def done_page(language: str, *, line: str, channel: Channel) -> HTMLResponse:
    words = words_in(language)
    return _page(words, f"<p>{escape(words.done.format(line=line, channel=words.channels[channel]))}</p>")


def preview_page(language: str) -> HTMLResponse:
    words = words_in(language)
    return _page(words, f"<p>{escape(words.preview)}</p>")


def unknown_page(language: str) -> HTMLResponse:
    words = words_in(language)
    return _page(words, f"<p>{escape(words.unknown)}</p>", status=404)


def _page(words: Words, content: str, *, status: int = 200) -> HTMLResponse:
    tag = "zh" if words is _CHINESE else "en"
    head = (
        f'<meta charset="utf-8"><title>{escape(words.title)}</title><meta name="viewport" content="width=device-width">'
    )
    return HTMLResponse(
        f'<!doctype html><html lang="{tag}"><head>{head}<style>{_STYLE}</style></head><body>{content}</body></html>',
        status_code=status,
        headers=HEADERS,
    )
