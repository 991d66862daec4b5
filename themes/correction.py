"""A correction: what those are told whom a theme had reached before it was taken down.

Its file has the notation of a theme file: a `channels` block, of which no channel is needed, and beside it the
`templates` that an email names. Where a message names no account, the theme's own sends it.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from channels.states import Channel
from documents.problem import Problem, listed
from documents.shape import Findings, read_fields, unknown_key
from documents.source import SourceUnreadable, join_path, read_source
from offers.presets import Catalogue, standard_catalogue
from themes.canonical import normalised_values, sha256_hex
from themes.checks import check_messages_fit
from themes.errors import ThemeError
from themes.notation import Key, Notation, Text, Value, Vocabulary
from themes.offer_file import ReadOffer
from themes.template_check import check_messages
from themes.theme import MESSAGES, ChannelMessage, Channels, Offer, Theme
from themes.variables import codes_named

_Templates = Annotated[Mapping[Key, Text], PlainSerializer(dict)]


class CorrectionFile(BaseModel):
    """The top level of the file. Messages are read one by one, each against its own model."""

    model_config = ConfigDict(extra="forbid")

    channels: Annotated[dict[str, Any], Field(strict=True)]
    templates: _Templates = Field(default_factory=dict)


class Correction(Value):
    """What is said on each channel; `templates` holds the texts that its email names."""

    channels: Channels
    templates: _Templates = Field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Plain JSON, in the one form of the same correction."""
        content: dict[str, Any] = normalised_values(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        return content

    @property
    def hash(self) -> str:
        return sha256_hex(self.content())

    def said_by(self, theme: Theme) -> Theme:
        """The theme with this in the place of its own messages, for whoever renders."""
        return theme.model_copy(update={"channels": self.channels, "templates": self.templates})


class CorrectionInvalid(ThemeError):
    """The correction has problems; all that could be seen at once are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(["the correction cannot be sent as it is:", *(f"  {one}" for one in self.problems)]))


def parse_correction(text: str, *, theme: Theme, known: Vocabulary, catalogue: Catalogue | None = None) -> Correction:
    """Read the file of a correction to a theme, with the checks that the theme's own messages went through.

    Args:
        text: the YAML of the file.
        theme: what is corrected.
        known: what is known outside the file.
        catalogue: the rule presets; without it the ones that come with the project.

    Raises:
        CorrectionInvalid: with every problem that could be seen at once.
    """
    try:
        source = read_source(text, is_not="a correction: the key 'channels:' is missing")
    except SourceUnreadable as unreadable:
        raise CorrectionInvalid(unreadable.problems) from unreadable
    findings = Findings(lines=source.lines, unread=source.problems)
    notation = Notation(zone=theme.zone, currency=theme.currency, known=known)
    fields = read_fields(CorrectionFile, source.values, at="", context=notation, findings=findings)
    templates: Mapping[str, str] = fields.get("templates", {})
    messages = _read_messages(fields.get("channels"), theme=theme, notation=notation, findings=findings)
    check_messages_fit(messages, templates, findings=findings)
    check_messages(
        messages,
        templates,
        offers=_offers(theme, catalogue or standard_catalogue()),
        known=known,
        findings=findings,
        # Whoever was reached has these already: a correction needs none of its own.
        codes_of=lambda channel: codes_named(theme, channel),
    )
    if problems := findings.in_order():
        raise CorrectionInvalid(problems)
    return _correction(messages, templates)


def load_correction(content: Mapping[str, Any]) -> Correction:
    """The correction that was frozen.

    Raises:
        CorrectionInvalid: the content is not that of a correction.
    """
    try:
        return Correction.model_validate(content)
    except ValidationError as error:
        raise CorrectionInvalid(
            [Problem(path="", message=f"was not kept as this version reads it: {error}")]
        ) from error


def _read_messages(
    values: Mapping[str, object] | None, *, theme: Theme, notation: Notation, findings: Findings
) -> dict[Channel, dict[str, Any]]:
    if values is not None and not values:
        findings.add(
            "channels", "has no channel; without any there is no correction", allowed=listed(Channels.model_fields)
        )
    used, messages = theme.channels.used(), {}
    for name, message in (values or {}).items():
        path = join_path("channels", name)
        if name not in Channels.model_fields:
            unknown_key(name, Channels.model_fields, at="channels", findings=findings)
        elif (channel := Channel(name)) not in used:
            there = listed([one.value for one in used])
            findings.add(path, "is not a channel of this theme, so nobody was reached on it", allowed=there)
        else:
            whole = {"account": used[channel].account, **message} if isinstance(message, Mapping) else message
            messages[channel] = read_fields(MESSAGES[channel], whole, at=path, context=notation, findings=findings)
    return messages


def _offers(theme: Theme, catalogue: Catalogue) -> list[ReadOffer]:
    """The theme's offers as the checks of templates know them: by id and preset."""
    return [_known(offer, catalogue) for offer in theme.offers()]


def _known(offer: Offer, catalogue: Catalogue) -> ReadOffer:
    preset = catalogue.of(offer.preset, offer.preset_version)
    return ReadOffer(kind=offer.kind, path="", preset=preset, fields={"id": offer.id})


def _correction(messages: Mapping[Channel, dict[str, Any]], templates: Mapping[str, str]) -> Correction:
    said: dict[str, ChannelMessage] = {
        channel.value: MESSAGES[channel].model_construct(**message) for channel, message in messages.items()
    }
    email = messages.get(Channel.EMAIL, {})
    used = {name: templates[name] for name in (email.get("html"), email.get("text")) if name}
    return Correction(channels=Channels.model_validate(said), templates=used)
