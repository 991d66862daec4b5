"""The text of a YAML file that people write, read safely: plain values, and the line of every place in it."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from documents.problem import Problem

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 40


class Loader(yaml.SafeLoader):
    """Safe YAML in which only what looks like a number, true, false or null is more than text.

    YAML 1.1 also makes booleans of `on` and `no`, numbers of `10:30`, dates of `2027-03-06`: here they are text.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own registry, filled just below


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~\0"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?[0-9]+\.[0-9]+", "-+0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))
Loader.yaml_implicit_resolvers[""] = Loader.yaml_implicit_resolvers.pop("\0")


class MergingLoader(Loader):
    """The same, in which `<<` merges another mapping into one."""


MergingLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


#: A line as YAML counts them, and what of YAML's own may stand before a document, at its beginning and at its end.
_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029])|[^\r\n\x85\u2028\u2029]+")
_BEFORE = re.compile(r"\ufeff?\s*(?:#.*|%.*)?\s*")
_BEGINS = re.compile(r"\ufeff?---(?:\s|\Z)")
_ENDS = re.compile(r"\.\.\.(?:\s|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the YAML documents of a file, and the line of the file with which it begins."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Source:
    """The file's top level, and where each path in it stands."""

    values: Mapping[str, object]
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]


class SourceUnreadable(ValueError):
    """It is not YAML, or not a mapping of keys."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


def parts_of(text: str) -> Iterator[Part]:
    """The YAML documents of a file, so that one that is broken breaks no other. A file that is empty is an empty one.

    A line with `---` begins a document wherever it stands, even within quoted text: so says YAML.
    """
    lines: list[str] = []
    first, begun, found = 1, False, False
    for number, line in enumerate(_LINE.findall(text), start=1):
        ends = _ENDS.match(line) is not None
        if begun and _BEGINS.match(line):
            yield Part("".join(lines), first)
            lines, first, found = [], number, True
        lines.append(line)
        begun = begun or not (ends or _BEFORE.fullmatch(line))
        if ends:
            if begun:
                yield Part("".join(lines), first)
            lines, first, found, begun = [], number + 1, found or begun, False
    if begun or not found:
        yield Part("".join(lines), first)


def read_source(text: str, *, is_not: str, line: int = 1) -> Source:
    """Read a file whose top level is a mapping; keys given twice are among the problems.

    Args:
        text: the YAML.
        is_not: what is said of a file that is no mapping: "a theme: keys such as 'theme:' are missing".
        line: of the file, with which the text begins.

    Raises:
        SourceUnreadable: with line and column.
    """
    node = _top(text, line, Loader, is_not)
    reading = _Reading()
    values = reading.mapping(node, "")
    return Source(values=values, lines=reading.lines, problems=tuple(reading.problems))


def read_mapping(text: str, *, is_not: str) -> Mapping[str, object]:
    """The same for a file whose reader tells places by itself, and in which anchors and merged keys (<<) are at home.

    Raises:
        SourceUnreadable: also where a key is given twice, or a tag is not plain YAML's.
    """
    node = _top(text, 1, MergingLoader, is_not)
    if twice := list(_given_twice(node)):
        raise SourceUnreadable(*twice)
    try:
        values: Mapping[str, object] = MergingLoader("").construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise SourceUnreadable(_marked(error)) from error
    return values


def _given_twice(root: yaml.Node) -> Iterator[Problem]:
    found, seen = [root], set[int]()
    while found:
        node = found.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            found += node.value
            continue
        found += [value for _, value in node.value]
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # told when its value is made
            line = key.start_mark.line + 1
            if key.value in first:
                yield Problem(
                    path=str(key.value), message=f"is given twice; the first is at line {first[key.value]}", line=line
                )
            first.setdefault(key.value, line)


def join_path(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _top(text: str, line: int, kind: type[Loader], is_not: str) -> yaml.MappingNode:
    node = _compose(text, line, kind)
    if not isinstance(node, yaml.MappingNode):
        raise SourceUnreadable(Problem(path="", message=f"is not {is_not}"))
    return node


def _compose(text: str, line: int, kind: type[Loader]) -> yaml.Node | None:
    if len(text) > MAX_CHARACTERS:
        message = f"is {len(text):,} characters long; {MAX_CHARACTERS:,} are read at most"
        raise SourceUnreadable(Problem(path="", message=message))
    loader = None
    try:
        loader = kind(text)
        loader.line = line - 1  # what PyYAML counts from
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise SourceUnreadable(_marked(error)) from error
    except yaml.reader.ReaderError as error:
        line += text.count("\n", 0, error.position)
        message = f"has the character U+{int(error.character):04X}, which YAML does not allow"
        raise SourceUnreadable(Problem(path="", message=message, line=line)) from error
    except RecursionError as error:
        raise SourceUnreadable(Problem(path="", message=f"is nested more than {MAX_DEPTH} levels deep")) from error
    finally:
        if loader:
            loader.dispose()


def _marked(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = "; ".join(part for part in (error.context, error.problem) if part)
    if mark is None:
        return Problem(path="", message=f"is not YAML: {said}")
    message = f"is not YAML at line {mark.line + 1}, column {mark.column + 1}: {said}"
    return Problem(path="", message=message, line=mark.line + 1)


@dataclass(slots=True)
class _Reading:
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    loader: Loader = field(default_factory=lambda: Loader(""))

    def value(self, node: yaml.Node, path: str, depth: int) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if depth > MAX_DEPTH:
            message = f"is nested more than {MAX_DEPTH} levels deep"
            raise SourceUnreadable(Problem(path=path, message=message, line=line))
        if id(node) in self.seen:
            message = "repeats another place by an alias (*name); write it out"
            self.problems.append(Problem(path=path, message=message, line=line))
            return None
        self.seen.add(id(node))
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
            self.problems.append(Problem(path=path, message=f"has the tag {node.tag}; leave it out", line=line))
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, join_path(path, at), depth + 1) for at, item in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: str, depth: int = 0) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = unicodedata.normalize("NFC", str(key_node.value))
            inner, line = join_path(path, key), key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(path=path, message="has a key that is not a word", line=line))
            elif key in result:
                message = f"is given twice; the first is at line {self.lines[inner]}"
                self.problems.append(Problem(path=inner, message=message, line=line))
            else:
                self.lines[inner] = line
                result[key] = self.value(value_node, inner, depth + 1)
        return result

    def scalar(self, node: yaml.Node, path: str) -> object:
        try:
            return self.loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError) as error:
            line = node.start_mark.line + 1
            self.problems.append(Problem(path=path, message=f"cannot be read: {error}", line=line))
            return None
