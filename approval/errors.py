"""What can be wrong with an approval. The class is the fact; its docstring or text is the message."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a misspelt one was most likely meant to be."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return str(matches[0]) if matches else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file: where, what was found, what is allowed there, and what was probably meant."""

    path: str
    found: str
    allowed: str
    nearest: str | None = None

    def __str__(self) -> str:
        meant = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.path}: found {self.found}; allowed: {self.allowed}{meant}"


class ApprovalError(Exception):
    """An approval could not do what was asked."""


class PolicyInvalid(ApprovalError):
    """A policy file, or the people it names, cannot be used. Holds every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("the policy is not usable:\n" + "\n".join(f"  {problem}" for problem in problems))


class ConditionInvalid(ApprovalError):
    """A condition uses something that the language of conditions does not have."""

    def __init__(self, *, found: str, allowed: str, column: int, nearest: str | None = None) -> None:
        self.found, self.allowed, self.column, self.nearest = found, allowed, column, nearest
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        super().__init__(f"column {column}: found {found}; allowed: {allowed}{meant}")


class QuorumUnreachable(ApprovalError):
    """Those who may decide at a level are too few for its quorum."""

    def __init__(self, *, level: str, needed: int, eligible: Sequence[str], barred: Sequence[str]) -> None:
        self.level, self.needed, self.eligible, self.barred = level, needed, tuple(eligible), tuple(barred)
        left_out = f"; may not decide: {', '.join(barred)}" if barred else ""
        super().__init__(
            f"level {level!r} needs {needed} approvals, but only {len(self.eligible)} may give one "
            f"({', '.join(eligible) or 'nobody'}{left_out}): name more approvers in the policy, or lower its quorum"
        )


class ApproverUnknown(ApprovalError):
    """A policy names a person or a role that does not exist."""

    def __init__(self, *, where: str, name: str, nearest: str | None = None) -> None:
        self.where, self.name, self.nearest = where, name, nearest
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        super().__init__(
            f"{where} names {name!r}, whom nobody knows{meant}; add the person or role, or mend the policy"
        )


class FallbackUnavailable(ApprovalError):
    """Nobody of a level may decide, and neither may the fallback approver. It never passes by itself."""

    def __init__(self, *, level: str, fallback: str, barred: Sequence[str]) -> None:
        self.level, self.fallback, self.barred = level, fallback, tuple(barred)
        left_out = f" (may not decide: {', '.join(barred)})" if barred else ""
        super().__init__(
            f"nobody may decide at level {level!r}, and the fallback {fallback!r} may not either{left_out}: "
            "enable somebody, or name another fallback in the policy"
        )


class DecisionRefused(ApprovalError):
    """A decision was not taken into the record."""


class NotAsked(DecisionRefused):
    """This question was put to somebody else."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login} was not asked this question; only the person it was put to may answer it")


class PersonDisabled(DecisionRefused):
    """A disabled person may not decide."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login} is disabled and may not decide")


class AuthorMayNotDecide(DecisionRefused):
    """Whoever wrote or edited a theme may not decide on it."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login} wrote or edited this theme and may not decide on it")


