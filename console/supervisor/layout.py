"""Where things lie in the state directory."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def lock(self) -> Path:
        return self.root / "up.lock"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def secret_key(self) -> Path:
        return self.root / "secret_key"

    @property
    def prefect_auth(self) -> Path:
        return self.root / "prefect_auth"

    @property
    def database_url(self) -> Path:
        return self.root / "database_url"

    @property
    def database_password(self) -> Path:
        return self.root / "database_password"

    @property
    def database_owner_password(self) -> Path:
        return self.root / "database_owner_password"

    @property
    def prefect_api_auth(self) -> Path:
        return self.root / "prefect_api_auth"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def journal(self) -> Path:
        return self.root / "sandbox.journal"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def ready(self, part: str) -> Path:
        return self.root / "run" / f"{part}.ready"

    def prepare(self) -> None:
        for folder in (self.root, self.logs, self.root / "run", self.prefect):
            folder.mkdir(parents=True, exist_ok=True)

    def installation(self) -> str:
        """The name by which processes of this state directory are told from all others."""
        path = self.root / "installation"
        if not path.exists():
            path.write_text(uuid.uuid4().hex, encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all or nothing."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def read_private(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.exists() else None
