"""Finding a theme, and who may act on it."""

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from approval.policy import Policy
from approval.service.people import directory, require_line
from approval.service.policies import read_policy
from approval.states import DecisionKind, RoundState
from documents.problem import nearest
from models.queries import approvals, people, themes
from models.theme import Theme
from themes.errors import NotAllowed, ThemeUnknown

OWNERS = "its author or an editor"


def require_theme(session: Session, key: str, *, lock: bool = False) -> Theme:
    """The theme of a key.

    Raises:
        ThemeUnknown: with the nearest key that there is.
    """
    if theme := themes.theme_by_key(session, key, lock=lock):
        return theme
    raise ThemeUnknown(key=key, nearest=nearest(key, themes.theme_keys(session)))


def owners(session: Session, theme: Theme) -> frozenset[str]:
    """The author and everybody who saved the theme."""
    return themes.editors(session, theme.id)


def author(session: Session, theme: Theme) -> frozenset[str]:
    """Whom the theme file names: it is hers to take back what she has submitted."""
    return frozenset({people.person_by_id(session, theme.author_id).login})


def stewards(session: Session, theme: Theme) -> frozenset[str]:
    """Those whom the policy of the theme's last round lets take it down: they may also stop and start it."""
    return _named(session, theme, lambda policy: policy.takedown)


def recallers(session: Session, theme: Theme) -> frozenset[str]:
    """Those whom the policy of the theme's last round lets recall it; whoever may take it down may do so too."""
    return _named(session, theme, lambda policy: policy.recall) | stewards(session, theme)


def _named(session: Session, theme: Theme, names: Callable[[Policy], Sequence[str]]) -> frozenset[str]:
    rounds = approvals.rounds(session, theme.id)
    if not rounds:
        return frozenset()
    policy = read_policy(approvals.policy_by_id(session, rounds[-1].policy_id))
    return frozenset(directory(session).holders(names(policy), "policy"))


def last_signers(session: Session, theme: Theme) -> frozenset[str]:
    """Those who approved at the last level that a person signed, in the round that was approved."""
    approved = [a_round for a_round in approvals.rounds(session, theme.id) if a_round.state is RoundState.APPROVED]
    if not approved:
        return frozenset()
    signed = [
        (decision.level_id, login)
        for decision, login, _, number in approvals.decisions_on_theme(session, theme.id)
        if number == approved[-1].number and decision.kind is DecisionKind.APPROVE and decision.voided_at is None
    ]
    return frozenset(login for level, login in signed if level == signed[-1][0])


def require_right(session: Session, login: str, allowed: frozenset[str], *, act: str, theme: Theme, who: str) -> None:
    """Let a person act on a theme, if she is one of those allowed and not limited to other product lines.

    Raises:
        NotAllowed, OtherProductLine
    """
    if login not in allowed:
        raise NotAllowed(login=login, act=act, key=theme.key, who=who)
    person = people.person_by_login(session, login)
    if person is not None:
        require_line(session, person, theme.product_line_id)
