"""STATE_DIR/state.json: what runs, since when and where. No secrets. Only the supervisor writes it while it lives."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from console.supervisor.errors import StateUnreadable
from console.supervisor.processes import Identity


class PartState(StrEnum):
    WAITING = "waiting"  # for what it needs, or for its next try
    STARTING = "starting"
    READY = "ready"
    DONE = "done"  # a step that ends
    FAILED = "failed"  # a step that ended badly
    EXTERNAL = "external"  # runs elsewhere, by setting
    DOWN = "down"  # recorded, but not there any more


#: An installation is up when every part is in one of these.
GOOD_STATES = frozenset({PartState.READY, PartState.DONE, PartState.EXTERNAL})


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for; kept until `down`, so that a later `up` heals the same installation."""

    dev_key: bool = False
    sandbox: bool = True


@dataclass(slots=True)
class PartRecord:
    name: str
    state: PartState = PartState.WAITING
    identity: Identity | None = None
    fingerprint: str = ""
    address: str = ""
    failures: int = 0
    restarts: int = 0
    message: str = ""
    retry_at: float = 0.0
    since: float = 0.0


@dataclass(slots=True)
class Installation:
    """Everything that is recorded of a state directory. `addresses` holds what other commands connect to."""

    options: Options = field(default_factory=Options)
    supervisor: Identity | None = None
    parts: dict[str, PartRecord] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        return bool(self.parts) and all(part.state in GOOD_STATES for part in self.parts.values())


def save(path: Path, installation: Installation) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_text(json.dumps(asdict(installation), indent=2), encoding="utf-8")
    draft.replace(path)


def load(path: Path) -> Installation | None:
    """Raises StateUnreadable."""
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StateUnreadable(path=path, reason=f"{type(error).__name__}: {error}") from error


def _identity(found: Mapping[str, Any] | None) -> Identity | None:
    return Identity(found["pid"], found["created"]) if found else None


def _part(found: Mapping[str, Any]) -> PartRecord:
    known = {**found, "state": PartState(found["state"]), "identity": _identity(found["identity"])}
    return PartRecord(**known)


def _from_json(found: Mapping[str, Any]) -> Installation:
    return Installation(
        options=Options(**found["options"]),
        supervisor=_identity(found["supervisor"]),
        parts={name: _part(part) for name, part in found["parts"].items()},
        addresses=dict(found["addresses"]),
    )
