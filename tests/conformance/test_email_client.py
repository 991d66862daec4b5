"""What the mail client does with servers of every kind: with and without extensions, and with those that misbehave."""

import asyncio
import hmac
import ssl
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import uvloop

from channels.email.verp import ReturnPath
from channels.message import Message, Outcome, Provider
from channels.states import ErrorClass
from tests.certificate import self_signed
from tests.conformance.provider_case import SMTP, Sandbox, deliver
from tests.conformance.smtp_script import (
    CUT,
    HANG,
    TAKE_AND_CUT,
    Answer,
    Run,
    Script,
    on,
    one_after_the_other,
    provider_at,
    through,
)

DOWN, UNKNOWN, CONFIG = ErrorClass.DOWN, ErrorClass.UNKNOWN_OUTCOME, ErrorClass.CONFIG
#: What senders run on, and what everything else does.
LOOPS: tuple[Run, Run] = (uvloop.run, asyncio.run)
LOGIN = {"username": "shop", "secrets": {"password": "open sesame"}}


def errors(outcomes: Sequence[Outcome]) -> list[ErrorClass | None]:
    return [outcome.error for outcome in outcomes]


def recipients(script: Script) -> list[str]:
    return sorted(rcpt.partition("<")[2].partition(">")[0] for _, rcpt, _ in script.mails)


# With and without PIPELINING.


def test_envelope_of_the_next_mail_leaves_with_the_text_of_the_one_before() -> None:
    script = Script(waits_for_next=True)
    outcomes = through(script, 3, timeout=0.5)
    # The server answers no text before it has seen the next MAIL: the last one has none behind it.
    assert errors(outcomes) == [None, None, UNKNOWN]
    assert script.connections == 1


def test_server_without_pipelining_is_asked_one_thing_at_a_time() -> None:
    script = Script(features=(), answers={"RCPT": on(0, 1, "550 5.1.1 no")})
    assert errors(through(script, 3)) == [None, ErrorClass.BAD_RECIPIENT, None]
    assert script.verbs() == [
        *("EHLO", "MAIL", "RCPT", "DATA"),
        *("MAIL", "RCPT", "RSET"),  # no DATA after a refusal
        *("MAIL", "RCPT", "DATA", "QUIT"),
    ]


@pytest.mark.parametrize("features", [(), ("PIPELINING",)])
def test_pipelining_can_be_switched_off(features: tuple[str, ...]) -> None:
    script = Script(features=features, answers={"MAIL": "550 5.7.1 no"})
    assert errors(through(script, 1, pipelining=False)) == [CONFIG]
    assert script.verbs() == ["EHLO", "MAIL", "QUIT"]


def test_server_that_knows_no_ehlo_is_greeted_as_of_old() -> None:
    script = Script(answers={"EHLO": "502 5.5.1 what"})
    assert errors(through(script, 2)) == [None, None]
    assert script.verbs()[:5] == ["EHLO", "HELO", "MAIL", "RCPT", "DATA"]


def test_every_refusal_of_a_burst_belongs_to_its_own_mail() -> None:
    script = Script(
        answers={
            "RCPT": lambda _, mail: {1: "550 5.1.1 no such user", 3: "503 5.5.1 who writes"}.get(mail),
            "DATA": lambda _, mail: "503 5.5.1 no recipients" if mail in {1, 3} else None,
            "MAIL": on(0, 3, "451 4.3.0 later"),
            "DOT": on(0, 4, "554 5.7.1 spam"),
        }
    )
    bad, content = ErrorClass.BAD_RECIPIENT, ErrorClass.CONTENT
    assert errors(through(script, 6)) == [None, bad, None, DOWN, content, None]
    assert recipients(script) == ["p0@home.example", "p2@home.example", "p5@home.example"]
    assert script.connections == 1


