"""What has to fit together across the parts of a theme file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from channels.states import Channel
from documents.problem import did_you_mean, listed
from documents.shape import Findings
from documents.source import join_path
from offers.presets import OfferKind, ParameterType
from themes import mini_program_limits
from themes.notation import Notation, has_control_characters
from themes.offer_file import ReadOffer
from themes.theme import Period, Validity


def check_offers(
    offers: Sequence[ReadOffer],
    *,
    window: Period | None,
    exclusions: object,
    notation: Notation,
    findings: Findings,
) -> None:
    _check_ids(offers, findings=findings)
    _check_packages(offers, findings=findings)
    _check_exclusions(offers, exclusions, elsewhere=notation.known.offers, findings=findings)
    for offer in offers:
        if window:
            _check_times(offer, window, findings=findings)
        _check_limits(offer, findings=findings)


def check_placements(placements: Iterable[Any], *, findings: Findings) -> None:
    seen: set[str] = set()
    for at, placement in enumerate(placements):
        if placement.place in seen:
            findings.add(f"placements[{at}].place", "is given twice; write one period for it", found=placement.place)
        seen.add(placement.place)


def check_messages_fit(
    messages: Mapping[Channel, Mapping[str, Any]], templates: Mapping[str, str], *, findings: Findings
) -> None:
    if Channel.SMS in messages:
        _check_sms(messages[Channel.SMS], findings=findings)
    if Channel.EMAIL in messages:
        _check_email(messages[Channel.EMAIL], templates, findings=findings)
    for field in messages.get(Channel.MINI_PROGRAM, {}).get("data", ()):
        if mini_program_limits.kind_of(field) is None:
            kinds = mini_program_limits.KINDS
            message = f"is not a field of a subscribe message{did_you_mean(field.rstrip('0123456789'), kinds)}"
            findings.add(f"channels.mini_program.data.{field}", message, allowed=f"{listed(kinds)}, each with a number")


def _check_ids(offers: Sequence[ReadOffer], *, findings: Findings) -> None:
    first: dict[str, str] = {}
    for offer in offers:
        if offer.id is None:
            continue
        if offer.id in first:
            findings.add(f"{offer.path}.id", f"is the id of {first[offer.id]} as well", found=offer.id)
        first.setdefault(offer.id, offer.path)


def _check_packages(offers: Sequence[ReadOffer], *, findings: Findings) -> None:
    coupons = {offer.id for offer in offers if offer.kind is OfferKind.COUPON and offer.id}
    for offer in offers:
        parameters = offer.preset.parameters if offer.preset else {}
        for name in (key for key, parameter in parameters.items() if parameter.type is ParameterType.COUPONS):
            for held in offer.fields.get(name) or ():
                path = join_path(offer.path, name)
                if held == offer.id:
                    findings.add(path, "holds itself", found=held)
                elif held not in coupons:
                    message = f"is not a coupon of this theme{did_you_mean(held, coupons)}"
                    findings.add(path, message, found=held, allowed=listed(coupons))


def _check_exclusions(
    offers: Sequence[ReadOffer], exclusions: object, *, elsewhere: frozenset[str] | None, findings: Findings
) -> None:
    """`elsewhere`: what there is in other themes, of all that the file names; None: that is not known here."""
    own = {offer.id for offer in offers if offer.id}
    known = own | (elsewhere or frozenset())
    for at, pair in enumerate(exclusions if isinstance(exclusions, list) else ()):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):  # noqa: PLR2004 - a pair
            continue  # its shape is reported already
        for side, name in enumerate(pair):
            if name not in known and (elsewhere is not None or "/" not in name):
                message = f"is not a known offer{did_you_mean(name, known)}"
                allowed = f"{listed(known)}; one of another theme as THEME/OFFER"
                findings.add(f"exclusions[{at}][{side}]", message, found=name, allowed=allowed)
        if pair[0] == pair[1]:
            findings.add(f"exclusions[{at}]", "excludes an offer from itself", found=pair[0])
        elif all("/" in name for name in pair):
            findings.add(f"exclusions[{at}]", "names no offer of this theme", found=pair)


def _check_times(offer: ReadOffer, window: Period, *, findings: Findings) -> None:
    claim: Period | None = offer.fields.get("claim")
    if claim and claim.starts_at < window.starts_at:
        findings.add(f"{offer.path}.claim.from", "is before the theme's window begins")
    if claim and claim.ends_at > window.ends_at:
        findings.add(f"{offer.path}.claim.to", "is after the theme's window ends")
    valid: Period | Validity | None = offer.fields.get("valid")
    if not valid or not valid.starts_at or not valid.ends_at:
        return
    if offer.kind is OfferKind.COUPON and valid.ends_at < (claim or window).ends_at:
        findings.add(f"{offer.path}.valid.to", "is before the last moment at which the coupon can be claimed")
    if offer.kind is OfferKind.ACTIVITY and valid.starts_at < window.starts_at:
        findings.add(f"{offer.path}.valid.from", "is before the theme's window begins")
    if offer.kind is OfferKind.ACTIVITY and valid.ends_at > window.ends_at:
        findings.add(f"{offer.path}.valid.to", "is after the theme's window ends")


def _check_limits(offer: ReadOffer, *, findings: Findings) -> None:
    total = offer.fields.get("total")
    limits = {name: offer.fields.get(name) for name in ("per_customer", "per_day", "per_customer_day")}
    through = offer.fields.get("per_channel") or {}
    limits |= {f"per_channel.{channel}": limit for channel, limit in through.items()}
    for name, limit in limits.items():
        if total and limit and limit > total:
            findings.add(
                f"{offer.path}.{name}", "is more than there are in total", found=limit, allowed=f"up to {total}"
            )


def _check_sms(message: Mapping[str, Any], *, findings: Findings) -> None:
    if "text" not in message or "template" not in message:
        return  # one of them is wrong, and reported
    if (message["text"] is None) == (message["template"] is None):
        findings.add("channels.sms", "needs either a text or a template", allowed="text, or template and params")
    elif message["text"] is not None and message.get("params"):
        findings.add("channels.sms.params", "belongs to a template, and this message is a text")


def _check_email(message: Mapping[str, Any], templates: Mapping[str, str], *, findings: Findings) -> None:
    for part in ("html", "text"):
        name = message.get(part)
        if name is not None and name not in templates:
            given = f"is not among the templates given{did_you_mean(name, templates)}"
            findings.add(f"channels.email.{part}", given, found=name, allowed=listed(templates))
        elif name is not None and has_control_characters(templates[name]):
            findings.add(f"channels.email.{part}", "contains a control character; remove it", found=name)
    if "text" in message and message["text"] is None:
        why = "an HTML message needs a text beside it" if message.get("html") else "an email needs a text"
        findings.add("channels.email.text", f"is missing; {why}")
