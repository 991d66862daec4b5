"""Finding a theme, and who may act on it."""

from sqlalchemy.orm import Session

from approval.service.people import directory
from approval.service.policies import read_policy
from approval.states import DecisionKind, RoundState
from models.queries import approvals, themes
from models.theme import Theme
from themes.errors import NotAllowed, ThemeUnknown
from themes.problem import nearest


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


def stewards(session: Session, theme: Theme) -> frozenset[str]:
    """Those whom the policy of the theme's last round lets take it down: they may also stop and start it."""
    rounds = approvals.rounds(session, theme.id)
    if not rounds:
        return frozenset()
    policy = read_policy(approvals.policy_by_id(session, rounds[-1].policy_id))
    return frozenset(directory(session).all_logins(policy.takedown, "takedown"))


def last_signers(session: Session, theme: Theme) -> frozenset[str]:
    """Those who approved at the last level that a person signed, in the round that was approved."""
    approved = [a_round for a_round in approvals.rounds(session, theme.id) if a_round.state is RoundState.APPROVED]
    if not approved:
        return frozenset()
    signed = [
        (decision.level_id, login)
        for decision, login, _, number in approvals.decisions_on_theme(session, theme.id)
        if number == approved[-1].number and decision.kind is DecisionKind.APPROVE
    ]
    return frozenset(login for level, login in signed if level == signed[-1][0])


def require_right(login: str, allowed: frozenset[str], *, act: str, theme: Theme, who: str) -> None:
    if login not in allowed:
        raise NotAllowed(login=login, act=act, key=theme.key, who=who)
