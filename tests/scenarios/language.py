"""The sentences that scenarios are written in: a small fixed grammar, each sentence with its one meaning."""

from collections.abc import Mapping

from tests.scenarios.grammar import Grammar

#: What stands for a value in a sentence: its pattern, and an example for the list of known sentences.
_VALUES: Mapping[str, tuple[str, str]] = {
    "who": (r"(?P<who>[a-z][a-z-]*)", "ann"),
    "person": (r"(?P<person>[a-z][a-z-]*)", "zoe"),
    "offer": (r"(?: (?:coupon|activity) (?P<offer>[a-z0-9-]+))?", ""),
    "named offer": (r"(?:coupon|activity) (?P<offer>[a-z0-9-]+)", "coupon wander-20"),
    "field": (r"(?P<field>[a-z_]+)", "amount"),
    "value": (r"(?P<value>\S.*)", "15.00"),
    "level": (r"(?P<level>[a-z][a-z-]*)", "operations"),
    "role": (r"(?P<role>[a-z][a-z-]*)", "operations"),
    "line": (r"(?P<line>[a-z][a-z-]*)", "giftware-eu"),
    "policy": (r"(?P<policy>[a-z][a-z-]*)", "two-levels"),
    "duration": (r"(?P<duration>\d+ (?:minute|hour|day)s?)", "30 hours"),
    "later": (r"(?P<later>\d+ (?:minute|hour|day)s?)", "2 days"),
    "number": (r"(?P<number>\d+)", "1"),
    "what": (r"(?P<what>approve|reject|return to drafter)", "approve"),
    "where": (r"(?P<where>before|after) (?:himself|herself)", "before herself"),
    "claimed": (r"(?P<claimed>honouring|voiding)", "honouring"),
}

#: meaning -> sentence. `…` at the end: a reason follows, after a colon.
SENTENCES: Mapping[str, str] = {
    "draft": "{who} drafts the theme",
    "submit": "{who} submits",
    "save_again": "{who} saves without a change",
    "edit_theme": "{who} edits the {field} to {value}",
    "edit_without_code": "{who} edits the {field} to {value} without a code",
    "edit_offer": "{who} edits the {field} of {named offer} to {value}",
    "drop_offer": "{who} drops {named offer}",
    "add_coupon": "{who} adds {named offer}",
    "approve": "{who} approves{offer} …",
    "reject": "{who} rejects{offer} …",
    "return_to_drafter": "{who} returns{offer} to drafter …",
    "return_to_previous": "{who} returns{offer} to previous level …",
    "return_to_level": "{who} returns{offer} to level {level} …",
    "advise": "{who} advises {what}{offer} …",
    "answer_round": "{who} answers the question of round {number} with {what} …",
    "answer_for_other": "{who} answers the question to {person} with {what} …",
    "approve_wrong_code": "{who} approves with a wrong code",
    "approve_used_code": "{who} approves{offer} with the code used last",
    "approve_other_code": "{who} approves with a code of {person}",
    "lock_out": "{who} gives {number} wrong codes",
    "withdraw": "{who} withdraws …",
    "take_back": "{who} takes back{offer} …",
    "recall": "{who} recalls …",
    "take_down": "{who} takes down, {claimed} claimed coupons …",
    "delegate": "{who} delegates{offer} to {person} …",
    "transfer": "{who} transfers{offer} to {person} …",
    "add_signer": "{who} adds signer {person}{offer} {where} …",
    "remove_signer": "{who} removes signer {person}{offer} …",
    "override": "{who} overrides {what}{offer} …",
    "pause": "{who} pauses …",
    "disable": "{who} is disabled",
    "enable": "{who} is enabled again",
    "enrol": "{who} is enrolled anew",
    "manager": "{who} has the manager {person}",
    "grant": "{who} gets the role {role}",
    "revoke": "{who} loses the role {role}",
    "limit": "{who} is limited to product line {line}",
    "substitute": "{person} stands in for {who} for {duration}",
    "substitute_later": "{person} stands in for {who} in {later} for {duration}",
    "apply": "the policy {policy} is applied",
    "wait": "{duration} pass",
    "sweep": "the sweep runs",
    "schedule": "the launch is scheduled",
    "start": "the theme goes live",
    "finish_takedown": "every channel is undone",
}

GRAMMAR = Grammar(values=_VALUES, sentences=SENTENCES)
