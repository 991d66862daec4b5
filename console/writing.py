"""Writing the files that a command line names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from console.refusals import FileUnwritable


@contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """A file that is in place once all of it is written; until then, and on an error, what was there stays.

    Raises:
        FileUnwritable
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        target = aside.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise FileUnwritable(path=str(path), reason=error.strerror or str(error)) from error
    try:
        with target:
            yield target
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
