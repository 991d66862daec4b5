"""The HTTP/2 side of the sandbox, given whatever bytes."""

import asyncio
from collections.abc import Mapping

from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st

from sandbox.http2 import EitherVersion, Http2
from sandbox.http_call import Reply

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written, and who reads."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.protocol, self.is_closed = bytearray(), None, False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol  # type: ignore[assignment]

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


class Old(asyncio.Protocol):
    def __init__(self) -> None:
        self.read = b""

    def data_received(self, data: bytes) -> None:
        self.read += data


def answer(_method: str, target: str, _headers: Mapping[str, str], body: bytes) -> Reply:
    return Reply(200, target.encode() + body)


def connected() -> tuple[Wire, Http2, set[Http2]]:
    wire, connections = Wire(), set[Http2]()
    protocol = Http2(answer=answer, open_connections=connections)
    protocol.connection_made(wire)
    return wire, protocol, connections


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_after_the_preface_ends_the_connection_in_good_order(pieces: list[bytes]) -> None:
    wire, protocol, connections = connected()
    protocol.data_received(PREFACE)
    for piece in pieces:
        protocol.data_received(piece)
    protocol.connection_lost(None)
    assert wire.written
    assert not connections


@given(st.lists(st.integers(1, 40), max_size=10))
def test_version_is_told_by_the_first_bytes_however_they_are_cut(lengths: list[int]) -> None:
    client = H2Connection(config=H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    new = client.data_to_send()
    for data, is_new in ((new, True), (b"POST /v3/push HTTP/1.1\r\n\r\n", False), (b"PRINT / HTTP/1.1\r\n\r\n", False)):
        wire, old = Wire(), Old()
        either = EitherVersion(
            http1=lambda found=old: found,  # type: ignore[misc]
            http2=lambda: Http2(answer=answer, open_connections=set()),
        )
        either.connection_made(wire)
        rest = data
        for length in [*lengths, len(data)]:
            if rest:
                reader = either if wire.protocol is None else wire.protocol
                reader.data_received(rest[:length])
                rest = rest[length:]
        assert isinstance(wire.protocol, Http2 if is_new else Old)
        assert bytes(old.read) == (b"" if is_new else data)


def test_target_without_a_path_is_answered_like_any_other() -> None:
    wire, protocol, _ = connected()
    client = H2Connection(config=H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
    client.initiate_connection()
    client.send_headers(1, [(":method", "CONNECT"), (":authority", "shop.example")], end_stream=True)
    protocol.data_received(client.data_to_send())
    assert [type(event).__name__ for event in client.receive_data(bytes(wire.written))][-1] == "StreamEnded"
