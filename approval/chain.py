"""The chain of one object: which levels apply, whom each of them asks, and why a level is left out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from approval.condition import Facts
from approval.errors import (
    ApproverUnknown,
    FallbackUnavailable,
    PolicyInvalid,
    Problem,
    QuorumUnreachable,
    nearest,
)
from approval.policy import Level, Policy, Remind, is_role, role_of
from approval.quorum import ANY, Quorum
from approval.states import DecisionKind, ObjectKind

_NOTHING_CARRIED: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Who there is: each login and whether it is enabled, each role and the logins that have it."""

    enabled: Mapping[str, bool]
    roles: Mapping[str, Collection[str]]

    def logins(self, name: str, where: str) -> tuple[str, ...]:
        """The logins behind a login or `role:<role>`, disabled ones too; of a role in alphabetical order.

        Raises:
            ApproverUnknown: there is no such person or role.
        """
        if is_role(name):
            role = role_of(name)
            if role not in self.roles:
                meant = nearest(role, self.roles)
                raise ApproverUnknown(where=where, name=name, nearest=meant and f"role:{meant}")
            return tuple(sorted(self.roles[role]))
        if name not in self.enabled:
            meant = nearest(name, self.enabled)
            if name in self.roles:  # written without its prefix
                meant = f"role:{name}"
            raise ApproverUnknown(where=where, name=name, nearest=meant)
        return (name,)

    def all_logins(self, names: Iterable[str], where: str) -> tuple[str, ...]:
        """The logins behind several names, each once, in the order of the names."""
        return tuple(dict.fromkeys(login for name in names for login in self.logins(name, where)))

    def holders(self, names: Iterable[str], where: str) -> tuple[str, ...]:
        """The same, of a policy that was applied: a role that everybody has lost since stands for nobody."""
        return self.all_logins((name for name in names if not is_role(name) or role_of(name) in self.roles), where)

    def may_decide(self, login: str, barred: Collection[str] = ()) -> bool:
        return self.enabled.get(login, False) and login not in barred


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLevel:
    """One step of a chain. A skipped one stays in it, with the reason, and asks nobody."""

    position: int  # from 1, as in the policy
    name: str
    approvers: tuple[str, ...]  # logins that are asked
    quorum: Quorum
    veto: tuple[str, ...] = ()
    due: timedelta | None = None
    remind: Remind | None = None
    escalate: timedelta | None = None  # after its opening
    on_due: DecisionKind | None = None
    in_turn: bool = False  # the approvers are asked one after another, in their order here
    skipped_because: str | None = None
    carried: bool = False  # skipped because it was signed before, on this very content
    applies_because: str = ""  # what its conditions came to, or the fact that was not available
    barred: tuple[str, ...] = ()  # named by the policy, but disabled, or author or editor
    fallback: bool = False  # nobody of the level may decide: the fallback approver is asked, and an alert is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    object_kind: ObjectKind
    levels: tuple[ChainLevel, ...]
    by_rule: str | None = None  # why no person is asked; None where somebody is

    @property
    def asking(self) -> tuple[ChainLevel, ...]:
        return tuple(level for level in self.levels if level.skipped_because is None)


def resolve_chain(
    policy: Policy,
    object_kind: ObjectKind,
    facts: Facts,
    people: Directory,
    barred: Collection[str],
    *,
    carried: Mapping[str, str] = _NOTHING_CARRIED,
) -> Chain:
    """Fix the chain of an object. `barred`: its author and everybody who edited it.

    `carried`: levels that need not ask, by name, each with the reason, such as "signed in round 2 on this hash". A
    level that the policy skips is skipped for the policy's reason; nobody is looked for at a level that is skipped.

    Raises:
        ApproverUnknown: the policy names somebody who does not exist.
        QuorumUnreachable: those of a level who may decide are too few.
        FallbackUnavailable: nobody of a level may decide, and the fallback may not either.
    """
    levels = tuple(
        _skipped(position, level, facts, carried)
        or _asking(position, level, policy=policy, facts=facts, people=people, barred=barred)
        for position, level in enumerate(policy.levels(object_kind), start=1)
    )
    return Chain(object_kind=object_kind, levels=levels, by_rule=_by_rule(policy, object_kind, levels))


def route(policy: Policy, object_kind: ObjectKind, facts: Facts) -> tuple[tuple[str, bool], ...]:
    """Each level and whether it asks somebody, as the policy and the facts have it, whoever the people are."""
    return tuple((level.level, _why_skipped(level, facts) is None) for level in policy.levels(object_kind))


def fallback_of(policy: Policy, level_name: str, people: Directory, barred: Collection[str]) -> tuple[str, ...]:
    """Who decides where nobody of a level may.

    Raises:
        FallbackUnavailable: the policy's fallback may not decide here either.
    """
    named = people.holders([policy.fallback], "fallback")
    eligible = tuple(login for login in named if people.may_decide(login, barred))
    if not eligible:
        kept_out = tuple(login for login in named if login not in eligible)
        raise FallbackUnavailable(level=level_name, fallback=policy.fallback, barred=kept_out)
    return eligible


def check_people(policy: Policy, people: Directory) -> None:
    """Refuse a policy that these people could not fulfil, when it is applied and before any theme meets it.

    Raises:
        PolicyInvalid: unknown people and roles, quorums that cannot be reached, a fallback that nobody can be.
    """
    problems: list[Problem] = []
    for kind in ObjectKind:
        for index, level in enumerate(policy.levels(kind)):
            place = f"{kind}[{index}]"
            unknown = _unknown(people, f"{place}.approvers", level.approvers)
            unknown += _unknown(people, f"{place}.veto", level.veto)
            problems += unknown or _unfulfillable(people, place, level)
    problems += _unknown(people, "fallback", [policy.fallback])
    for act in ("takedown", "recall", "override"):
        problems += _unknown(people, act, getattr(policy, act))
    if not problems and not any(people.may_decide(login) for login in people.logins(policy.fallback, "fallback")):
        found = f"{policy.fallback!r}, which stands for nobody enabled"
        problems.append(Problem(path="fallback", found=found, allowed="a person or role who can decide"))
    if problems:
        raise PolicyInvalid(problems)