class AlreadyDecided(DecisionRefused):
    """This question has its answer."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login} has already decided here; a question takes one answer")


class LevelSettled(DecisionRefused):
    """The level was settled without this answer."""

    def __init__(self, *, level: str, state: str) -> None:
        self.level, self.state = level, state
        super().__init__(f"level {level!r} is not open (it is {state}); nothing is asked there now")


class RoundClosed(DecisionRefused):
    """The round that asked is over."""

    def __init__(self, *, round_number: int, state: str) -> None:
        self.round_number, self.state = round_number, state
        super().__init__(f"round {round_number} is closed (it is {state}); a new submission asks afresh")


class ThemeNotInReview(DecisionRefused):
    """Only a theme in review can be decided on."""

    def __init__(self, *, theme: str, state: str) -> None:
        self.theme, self.state = theme, state
        super().__init__(f"theme {theme!r} is {state}, not in review; nothing can be decided on it")


class HashChanged(DecisionRefused):
    """The content is no longer what the question was about."""

    def __init__(self, *, asked_hash: str, current_hash: str) -> None:
        self.asked_hash, self.current_hash = asked_hash, current_hash
        super().__init__(
            f"the content has changed since it was shown: the answer is about {asked_hash}, current is {current_hash}; "
            "read it again and answer again"
        )


class AdviceIsOut(DecisionRefused):
    """Who asked for advice decides when it is there."""

    def __init__(self, *, login: str, advisers: Sequence[str]) -> None:
        self.login, self.advisers = login, tuple(advisers)
        super().__init__(
            f"{login} has asked {', '.join(advisers)} for advice and decides once it is there; "
            "`take back` the asking to decide without it"
        )


class _ReturnRefused(DecisionRefused):
    """A return has to lead to a level that was signed."""

    def __init__(self, problem: str, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        may = f"it may go back to: {', '.join(allowed)}" if allowed else "no earlier level was signed"
        super().__init__(f"{problem}; {may}, or to the drafter")


class NoEarlierLevel(_ReturnRefused):
    """No level before this one was signed by anybody."""

    def __init__(self, *, level: str) -> None:
        self.level = level
        super().__init__(f"there is no signed level before {level!r} to return to", ())


class LevelUnknown(_ReturnRefused):
    """The chain has no level of that name."""

    def __init__(self, *, level: str, allowed: Sequence[str], nearest: str | None = None) -> None:
        self.level, self.nearest = level, nearest
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        problem = f"this chain has no level {level!r}{meant}" if level.strip() else "no level to return to was named"
        super().__init__(problem, allowed)


class LevelNotEarlier(_ReturnRefused):
    """A return leads back, never onward."""

    def __init__(self, *, level: str, allowed: Sequence[str]) -> None:
        self.level = level
        super().__init__(f"level {level!r} does not come before this one", allowed)


class LevelNotSigned(_ReturnRefused):
    """Nobody signed that level: it was skipped, or passed by rule."""

    def __init__(self, *, level: str, allowed: Sequence[str]) -> None:
        self.level = level
        super().__init__(f"level {level!r} was not signed by anybody", allowed)


class NothingToTakeBack(DecisionRefused):
    """Only one's own decision that stands can be taken back, until somebody has decided after it."""

    def __init__(self, *, login: str, subject: str, because: str) -> None:
        self.login, self.subject, self.because = login, subject, because
        super().__init__(f"{login} cannot take a decision on {subject} back: {because}")


class ObjectNotInReview(DecisionRefused):
    """The theme has no such object, or nothing is asked about it."""

    def __init__(self, *, theme: str, object_key: str, known: Sequence[str]) -> None:
        self.theme, self.object_key, self.known = theme, object_key, tuple(known)
        have = f"in review are: {', '.join(known)}" if known else "nothing of it is in review"
        super().__init__(f"nothing of theme {theme!r} is called {object_key!r}; {have}")


class HandRefused(DecisionRefused):
    """A question cannot be handed on that way."""


class PersonMayNotStandIn(HandRefused):
    """Whom it is to be handed to may not take part in this decision."""

    def __init__(self, *, login: str, because: str) -> None:
        self.login, self.because = login, because
        super().__init__(f"{login} cannot be asked here: {because}")


class LastSigner(HandRefused):
    """A level is never left without anybody who could settle it."""

    def __init__(self, *, login: str, level: str) -> None:
        self.login, self.level = login, level
        super().__init__(
            f"{login} cannot be removed from level {level!r}: those left could not settle it; add a signer first"
        )


class NotYoursToRemove(HandRefused):
    """A signer is removed by who added them, or by an administrator."""

    def __init__(self, *, login: str, person: str) -> None:
        self.login, self.person = login, person
        super().__init__(
            f"{login} did not add {person}; only who added a signer, or whom the policy lets override, removes them"
        )


class OverrideNotAllowed(HandRefused):
    """Only whom the policy names may override."""

    def __init__(self, *, login: str, allowed: Sequence[str]) -> None:
        self.login, self.allowed = login, tuple(allowed)
        may = f"only {', '.join(allowed)} may" if allowed else "the policy lets nobody (its key `override`)"
        super().__init__(f"{login} may not override here: {may}")


