"""Which values of a recipient a message needs, and whose codes it carries, found without rendering it."""

from collections.abc import Iterator

from jinja2 import nodes

from channels.states import Channel
from themes.messages import fields_of
from themes.templating import CODE, RECIPIENT_NAMES, code_name, environment_of, inline_assignments
from themes.theme import Theme

NO_GUARD: frozenset[str] = frozenset()


def codes_named(theme: Theme, channel: Channel) -> tuple[str, ...]:
    """Ids of the coupons whose codes the channel's message carries, in any of its branches."""
    trees = (inline_assignments(tree) for tree in _trees(theme, channel))
    named = {coupon for tree in trees for call in tree.find_all(nodes.Call) if (coupon := code_of(call)) is not None}
    return tuple(sorted(named))


def code_of(node: nodes.Node | None) -> str | None:
    """The coupon of `code('…')`; None for anything else."""
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.node.name != CODE:
        return None
    only = node.args[0] if len(node.args) == 1 and not node.kwargs else None
    return only.value if isinstance(only, nodes.Const) and isinstance(only.value, str) else None


def required_variables(theme: Theme, channel: Channel) -> frozenset[str]:
    """For example `{"customer.name", "link", "code('…')"}`: what every recipient of the channel has to have.

    A variable that is only used under `| default(…)` or inside `{% if … is defined %}` is not required.
    """
    return frozenset(variable for tree in _trees(theme, channel) for variable in _used(tree, NO_GUARD))


def _trees(theme: Theme, channel: Channel) -> Iterator[nodes.Template]:
    message = theme.channels.used().get(channel)
    fields = fields_of(channel, message.model_dump(), theme.templates) if message else ()
    return (environment_of(channel, html=field.html).parse(field.text) for field in fields)


def _used(node: nodes.Node, guarded: frozenset[str]) -> Iterator[str]:
    variable = _variable(node)
    if variable is not None:
        if variable not in guarded and variable != "customer":
            yield variable
    elif isinstance(node, nodes.Filter) and node.name in {"default", "d"} and node.node and _variable(node.node):
        for argument in node.args:
            yield from _used(argument, guarded)
    elif isinstance(node, nodes.Test) and node.name in {"defined", "undefined"} and _variable(node.node):
        return
    elif isinstance(node, nodes.If | nodes.CondExpr):
        yield from _branches(node, guarded)
    else:
        for child in node.iter_child_nodes():
            yield from _used(child, guarded)


def _branches(node: nodes.If | nodes.CondExpr, guarded: frozenset[str]) -> Iterator[str]:
    yes, no = _known_defined(node.test, wanted=True), _known_defined(node.test, wanted=False)
    yield from _test(node.test, guarded)
    for branch, known in (
        (_as_list(node, "body", "expr1"), yes),
        (_as_list(node, "elif_", None), no),
        (_as_list(node, "else_", "expr2"), no),
    ):
        for child in branch:
            yield from _used(child, guarded | known)


def _as_list(node: nodes.If | nodes.CondExpr, statement: str, expression: str | None) -> list[nodes.Node]:
    if isinstance(node, nodes.If):
        return list(getattr(node, statement))
    found = getattr(node, expression) if expression else None
    return [found] if found is not None else []


def _test(test: nodes.Node, guarded: frozenset[str]) -> Iterator[str]:
    """In `a is defined and a == 1` the right side is asked only where the left holds."""
    if isinstance(test, nodes.And):
        yield from _test(test.left, guarded)
        yield from _test(test.right, guarded | _known_defined(test.left, wanted=True))
    else:
        yield from _used(test, guarded)


def _known_defined(test: nodes.Node, *, wanted: bool) -> frozenset[str]:
    """What surely is there where the test came out as wanted."""
    if isinstance(test, nodes.Not):
        return _known_defined(test.node, wanted=not wanted)
    if isinstance(test, nodes.And if wanted else nodes.Or):
        return _known_defined(test.left, wanted=wanted) | _known_defined(test.right, wanted=wanted)
    if isinstance(test, nodes.Test) and test.name == ("defined" if wanted else "undefined"):
        variable = _variable(test.node)
        return frozenset({variable}) if variable else NO_GUARD
    return NO_GUARD


def _variable(node: nodes.Node) -> str | None:
    """`customer.name` for an expression that is a value of the recipient."""
    if (coupon := code_of(node)) is not None:
        return code_name(coupon)
    if isinstance(node, nodes.Name):
        return node.name if node.name in RECIPIENT_NAMES and node.ctx == "load" else None
    owner = node.node if isinstance(node, nodes.Getattr | nodes.Getitem) else None
    if not isinstance(owner, nodes.Name) or owner.name != "customer":
        return None
    if isinstance(node, nodes.Getattr):
        return f"customer.{node.attr}"
    return (
        f"customer.{node.arg.value}" if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) else None
    )
