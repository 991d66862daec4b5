"""The texts of a message: every place in a theme file that is a template."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from channels.states import Channel

_PLAIN_FIELDS = {
    Channel.SMS: ("text",),
    Channel.EMAIL: ("subject",),
    Channel.PUSH: ("title", "body"),
    Channel.MINI_PROGRAM: ("page",),
}
_MAPPED_FIELDS = {Channel.SMS: "params", Channel.PUSH: "extras", Channel.MINI_PROGRAM: "data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField:
    """One text of one channel. `name` is `body`, or `data.thing1`; `file` names the template file it stands in."""

    channel: Channel
    name: str
    text: str
    file: str | None = None
    html: bool = False

    @property
    def path(self) -> str:
        return f"channels.{self.channel}.{self.name}"

    def place(self, line: int | None) -> str:
        """For the beginning of a message: where in the template it is."""
        if self.file:
            return f"{self.file}, line {line}: "
        return f"template line {line}: " if "\n" in self.text.strip() else ""


def fields_of(channel: Channel, message: Mapping[str, Any], templates: Mapping[str, str]) -> Iterator[TextField]:
    """Every text of a message, of those that are there."""
    for name in _PLAIN_FIELDS[channel]:
        if message.get(name) is not None:
            yield TextField(channel=channel, name=name, text=message[name])
    mapped = _MAPPED_FIELDS.get(channel)
    for name, text in (message.get(mapped) or {}).items() if mapped else ():
        yield TextField(channel=channel, name=f"{mapped}.{name}", text=text)
    if channel is Channel.EMAIL:
        yield from _files(message, templates)


def _files(message: Mapping[str, Any], templates: Mapping[str, str]) -> Iterator[TextField]:
    for name in ("html", "text"):
        file = message.get(name)
        if file is not None and file in templates:
            yield TextField(channel=Channel.EMAIL, name=name, text=templates[file], file=file, html=name == "html")