class OtherProductLine(DecisionRefused):
    """A person limited to product lines acts on those alone."""

    def __init__(self, *, login: str, product_line: str) -> None:
        self.login, self.product_line = login, product_line
        super().__init__(
            f"{login} may not act on product line {product_line!r}; `themeline people limit {login}` changes that"
        )


class CodeNeeded(ApprovalError):
    """An edit of a theme in review voids approvals, so it is signed."""

    def __init__(self, *, theme: str) -> None:
        self.theme = theme
        super().__init__(
            f"theme {theme!r} is in review: an edit voids approvals and needs your one-time code "
            "(`--code`, or the field of the form)"
        )


class PolicyOfOtherLine(ApprovalError):
    """A policy that names product lines is for those alone."""

    def __init__(self, *, policy: str, product_line: str, lines: Sequence[str]) -> None:
        self.policy, self.product_line, self.lines = policy, product_line, tuple(lines)
        super().__init__(
            f"policy {policy!r} is for {', '.join(lines)}, not for product line {product_line!r}: name another policy"
        )


class CommentRequired(DecisionRefused):
    """Everything but an approval needs a comment."""

    def __init__(self, *, decision: str) -> None:
        self.decision = decision
        super().__init__(f"to {decision} needs a comment that says why; 请填写意见")


class IdentityRefused(ApprovalError):
    """It could not be established who speaks."""


class PersonUnknown(IdentityRefused):
    """Nobody has this login."""

    def __init__(self, *, login: str, nearest: str | None = None) -> None:
        self.login, self.nearest = login, nearest
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        super().__init__(f"nobody has the login {login!r}{meant}")


class PersonExists(ApprovalError):
    """A login belongs to one person."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"the login {login!r} is taken; `themeline people enrol {login}` gives it a new secret")


class NotEnrolled(IdentityRefused):
    """A person without a secret cannot sign."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login} has no authenticator yet: enrol first with `themeline people enrol {login}`")


class CodeWrong(IdentityRefused):
    """The one-time code is not right now. Check the clock of the phone, and take the code that it shows now."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class CodeReused(IdentityRefused):
    """This one-time code has signed something already. Wait for the next one, half a minute at most."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class PersonLocked(IdentityRefused):
    """Too many wrong codes in a row."""

    def __init__(self, *, login: str, until: datetime) -> None:
        self.login, self.until = login, until
        super().__init__(f"{login} is locked after too many wrong codes, until {until.isoformat(timespec='seconds')}")


class PolicyUnknown(ApprovalError):
    """No policy of that name has been applied."""

    def __init__(self, *, policy: str, known: Sequence[str]) -> None:
        self.policy, self.known = policy, tuple(known)
        have = ", ".join(known) or "none yet"
        super().__init__(f"no policy {policy!r} has been applied (there is: {have}); `themeline policy apply FILE`")


class SecretKeyMissing(ApprovalError):
    """No key is set to encrypt secrets with, and approval does not start without: set THEMELINE_SECRET_KEY."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class SecretKeyTooShort(ApprovalError):
    """A passphrase that short protects nothing."""

    def __init__(self, *, position: int, least: int) -> None:
        self.position, self.least = position, least
        super().__init__(f"key {position} of THEMELINE_SECRET_KEY is too short: use {least} characters or more")


class SecretUnreadable(ApprovalError):
    """A stored secret opens with none of the keys set: set the key it was made with beside the new, or enrol anew."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class AuditValueInvalid(ApprovalError):
    """A value cannot be written down in one way only, so it cannot be in the audit record."""

    def __init__(self, *, where: str, found: str) -> None:
        self.where, self.found = where, found
        super().__init__(
            f"audit {where}: {found} is not allowed; give text, whole numbers, true, false, none, lists, mappings"
        )


class StateMoveInvalid(RuntimeError):
    """Something was about to go from a state to one that its table of moves does not lead to: a fault of ours."""

    def __init__(self, *, subject: str, origin: str, target: str, allowed: Sequence[str]) -> None:
        self.subject, self.origin, self.target, self.allowed = subject, origin, target, tuple(allowed)
        leads = f"leads to {', '.join(allowed)}" if allowed else "nothing leads on"
        super().__init__(
            f"a {subject} cannot go from {origin} to {target} (from {origin} {leads}); nothing was written"
        )