def test_text_that_is_wanted_for_nobody_is_a_lone_dot() -> None:
    script = Script(answers={"RCPT": on(0, 0, "550 5.1.1 no"), "DOT": on(0, 0, "554 5.5.1 no valid recipients")})
    assert errors(through(script, 2)) == [ErrorClass.BAD_RECIPIENT, None]
    assert recipients(script) == ["p1@home.example"]
    assert script.texts[0] == b".\r\n"
    assert script.verbs().count("RSET") == 1
    assert script.connections == 1


def test_refused_sender_whose_text_is_wanted_all_the_same_sends_none() -> None:
    script = Script(answers={"MAIL": "550 5.7.1 not you"})
    assert errors(through(script, 1)) == [CONFIG]
    assert script.texts == []  # not even an empty one, for the recipient was taken


def test_connection_that_cannot_be_reset_is_replaced() -> None:
    script = Script(
        answers={"RCPT": on(0, 0, "550 5.1.1 no"), "DATA": on(0, 0, "503 5.5.1 no"), "RSET": "500 5.5.1 what"}
    )
    assert errors(through(script, 2)) == [ErrorClass.BAD_RECIPIENT, None]
    assert script.connections == 2


# Servers that end the connection.


@pytest.mark.parametrize("say", ["421 4.7.0 enough mails on this connection", CUT])
@pytest.mark.parametrize("at_once", [True, False])
def test_connection_that_ends_between_two_mails_costs_none(say: str, at_once: bool) -> None:  # noqa: FBT001 - a table
    script = Script(answers={"MAIL": lambda _, mail: say if mail == 2 else None})
    outcomes = through(script, 7) if at_once else through(script, 7, use=one_after_the_other)
    assert errors(outcomes) == [None] * 7
    assert recipients(script) == [f"p{n}@home.example" for n in range(7)]
    assert script.connections == 4


def test_goodbye_to_a_new_connection_is_a_refusal() -> None:
    script = Script(answers={"MAIL": "421 4.7.0 slow down"})
    (outcome,) = through(script, 1)
    assert (outcome.error, outcome.code) == (ErrorClass.THROTTLED, "421 4.7.0")
    assert script.connections == 1


@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
def test_goodbye_within_a_mail_is_about_that_mail(verb: str) -> None:
    script = Script(answers={verb: on(0, 1, "421 4.3.2 closing")})
    assert errors(through(script, 3, use=one_after_the_other)) == [None, DOWN, None]
    assert script.connections == 2


def test_goodbye_to_a_text_refuses_it_and_spares_the_next() -> None:
    script = Script(answers={"DOT": on(0, 0, "421 4.3.2 closing")})
    assert errors(through(script, 3)) == [DOWN, None, None]
    assert recipients(script) == ["p1@home.example", "p2@home.example"]


def test_cut_after_the_final_dot_leaves_only_that_mail_in_doubt() -> None:
    script = Script(answers={"DOT": on(0, 1, CUT)})
    assert errors(through(script, 4)) == [None, UNKNOWN, None, None]
    assert recipients(script) == ["p0@home.example", "p2@home.example", "p3@home.example"]
    assert script.connections == 2


def test_silence_after_the_final_dot_leaves_only_that_mail_in_doubt() -> None:
    script = Script(answers={"DOT": on(0, 1, HANG)})
    assert errors(through(script, 3, timeout=0.3)) == [None, UNKNOWN, None]


def test_nothing_is_tried_more_than_twice() -> None:
    script = Script(answers={"MAIL": lambda connection, mail: CUT if mail == 1 or connection else None})
    assert errors(through(script, 2, use=one_after_the_other)) == [None, DOWN]
    assert script.connections == 2


def test_server_that_takes_few_connections_gets_all_over_those() -> None:
    script = Script(most_connections=2)
    outcomes = through(script, 40, connections=6)
    assert errors(outcomes) == [None] * 40
    assert script.connections > 2


def test_no_connection_fails_whatever_waits_for_one() -> None:
    script = Script(answers={"GREETING": "554 5.7.1 no service for you"})
    assert errors(through(script, 20, connections=3)) == [CONFIG] * 20
    assert script.connections <= 6


