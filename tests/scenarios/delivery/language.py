"""The sentences that scenarios of delivery are written in: a small fixed grammar, each with its one meaning."""

from collections.abc import Mapping

from tests.scenarios.grammar import Grammar

#: What stands for a value in a sentence: its pattern, and an example for the list of known sentences.
_VALUES: Mapping[str, tuple[str, str]] = {
    "channel": (r"(?P<channel>sms|email|push|mini_program)", "push"),
    "theme": (r"(?P<theme>spring|summer|flash)", "summer"),
    "account": (r"(?P<account>[a-z]+-(?:main|spare))", "push-main"),
    "customers": (r"customers? (?P<customers>\d+(?:-\d+)?)", "customers 1-3"),
    "other": (r"(?P<other>\d+)", "2"),
    "number": (r"(?P<number>\d+)", "3"),
    "senders": (r"(?P<senders>\d+) senders?", "2 senders"),
    "percent": (r"(?P<percent>\d+) %", "40 %"),
    "duration": (r"(?P<duration>\d+ (?:second|minute|hour|day)s?)", "10 minutes"),
    "milliseconds": (r"(?P<milliseconds>\d+) ms", "50 ms"),
    "seconds": (r"(?P<seconds>\d+) seconds", "3 seconds"),
    "code": (r"(?P<code>\S+)", "1011"),
    "class": (r"(?P<error_class>[a-z_]+)", "throttled"),
    "zone": (r"(?P<zone>[A-Z]\w+/\w+)", "America/New_York"),
    "what": (r"(?P<what>mark sent|send again)", "mark sent"),
    "kind": (r"(?P<kind>delivered|failed|accepted)", "delivered"),
    "limits": (r"(?P<limits>[a-z0-9-]+)", "one-a-day"),
}

#: meaning -> sentence.
SENTENCES: Mapping[str, str] = {
    # who is there, and when
    "without_consent": "{customers} gave no consent on {channel}",
    "withdraw_consent": "{customers} withdraw consent on {channel}",
    "without_address": "{customers} have no address on {channel}",
    "invalid_address": "{customers} have an invalid address on {channel}",
    "same_address": "{customers} share the address of {other} on {channel}",
    "suppress": "{customers} are suppressed on {channel}",
    "unsubscribe": "{customers} unsubscribe by the link of their mail",
    "move_home": "{customers} live in {zone}",
    "wait": "{duration} pass",
    # the theme
    "launch": "{theme} is launched",
    "launch_together": "{theme} is launched by 2 at once",
    "plan_again": "{theme} is planned again",
    "plan_missing": "the sweep looks for missing rows",
    "lose_rows": "{number} rows of {channel} are lost",
    "edit": "ann writes another text for {theme}",
    "pause": "bob pauses {theme}",
    "resume": "bob resumes {theme}",
    "take_down": "bob takes {theme} down",
    "take_down_corrected": "bob takes {theme} down with a correction",
    "end": "{theme} ends now",
    # senders
    "work": "the senders work",
    "work_to_end": "the senders work until all is settled",
    "begin": "{senders} begin on {channel}",
    "begin_all": "{senders} begin on every channel",
    "all_end": "the senders end",
    "all_end_somehow": "the senders end, one way or another",
    "killed": "the senders are killed",
    "kill_often": "senders of {channel} are killed {number} times",
    "kill_any": "senders of any channel are killed {number} times",
    "told_to_stop": "the senders are told to stop",
    "stop_within": "no call leaves after {seconds}",
    "reached": "{percent} of {channel} are sent",
    "call_size": "{channel} takes {number} messages a call",
    "pace": "{channel} sends {number} calls a second",
    "cut_database": "every database connection is cut",
    "sweep": "the sweep runs",
    # the provider
    "slow": "{channel} answers after {milliseconds}",
    "down": "the provider of {channel} is down",
    "cut_after": "the provider of {channel} takes {number} calls and cuts",
    "give_up": "calls of {channel} are given up after {seconds}",
    "hang": "the provider of {channel} hangs on {number} calls",
    "throttle": "the provider of {channel} throttles",
    "throttle_until": "the provider of {channel} throttles and asks for {seconds}",
    "answer_code": "the provider of {channel} answers every call with {code}",
    "refuse_customers": "the provider of {channel} refuses {customers} with {code}",
    "mended": "the provider of {channel} is mended",
    "expire_tokens": "all tokens of the provider expire",
    # receipts
    "receipt": "a receipt says that {customers} of {channel} are {kind}",
    "receipt_stranger": "a receipt comes for a message of {channel} that nobody sent",
    "receipts_shuffled": "the receipts of {channel} come twice and in any order",
    "join_receipts": "waiting receipts are joined",
    # persons and what they do about it
    "retry": "ops retry what failed",
    "retry_class": "ops retry what failed as {class}",
    "retry_dry": "ops look what a retry would take",
    "retry_together": "ops retry what failed on 2 machines at once",
    "settle": "ops settle the doubtful of {channel}: {what}",
    "inquire": "the providers are asked about the doubtful",
    "cancel_channel": "ops cancel {channel} of {theme}",
    "resume_channel": "ops let {channel} go on",
    "resume_account": "ops resume {account}",
    "pause_account": "ops pause {account}",
    "use_spare": "{channel} has a spare account",
    "wrong_credentials": "the credentials of {account} are wrong",
    # limits
    "limit": "the limits {limits} apply",
}

GRAMMAR = Grammar(values=_VALUES, sentences=SENTENCES)


def numbers_of(words: str) -> range:
    """`3`, `1-23`: the numbers of customers."""
    first, _, last = words.partition("-")
    return range(int(first), int(last or first) + 1)