def unknown_lines(policy: Policy, known: Collection[str]) -> list[Problem]:
    """What is wrong with the product lines that a policy names, `known` being those that there are."""
    allowed = f"a product line that there is: {', '.join(sorted(known)) or 'none yet'}"
    return [
        Problem(path=f"product_lines[{index}]", found=repr(line), allowed=allowed, nearest=nearest(line, known))
        for index, line in enumerate(policy.product_lines)
        if line not in known
    ]


def _unknown(people: Directory, place: str, names: Iterable[str]) -> list[Problem]:
    problems = []
    for name in names:
        try:
            people.logins(name, place)
        except ApproverUnknown as unknown:
            found = f"{name!r}, whom nobody knows"
            allowed = "the login of a person, or role:<role>"
            problems.append(Problem(path=place, found=found, allowed=allowed, nearest=unknown.nearest))
    return problems


def _unfulfillable(people: Directory, place: str, level: Level) -> list[Problem]:
    named = people.all_logins(level.approvers, place)
    eligible = [login for login in named if people.may_decide(login)]
    problems = [
        Problem(path=f"{place}.veto", found=repr(name), allowed=f"one of the approvers: {', '.join(named)}")
        for name in level.veto
        if not set(people.logins(name, place)) <= set(named)
    ]
    needed = level.quorum.needed(len(eligible))
    if eligible and needed > len(eligible):
        found = f"{needed} approvals needed, {len(eligible)} enabled approvers ({', '.join(eligible)})"
        allowed = "a quorum that they can reach"
        problems.append(Problem(path=f"{place}.quorum", found=found, allowed=allowed))
    return problems


def _skipped(position: int, level: Level, facts: Facts, carried: Mapping[str, str]) -> ChainLevel | None:
    because = _why_skipped(level, facts)
    signed = because is None and level.level in carried
    if because is None and not signed:
        return None
    return ChainLevel(
        position=position,
        name=level.level,
        approvers=(),
        quorum=level.quorum,
        skipped_because=carried[level.level] if signed else because,
        carried=signed,
        applies_because=_why(level, facts) if signed else "",
    )


def _why_skipped(level: Level, facts: Facts) -> str | None:
    when, skip = level.when, level.skip_when
    if when is not None and not when.missing(facts) and not when.holds(facts):
        return f"{when.text} does not hold: {when.seen(facts)}"
    if skip is not None and not skip.missing(facts) and skip.holds(facts):
        return f"{skip.text} holds, which skips it: {skip.seen(facts)}"
    return None


def _by_rule(policy: Policy, object_kind: ObjectKind, levels: Sequence[ChainLevel]) -> str | None:
    if not levels:
        return f"policy {policy.policy!r} asks nobody: {object_kind} is none"
    if any(level.skipped_because is None for level in levels):
        return None
    if signed := [f"{level.name!r} {level.skipped_because}" for level in levels if level.carried]:
        return f"no level of policy {policy.policy!r} is left to ask about this {object_kind}: {', '.join(signed)}"
    return f"no level of policy {policy.policy!r} applies to this {object_kind}"


def _asking(
    position: int, level: Level, *, policy: Policy, facts: Facts, people: Directory, barred: Collection[str]
) -> ChainLevel:
    where = f"level {level.level!r}"
    named = people.holders(level.approvers, where)
    eligible = tuple(login for login in named if people.may_decide(login, barred))
    kept_out = tuple(login for login in named if login not in eligible)
    veto, quorum, fallback = people.holders(level.veto, where), level.quorum, not eligible
    if fallback:
        # who stands in for a whole level decides alone: its quorum and vetoes were meant for others
        eligible, quorum, veto = fallback_of(policy, level.level, people, barred), ANY, ()
    needed = quorum.needed(len(eligible))
    if needed > len(eligible):
        raise QuorumUnreachable(level=level.level, needed=needed, eligible=eligible, barred=kept_out)
    return ChainLevel(
        position=position,
        name=level.level,
        approvers=eligible,
        quorum=quorum,
        veto=tuple(login for login in veto if login in eligible),
        due=level.due,
        remind=level.remind,
        escalate=level.escalate,
        on_due=None if level.on_due is None else DecisionKind(level.on_due),
        in_turn=level.in_turn,
        applies_because=_why(level, facts),
        barred=kept_out,
        fallback=fallback,
    )


def _why(level: Level, facts: Facts) -> str:
    return "; ".join(_words_of_when(level, facts) + _words_of_skip(level, facts))


def _words_of_when(level: Level, facts: Facts) -> list[str]:
    if level.when is None:
        return []
    if missing := level.when.missing(facts):
        return [f"not available: {', '.join(missing)}, so that {level.when.text} counts as holding"]
    return [f"{level.when.text} holds: {level.when.seen(facts)}"]


def _words_of_skip(level: Level, facts: Facts) -> list[str]:
    if level.skip_when is None:
        return []
    if missing := level.skip_when.missing(facts):
        return [f"not available: {', '.join(missing)}, so that {level.skip_when.text} does not skip it"]
    return [f"{level.skip_when.text}, which would skip it, does not hold: {level.skip_when.seen(facts)}"]