MISCHIEF = {
    "GREETING": ["421 4.3.2 busy", CUT],
    "MAIL": ["421 4.7.0 enough", "451 4.3.0 later", CUT, HANG, "what"],
    "RCPT": ["550 5.1.1 no such user", "450 4.2.1 slower", "421 4.7.28 slower", CUT],
    "DATA": ["451 4.3.0 later", "421 4.3.2 closing", CUT],
    "DOT": ["554 5.7.1 spam", "451 4.3.0 later", "421 4.3.2 closing", CUT, TAKE_AND_CUT, "what"],
    "RSET": ["500 5.5.1 what", CUT],
}


def mischievous(seed: int) -> Script:
    chance = Random(seed)  # noqa: S311 - a test that can be run again

    def sometimes(verb: str) -> Answer:
        return lambda _connection, _mail: chance.choice(MISCHIEF[verb]) if chance.random() < 0.06 else None

    features = chance.choice([("PIPELINING", "DSN"), ("PIPELINING",), ()])
    return Script(features=features, answers={verb: sometimes(verb) for verb in MISCHIEF})


@pytest.mark.parametrize("seed", range(24))
def test_whatever_a_server_does_no_mail_is_taken_twice_and_every_yes_is_true(seed: int) -> None:
    script = mischievous(seed)
    outcomes = through(script, 80, connections=3, messages_per_connection=9, timeout=0.3, run=LOOPS[seed % 2])
    taken = Counter(recipients(script))
    for message, outcome in zip(SMTP.messages(80), outcomes, strict=True):
        times = taken[message.address]
        assert times <= 1, message
        if outcome.error is None:
            assert times == 1, message
        elif outcome.error is not UNKNOWN:
            assert times == 0, (message, outcome)
    assert errors(outcomes).count(None) > 40


def test_one_connection_that_fails_costs_one_mail_and_not_all_that_wait() -> None:
    script = Script(answers={"GREETING": lambda connection, _: "421 4.3.2 busy" if connection == 1 else None})
    # The first connection is used up after two mails, the second is refused, the third serves the rest.
    assert errors(through(script, 9, messages_per_connection=2)) == [None, None, DOWN, *[None] * 6]


def test_server_that_is_down_is_not_tried_once_for_every_mail() -> None:
    script = Script(answers={"GREETING": "421 4.3.2 busy"})
    assert errors(through(script, 50)) == [DOWN] * 50
    assert script.connections == 3


# Servers that speak something else.


@pytest.mark.parametrize("say", ["HTTP/1.1 400 Bad Request", "", "2x0 fine", "99 low", "x" * 10_000])
def test_answer_that_is_no_smtp_ends_the_connection(say: str) -> None:
    assert errors(through(Script(answers={"MAIL": say}), 1)) == [DOWN]
    assert errors(through(Script(answers={"GREETING": say or " "}), 1)) == [DOWN]
    assert errors(through(Script(answers={"DOT": say}), 1)) == [UNKNOWN]


@pytest.mark.parametrize(
    ("say", "error"), [("251 2.0.0 forwarded", None), ("354 more", UNKNOWN), ("650 what", UNKNOWN)]
)
def test_only_a_yes_is_a_yes_and_only_a_no_is_a_no(say: str, error: ErrorClass | None) -> None:
    assert errors(through(Script(answers={"DOT": say}), 1)) == [error]


def test_reply_without_end_is_not_listened_to() -> None:
    assert errors(through(Script(answers={"MAIL": "\r\n".join(["250-and"] * 300)}), 1)) == [DOWN]


def test_refusal_in_many_lines_and_in_no_known_script_is_told_whole() -> None:
    script = Script(answers={"RCPT": "550-5.1.1 no such\r\n550 5.1.1 user \ufffd", "DATA": "503 5.5.1 no"})
    (outcome,) = through(script, 1)
    assert (outcome.error, outcome.code) == (ErrorClass.BAD_RECIPIENT, "550 5.1.1")
    assert outcome.detail == "rcpt: 5.1.1 no such 5.1.1 user \ufffd"


