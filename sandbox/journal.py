"""The file behind the ledger: one JSON line a call, written before the call is answered."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Made once: json.dumps with this option would make one for every call.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class JournalRefused(Exception):
    """The journal cannot be used."""


class Journal:
    """Lines reach the kernel in one write a call, so a killed sandbox still knows all that it acknowledged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalRefused(f"cannot open the journal {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise JournalRefused(
                f"the journal {path} belongs to a running sandbox: stop it, or name another"
            ) from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """What was written, oldest first; a last line that was cut off is dropped from the file."""
        end = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise JournalRefused(
                        f"{self.path}, line {number} is not JSON: remove the line or the file"
                    ) from error
                end += len(line)
        os.ftruncate(self._file, end)

    def write(self, entry: dict[str, Any]) -> None:
        data = memoryview(_to_json(entry).encode() + b"\n")
        while data:
            data = data[os.write(self._file, data) :]

    def clear(self) -> None:
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        os.close(self._file)
