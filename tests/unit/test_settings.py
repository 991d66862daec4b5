"""Settings as they are written in the environment."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from settings import Settings


@pytest.mark.parametrize("written", ["90", "90.0", "PT1M30S", "00:01:30"])
def test_a_duration_is_seconds_iso_8601_or_clock_time(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("THEMELINE_LEASE", written)
    assert Settings().lease == timedelta(seconds=90)


def test_a_duration_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMELINE_LEASE", "soon")
    with pytest.raises(ValidationError, match="lease"):
        Settings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMELINE_SECRET_KEY", "a long and secret key")
    monkeypatch.setenv("THEMELINE_DATABASE_URL", "postgresql://somebody:hidden@db.example.com/themeline")
    shown = repr(Settings())
    assert "a long and secret key" not in shown
    assert "hidden" not in shown
