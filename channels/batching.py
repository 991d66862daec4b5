"""Calls made of messages: as full as the provider takes, and only of messages that may share a call."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from channels.message import Capabilities, Content, EmailContent, MiniProgramContent, PushContent, SmsContent

T = TypeVar("T")


def into_calls(items: Iterable[tuple[Content, T]], capabilities: Capabilities) -> list[list[T]]:
    """Split into calls of at most `batch_size`, keeping the order within each.

    A call carries one template; where the provider has no personal content in a batch, one content.
    """
    if capabilities.batch_size == 1:
        return [[item] for _, item in items]
    groups: dict[object, list[T]] = {}
    for content, item in items:
        key = _template(content) if capabilities.personal_content else _identity(content)
        groups.setdefault(key, []).append(item)
    size = capabilities.batch_size
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


def _template(content: Content) -> object:
    return content.template if isinstance(content, SmsContent | MiniProgramContent) else None


def _identity(content: Content) -> Sequence[object]:
    match content:
        case SmsContent():
            return (content.text, content.template, *sorted(content.params.items()))
        case EmailContent():
            return (content.subject, content.text, content.html, *sorted(content.headers.items()))
        case PushContent():
            return (content.title, content.body, *sorted(content.extras.items()))
        case MiniProgramContent():
            return (content.template, content.page, *sorted(content.data.items()))