def test_word_out_of_turn_ends_a_connection_at_rest() -> None:
    script = Script(answers={"DOT": on(0, 0, "250 2.0.0 queued\r\n421 4.4.2 idle for too long")})
    assert errors(through(script, 2, use=one_after_the_other)) == [None, None]
    assert script.connections == 2


# What goes with the envelope.


def test_return_path_names_the_delivery_and_is_signed() -> None:
    script = Script(features=("PIPELINING", "DSN"))
    key = "a key of sixteen or more"
    settings = {"bounce_address": "bounces@shop.example", "secrets": {"bounce_key": key}}
    assert errors(through(script, 1, **settings)) == [None]  # type: ignore[arg-type] # one dict for both kinds
    delivery = SMTP.messages(1)[0].delivery_id
    expected = ReturnPath(address="bounces@shop.example", key=key.encode()).of(delivery)
    mail, rcpt, _ = script.mails[0]
    assert mail == f"MAIL FROM:<{expected}> RET=HDRS ENVID={delivery}"
    assert rcpt == "RCPT TO:<p0@home.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;p0@home.example"


def test_server_without_dsn_hears_nothing_of_it() -> None:
    script = Script()
    through(script, 1)
    assert script.mails[0][:2] == ("MAIL FROM:<news@shop.example>", "RCPT TO:<p0@home.example>")


def test_original_recipient_is_written_as_xtext() -> None:
    script = Script(features=("DSN",))

    async def send(provider: Provider, messages: Sequence[Message]) -> list[Outcome]:
        return list(await provider.send([replace(messages[0], address="ann+a=b@home.example")]))

    assert errors(through(script, 1, use=send)) == [None]
    assert script.mails[0][1].endswith(
        "<ann+a=b@home.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+2Ba+3Db@home.example"
    )


# Login.


def said_after_auth(script: Script) -> list[str]:
    lines = script.lines()
    return [b64decode(line).decode() for line in lines[2:] if " " not in line and line not in {"DATA", "QUIT"}]


@pytest.mark.parametrize(
    ("feature", "mechanism", "words"),
    [
        ("AUTH CRAM-MD5 LOGIN PLAIN", "PLAIN", ["\0shop\0open sesame"]),
        ("AUTH LOGIN CRAM-MD5", "LOGIN", ["shop", "open sesame"]),
        ("AUTH=LOGIN", "LOGIN", ["shop", "open sesame"]),  # as servers wrote it before the standard
        (
            "AUTH CRAM-MD5",
            "CRAM-MD5",
            [f"shop {hmac.new(b'open sesame', b'<1@script>', 'md5').hexdigest()}"],
        ),
    ],
)
def test_login_is_the_one_that_the_server_offers(feature: str, mechanism: str, words: list[str]) -> None:
    challenge = b64encode(b"<1@script>").decode()
    answers = {
        "AUTH": f"334 {challenge}",
        **{b64encode(word.encode()).decode().upper(): f"334 {challenge}" for word in words},
    }
    answers[b64encode(words[-1].encode()).decode().upper()] = "235 2.7.0 welcome"
    script = Script(features=("PIPELINING", feature), answers=answers)
    assert errors(through(script, 1, **LOGIN)) == [None]  # type: ignore[arg-type] # one dict for both kinds
    assert script.lines()[1] == f"AUTH {mechanism}"
    assert said_after_auth(script) == words


@pytest.mark.parametrize("feature", ["AUTH GSSAPI", "HELP"])
def test_server_that_offers_no_login_of_ours_is_for_ops(feature: str) -> None:
    (outcome,) = through(Script(features=(feature,)), 1, **LOGIN)  # type: ignore[arg-type] # one dict for both kinds
    assert outcome.error is CONFIG
    assert "offers no login" in outcome.detail


