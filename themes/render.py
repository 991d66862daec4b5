"""From a theme's messages to what one recipient gets: compiled once per revision and channel, used for everybody."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError

from channels.message import Content, EmailContent, MiniProgramContent, PushContent, SmsContent
from channels.states import Channel
from themes import mini_program_limits
from themes.errors import ThemeError
from themes.messages import TextField, fields_of
from themes.recipient import MADE_UP_CODES
from themes.templating import (
    CODE,
    RECIPIENT_NAMES,
    THEME_NAMES,
    MessageEnvironment,
    NotThere,
    Record,
    codes_by_coupon,
    environment_of,
    inline_assignments,
    line_of_failure,
    names_in,
    theme_names,
)
from themes.theme import EmailMessage, MiniProgramMessage, PushMessage, SmsMessage, Theme
from themes.variables import codes_named, required_variables

_LINKS = tuple(RECIPIENT_NAMES - {"customer", CODE})


class RenderFailed(ThemeError):
    """A message could not be made for a recipient."""

    def __init__(self, *, channel: Channel, field: str, line: int | None, message: str) -> None:
        self.channel, self.field, self.line, self.message = channel, field, line, message
        where = f"channels.{channel}.{field}" + (f", line {line}" if line else "")
        super().__init__(f"{where}: {message}")


class MissingVariable(RenderFailed):
    """The recipient lacks a value that the message needs."""

    def __init__(self, *, channel: Channel, field: str, line: int | None, variable: str, message: str) -> None:
        self.variable = variable
        super().__init__(channel=channel, field=field, line=line, message=message)


class ChannelUnused(ThemeError):
    """The theme has no message for this channel."""

    def __init__(self, *, channel: Channel, theme: str) -> None:
        self.channel, self.theme = channel, theme
        super().__init__(f"theme {theme!r} has no message for {channel}")


class Renderer:
    """Makes the content of one channel for any recipient; safe to share between threads."""

    def __init__(self, theme: Theme, channel: Channel) -> None:
        message = theme.channels.used().get(channel)
        if message is None:
            raise ChannelUnused(channel=channel, theme=theme.key)
        self._channel = channel
        names = theme_names(theme)
        fields = fields_of(channel, message.model_dump(), theme.templates)
        texts = {field.name: _Text(field, names) for field in fields}
        self._same = {name: text.constant for name, text in texts.items() if text.constant is not None}
        self._texts = {name: text for name, text in texts.items() if text.constant is None}
        self._assemble = _assembler(message)
        #: Coupons of which every recipient needs a code of her own.
        self.codes = codes_named(theme, channel)
        self._known = required_variables(theme, channel) if self.codes else frozenset()
        #: Whether `unsubscribe_link` is of any use to the message.
        self.leads_out = channel is Channel.EMAIL or any("unsubscribe_link" in text.names for text in texts.values())

    def render(self, recipient: Mapping[str, Any]) -> Content:
        """The content for one recipient.

        Args:
            recipient: `customer` (a mapping of name, country, language …), `link`, `unsubscribe_link`, and `codes` by
                coupon where the message carries some. A value that is None or blank counts as missing.

        Raises:
            MissingVariable: the message uses a value that this recipient lacks.
            RenderFailed: anything else, a mini-program field over its limit among them. No code stands in it.
        """
        if not self.codes:
            return self._made(recipient)
        try:
            return self._made(recipient)
        except Exception as failed:  # noqa: BLE001 - whatever it is, its words may hold a code
            raise self._said_without_codes(recipient, failed) from None

    def _made(self, recipient: Mapping[str, Any]) -> Content:
        variables: dict[str, Any] = {"customer": Record("customer", recipient.get("customer") or {})}
        for name in _LINKS:
            if recipient.get(name):
                variables[name] = recipient[name]
        if self.codes:
            variables[CODE] = codes_by_coupon(recipient.get("codes", {}))
        texts = {name: text.render(variables) for name, text in self._texts.items()}
        return self._assemble({**self._same, **texts}, variables)

    def _said_without_codes(self, recipient: Mapping[str, Any], failed: Exception) -> Exception:
        """The failure in words that hold no code: those with which a made-up one fails."""
        if isinstance(failed, MissingVariable) and failed.variable in self._known:
            return failed
        try:
            self._made({**recipient, "codes": MADE_UP_CODES})
        except Exception as same:  # noqa: BLE001 - as above
            return same
        where = failed if isinstance(failed, RenderFailed) else None
        return RenderFailed(
            channel=self._channel,
            field=where.field if where else "",
            line=where.line if where else None,
            message="cannot be made with the code of this recipient, though it can with another",
        )


class _Text:
    """One compiled text; a plain string where no recipient makes a difference."""

    def __init__(self, field: TextField, names: Mapping[str, Any]) -> None:
        self.field = field
        tree = _folded_tree(field, names)
        self.constant = _text_of(tree)
        self.names = {node.name for node in tree.find_all(nodes.Name)}
        self._env = environment_of(field.channel, html=field.html)
        self._template = self._env.from_string(tree, globals=dict(names))
        self._globals = dict(self._template.globals)  # looked up in one dictionary, not in the chain that Jinja keeps
        self._body = self._template.root_render_func

    def render(self, variables: dict[str, Any]) -> str:
        everything = {**self._globals, **variables}
        context = self._env.context_class(self._env, everything, self._template.name, self._template.blocks)
        try:
            return "".join(self._body(context))
        except NotThere as missing:
            raise self.missing(missing) from missing
        except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise self.failed(error) from error

    def missing(self, missing: NotThere) -> MissingVariable:
        line = line_of_failure(missing, self._template)
        return MissingVariable(
            channel=self.field.channel,
            field=self.field.name,
            line=line,
            variable=missing.variable,
            message=str(missing),
        )

    def failed(self, error: Exception) -> RenderFailed:
        line = line_of_failure(error, self._template)
        refused = "not allowed in a message: " if isinstance(error, SecurityError) else ""
        message = f"{refused}{error}"
        return RenderFailed(channel=self.field.channel, field=self.field.name, line=line, message=message)


def _folded_tree(field: TextField, names: Mapping[str, Any]) -> nodes.Template:
    """The template, with what is the same for everybody already in place: most of the work is done here, once."""
    env = environment_of(field.channel, html=field.html)
    tree = inline_assignments(env.parse(field.text))
    stored = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    for output in tree.find_all(nodes.Output):
        output.nodes = [_folded(node, env, names, stored) for node in output.nodes]
    return tree


def _text_of(tree: nodes.Template) -> str | None:
    """The whole text, where no recipient makes a difference to it."""
    parts = [
        node for statement in tree.body for node in (statement.nodes if isinstance(statement, nodes.Output) else [None])
    ]
    texts = [part.data for part in parts if isinstance(part, nodes.TemplateData)]
    return "".join(texts) if len(texts) == len(parts) else None


def _folded(node: nodes.Expr, env: MessageEnvironment, names: Mapping[str, Any], stored: set[str]) -> nodes.Expr:
    used = names_in(node)
    if isinstance(node, nodes.TemplateData) or not used <= THEME_NAMES or used & stored:
        return node
    alone = nodes.Template([nodes.Output([node], lineno=node.lineno)], lineno=1)
    alone.set_environment(env)
    try:
        text = env.from_string(alone, globals=dict(names)).render()
    except (NotThere, TemplateError, ArithmeticError, LookupError, TypeError, ValueError):
        return node  # it fails for those whom it concerns, with its own line
    data = nodes.TemplateData(text, lineno=node.lineno)
    data.set_environment(env)
    return data


Texts = dict[str, str]
Assembler = Callable[[Texts, Mapping[str, Any]], Content]


def _assembler(message: SmsMessage | EmailMessage | PushMessage | MiniProgramMessage) -> Assembler:
    if isinstance(message, SmsMessage):
        return _sms(message)
    if isinstance(message, EmailMessage):
        return _email
    if isinstance(message, PushMessage):
        return _push(message)
    return _mini_program(message)


def _sms(message: SmsMessage) -> Assembler:
    template, params = message.template, tuple(message.params)
    if template is None:
        return lambda texts, _: SmsContent(text=texts["text"])
    return lambda texts, _: SmsContent(template=template, params={name: texts[f"params.{name}"] for name in params})


def _push(message: PushMessage) -> Assembler:
    extras = tuple(message.extras)
    return lambda texts, _: PushContent(
        title=texts["title"], body=texts["body"], extras={name: texts[f"extras.{name}"] for name in extras}
    )


def _email(texts: Texts, variables: Mapping[str, Any]) -> Content:
    return EmailContent(
        subject=" ".join(texts["subject"].split()),  # a line end here would begin another header
        text=texts["text"],
        html=texts.get("html", ""),
        headers=_unsubscribe_headers(variables.get("unsubscribe_link")),
    )


def _unsubscribe_headers(link: object) -> dict[str, str]:
    """One-click unsubscribe, RFC 8058: only an https address makes one."""
    if link is None:
        return {}
    address = str(link)
    if not address.isascii() or not address.isprintable() or any(char in '<> ,"' for char in address):
        message = "is not an address: it has blanks, line ends, commas, brackets or characters beyond ASCII"
        raise RenderFailed(channel=Channel.EMAIL, field="unsubscribe_link", line=None, message=message)
    if not address.startswith("https://"):
        return {}
    return {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _mini_program(message: MiniProgramMessage) -> Assembler:
    template, fields = message.template, tuple(message.data)

    def assemble(texts: Texts, _: Mapping[str, Any]) -> Content:
        data = {name: texts[f"data.{name}"] for name in fields}
        for name, value in data.items():
            _check_limit(name, value)
        return MiniProgramContent(template=template, data=data, page=texts.get("page"))

    return assemble


def _check_limit(name: str, value: str) -> None:
    rule = mini_program_limits.broken_rule(name, value)
    if rule:
        message = f"{value!r} breaks the rule of this field: {rule}"
        raise RenderFailed(channel=Channel.MINI_PROGRAM, field=f"data.{name}", line=None, message=message)
