"""Processes that are surely ours: by pid with create time, or by the mark in their environment."""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psutil

INSTALLATION = "THEMELINE_INSTALLATION"
PART = "THEMELINE_PART"
_SAME_MOMENT = 0.05


@dataclass(frozen=True, slots=True)
class Identity:
    """A pid alone may belong to somebody else by now; with its create time it cannot."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < _SAME_MOMENT and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send(self, number: int) -> None:
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def marked(installation: str, part: str | None = None) -> list[Identity]:
    """Every living process that carries our mark, also those that left their parent and its process group."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get(INSTALLATION) == installation and part in (None, environment.get(PART)):
                found.append(Identity(process.pid, process.create_time()))
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or somebody else's
    return [identity for identity in found if identity.pid != os.getpid() and identity.alive()]


def group_of(leader: Identity) -> list[Identity]:
    """The process group that a living leader of ours heads."""
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == leader.pid and (member := Identity.of(pid)):
                members.append(member)
    return members if leader.alive() else []


def belonging_to(installation: str, part: str, leader: Identity | None) -> list[Identity]:
    """Whom to signal to end a part. A living PostgreSQL ends its own children: a signal means other things to them."""
    if part == "postgres" and leader and leader.alive():
        return [leader]
    members = [*marked(installation, part), *(group_of(leader) if leader else [])]
    return list(dict.fromkeys(members))


def end(identities: Sequence[Identity], *, first: int = signal.SIGTERM, grace: float) -> None:
    """Ask, wait up to `grace` seconds, then kill what is left."""
    for identity in identities:
        identity.send(first)
    if not wait_until_gone(identities, seconds=grace):
        for identity in identities:
            identity.send(signal.SIGKILL)
        wait_until_gone(identities, seconds=5)


def wait_until_gone(identities: Iterable[Identity], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    left = list(identities)
    while left := [identity for identity in left if identity.alive()]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