def test_password_that_the_server_repeats_is_not_told_on() -> None:
    script = Script(features=("AUTH PLAIN",), answers={"AUTH": "535 5.7.8 'open sesame' is no password"})
    (outcome,) = through(script, 1, **LOGIN)  # type: ignore[arg-type] # one dict for both kinds
    assert (outcome.error, outcome.code) == (CONFIG, "535 5.7.8")
    assert "sesame" not in repr(outcome)


# Encryption.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side; our own side trusts it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_encrypted(security: str, run: Run, tls: ssl.SSLContext) -> None:
    script = Script(features=("PIPELINING", "STARTTLS"), tls=tls, tls_from_the_start=security == "tls")
    assert errors(through(script, 5, security=security, run=run)) == [None] * 5
    assert script.connections == 1
    greetings = ["EHLO", "STARTTLS", "EHLO"] if security == "starttls" else ["EHLO"]
    assert script.verbs()[: len(greetings) + 1] == [*greetings, "MAIL"]


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_certificate_that_nobody_trusts_is_for_ops(
    security: str, run: Run, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    script = Script(features=("STARTTLS",), tls=tls, tls_from_the_start=security == "tls")
    (outcome,) = through(script, 1, security=security, run=run)
    assert outcome.error is CONFIG
    assert "certificate" in outcome.detail.lower()


def test_server_without_starttls_gets_no_mail_in_clear_text() -> None:
    script = Script()
    (outcome,) = through(script, 1, security="starttls")
    assert outcome.error is CONFIG
    assert "STARTTLS" in outcome.detail
    assert script.mails == []


@pytest.mark.parametrize("slipped_in", [b"250 2.0.0 all is well\r\n", b"250-AUTH PLAIN"])
def test_clear_text_slipped_in_before_encryption_is_not_believed(tls: ssl.SSLContext, slipped_in: bytes) -> None:
    script = Script(features=("STARTTLS",), tls=tls, after_starttls=slipped_in)
    (outcome,) = through(script, 1, security="starttls", timeout=1.0)
    assert outcome.error in {CONFIG, DOWN}
    assert "clear text" in outcome.detail or "unasked" in outcome.detail
    assert script.mails == []


# Whoever waits, and no longer does.


def test_mail_that_nobody_waits_for_any_more_is_not_handed_over() -> None:
    go_on = asyncio.Event()
    script = Script(held={"DATA": go_on})

    async def give_up(provider: Provider, messages: Sequence[Message]) -> list[Outcome]:
        first, second = (asyncio.create_task(_outcome(provider, message)) for message in messages)
        await script.until(lambda: "DATA" in script.verbs())
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        go_on.set()
        return [await second]

    assert errors(through(script, 2, use=give_up)) == [None]
    assert recipients(script) == ["p1@home.example"]


def test_account_that_is_closed_fails_what_waits_as_not_sent() -> None:
    script = Script(answers={"GREETING": HANG})

    async def within() -> tuple[Outcome, Outcome]:
        async with script.serve() as port:
            provider = provider_at(port)
            waiting = asyncio.create_task(_outcome(provider, SMTP.messages(1)[0]))
            await script.until(lambda: script.connections > 0)
            await provider.close()
            return await waiting, await _outcome(provider, SMTP.messages(1)[0])

    assert errors(asyncio.run(within())) == [DOWN, DOWN]


async def _outcome(provider: Provider, message: Message) -> Outcome:
    (outcome,) = await provider.send([message])
    return outcome


def test_server_that_limits_mails_per_connection_gets_them_all(sandbox: Sandbox) -> None:
    async def send(provider: Provider) -> list[Outcome]:
        return await deliver(provider, SMTP.messages(60))

    assert set(errors(SMTP.run(sandbox, send, connections=2, messages_per_connection=7))) == {None}
    assert len(set(sandbox.recipients(SMTP))) == 60
