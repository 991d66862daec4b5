"""Every act on a theme but drafting and submitting, by its name: what form and command line offer alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.orm import Session

from approval.form import Answer
from approval.service import decisions, hands, reversal
from approval.service.people import IdentityRules
from approval.service.signing import Signature
from approval.states import OVERRIDES, DecisionKind
from models.queries import themes
from offers.service.presets import catalogue_of
from themes.correction import Correction, parse_correction
from themes.errors import DetailMissing
from themes.revision import load
from themes.service import launch, review, takedown
from themes.service.finding import require_theme
from themes.service.saving import vocabulary

ActName = Literal[
    "approve",
    "return to drafter",
    "return to previous level",
    "return to chosen level",
    "reject",
    "take back",
    "delegate",
    "transfer",
    "add signer before",
    "add signer after",
    "remove signer",
    "override: approve",
    "override: return to drafter",
    "override: reject",
    "withdraw",
    "recall",
    "takedown",
    "pause",
    "resume",
    "launch now",
    "move start",
    "drop",
]
ClaimedName = Literal["honour", "void"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants done with a theme. Which details an act needs its row in `ACTS` says."""

    key: str
    act: str
    signature: Signature
    object_key: str = ""  # an offer's; empty: the theme itself
    person: str = ""  # to whom a question goes, or from whom it is taken
    to_level: str = ""
    start_at: datetime | None = None
    claimed: ClaimedName | None = None
    correction: str = ""  # a correction file


class _Act(Protocol):
    def __call__(self, session: Session, request: Request, rules: IdentityRules, now: datetime) -> object: ...


def carry_out(session: Session, request: Request, *, rules: IdentityRules, now: datetime) -> UUID | None:
    """Do it, or raise what stands against it. Returns a launch run that is to be cancelled, if there is one.

    Raises:
        DetailMissing: the act needs more to be said; and whatever the act itself raises.
    """
    missing = [name for name in NEEDS.get(request.act, ()) if not getattr(request, name)]
    if missing:
        raise DetailMissing(act=request.act, missing=missing)
    outcome = _ACTS[request.act](session, request, rules, now)
    return outcome if isinstance(outcome, UUID) else None


#: What an act cannot do without.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "return to chosen level": ("to_level",),
    "delegate": ("person",),
    "transfer": ("person",),
    "add signer before": ("person",),
    "add signer after": ("person",),
    "remove signer": ("person",),
    "takedown": ("claimed",),
    "move start": ("start_at",),
}


def _answer(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
    signature = request.signature
    try:
        answer = Answer(
            decision=request.act,  # pydantic checks it
            login=signature.login,
            code=signature.code.replace(" ", "").replace("-", ""),
            comment=signature.comment,
            to_level=request.to_level,
        )
    except ValidationError as invalid:
        fields = ", ".join(str(error["loc"][0]) for error in invalid.errors(include_input=False))
        raise DetailMissing(act=request.act, missing=[fields]) from None
    return decisions.answer_for(
        session,
        key=request.key,
        object_key=request.object_key,
        answer=answer,
        flow_run_id=signature.flow_run_id,
        rules=rules,
        now=now,
    )


def _take_back(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
    return reversal.take_back(
        session, key=request.key, object_key=request.object_key, signature=request.signature, rules=rules, now=now
    )


class _Hand(Protocol):
    def __call__(
        self,
        session: Session,
        /,
        *,
        key: str,
        object_key: str,
        signature: Signature,
        person: str,
        rules: IdentityRules,
        now: datetime,
    ) -> int: ...


def _handed(verb: _Hand) -> _Act:
    def act(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
        return verb(
            session,
            key=request.key,
            object_key=request.object_key,
            signature=request.signature,
            person=request.person,
            rules=rules,
            now=now,
        )

    return act


def _signer_added(where: hands.Where) -> _Act:
    def act(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
        return hands.add_signer(
            session,
            key=request.key,
            object_key=request.object_key,
            signature=request.signature,
            person=request.person,
            where=where,
            rules=rules,
            now=now,
        )

    return act


def _overridden(decision: DecisionKind) -> _Act:
    def act(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
        return hands.override(
            session,
            key=request.key,
            object_key=request.object_key,
            signature=request.signature,
            decision=decision,
            rules=rules,
            now=now,
        )

    return act


class _Move(Protocol):
    def __call__(
        self, session: Session, /, *, key: str, signature: Signature, rules: IdentityRules, now: datetime
    ) -> object: ...


def _moved(verb: _Move) -> _Act:
    def act(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
        return verb(session, key=request.key, signature=request.signature, rules=rules, now=now)

    return act


def _take_down(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
    return takedown.take_down(
        session,
        key=request.key,
        signature=request.signature,
        rules=rules,
        claimed=request.claimed or "honour",
        correction=read_correction(session, request),
        now=now,
    )


def read_correction(session: Session, request: Request) -> Correction | None:
    """Raises CorrectionInvalid: with every problem of the file."""
    if not request.correction.strip():
        return None
    theme = require_theme(session, request.key)
    live = theme.draft if theme.revision_id is None else themes.revision_by_id(session, theme.revision_id).content
    return parse_correction(
        request.correction, theme=load(live), known=vocabulary(session), catalogue=catalogue_of(session)
    )


def _move_start(session: Session, request: Request, rules: IdentityRules, now: datetime) -> object:
    if request.start_at is None:
        raise DetailMissing(act=request.act, missing=["start_at"])
    return launch.move_start(
        session, key=request.key, starts_at=request.start_at, signature=request.signature, rules=rules, now=now
    )


_ACTS: Mapping[str, _Act] = {
    **dict.fromkeys([kind.value for kind in DecisionKind], _answer),
    "take back": _take_back,
    "delegate": _handed(hands.delegate),
    "transfer": _handed(hands.transfer),
    "add signer before": _signer_added("before"),
    "add signer after": _signer_added("after"),
    "remove signer": _handed(hands.remove_signer),
    **{f"override: {kind.value}": _overridden(kind) for kind in OVERRIDES},
    "withdraw": _moved(review.withdraw),
    "recall": _moved(review.recall),
    "takedown": _take_down,
    "pause": _moved(launch.pause),
    "resume": _moved(launch.resume),
    "launch now": _moved(launch.launch_now),
    "move start": _move_start,
    "drop": _moved(launch.drop),
}

ACTS: tuple[str, ...] = get_args(ActName)
