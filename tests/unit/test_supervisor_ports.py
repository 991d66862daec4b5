import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from console.supervisor.errors import PortBusy
from console.supervisor.ports import choose, free_port, is_free, read_kept


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def chosen(*, configured: int = 0, kept: int = 0, held_by_us: bool = False) -> int:
    return choose(
        name="prefect",
        part="prefect-server",
        setting="THEMELINE_PREFECT_PORT",
        configured=configured,
        kept={"prefect": kept} if kept else {},
        held_by_us=held_by_us,
    )


def test_the_port_of_the_last_start_is_taken_again() -> None:
    port = free_port()
    assert chosen(kept=port) == port


def test_a_port_that_our_own_part_holds_is_kept(taken: int) -> None:
    assert chosen(kept=taken, held_by_us=True) == taken
    assert chosen(kept=taken, configured=taken, held_by_us=True) == taken


def test_a_kept_port_that_somebody_else_took_is_replaced(taken: int) -> None:
    port = chosen(kept=taken)
    assert port != taken
    assert is_free(port)


def test_a_configured_port_that_is_taken_is_refused_with_its_holder_and_the_setting(taken: int) -> None:
    with pytest.raises(PortBusy) as caught:
        chosen(configured=taken)
    assert caught.value.port == taken
    assert f"pid {os.getpid()}" in str(caught.value)
    assert "THEMELINE_PREFECT_PORT" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "not json", '{"prefect": "x"}'])
def test_a_damaged_memory_of_ports_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(text, encoding="utf-8")
    assert read_kept(path) == {}
