# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What claims ask for, and what is given. Set-based: a batch takes as many statements as a single claim."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from models.queries.access_paths import BY_INDEX
from models.queries.arrays import plain_array, text_array
from offers.claim_rules import Bucket, Standing, TakenCode, Terms
from offers.preset import ClaimWay
from offers.states import Closed, Source

# Of each offer the one of the revision that was launched last, and beside a package the coupons that it holds.
_OFFERS = text(
    BY_INDEX
    + """
    WITH asked AS (
        SELECT DISTINCT ON (t.key, lo.offer) lo.*, t.key AS theme
        FROM unnest(CAST(:themes AS text[]), CAST(:offers AS text[])) AS v(theme, offer)
        JOIN themes t ON t.key = v.theme AND t.product_line_id = :line
        JOIN live_offers lo ON lo.theme_id = t.id AND lo.offer = v.offer
        ORDER BY t.key, lo.offer, lo.id DESC
    ), held AS (
        SELECT lo.*, asked.theme FROM asked
        JOIN revisions r ON r.id = asked.revision_id
        JOIN LATERAL jsonb_array_elements_text(r.content -> 'offers' -> asked.offer -> 'parameters' -> 'coupons')
            AS inside(offer) ON true
        JOIN live_offers lo ON lo.theme_id = asked.theme_id AND lo.revision_id = asked.revision_id
            AND lo.offer = inside.offer
        WHERE asked.claim_way = 'package'
    )
    SELECT found.*, r.content -> 'offers' -> found.offer -> 'parameters' AS parameters
    FROM (SELECT * FROM asked UNION SELECT * FROM held) AS found JOIN revisions r ON r.id = found.revision_id
    ORDER BY found.id
"""
)
_CUSTOMER = text("SELECT id FROM customers WHERE product_line_id = :line AND external_id = :external_id")
_OFFERS_OF_CODES = text("""
    SELECT c.number, t.key AS theme, p.offer FROM codes c
    JOIN code_pools p ON p.id = c.pool_id AND p.product_line_id = :line JOIN themes t ON t.id = p.theme_id
    WHERE c.number = ANY(CAST(:numbers AS bigint[]))
""")
# A product line has few of them, and letters that look alike are one.
_OFFERS_OF_SHARED = text("""
    SELECT translate(p.shared, 'OIL', '011') AS code, t.key AS theme, p.offer FROM code_pools p
    JOIN themes t ON t.id = p.theme_id
    WHERE p.product_line_id = :line AND translate(p.shared, 'OIL', '011') = ANY(CAST(:codes AS text[]))
""")
# Whoever counts of an offer holds it, so all that is read after this stays as it is until the end of the transaction.
_LOCK = text("""
    SELECT id, closed, claimed, spent_minor FROM live_offers
    WHERE id = ANY(CAST(:ids AS int[])) ORDER BY id FOR NO KEY UPDATE
""")
_LOCK_CODES = text("""
    SELECT number, customer_id, held_id FROM codes
    WHERE number = ANY(CAST(:numbers AS bigint[])) ORDER BY number FOR NO KEY UPDATE
""")
_COUNTS = text("""
    SELECT v.place, c.count
    FROM unnest(CAST(:offers AS int[]), CAST(:customers AS int[]), CAST(:days AS date[]), CAST(:channels AS text[]))
        WITH ORDINALITY AS v(offer_id, customer_id, day, channel, place)
    JOIN offer_counts c ON (c.offer_id, c.customer_id, c.day, c.channel)
        = (v.offer_id, v.customer_id, v.day, v.channel)
""")
_BUYERS = text("""
    SELECT v.id FROM unnest(CAST(:ids AS int[])) AS v(id)
    WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = v.id AND o.kept)
    OR EXISTS (SELECT FROM redemptions r WHERE r.customer_id = v.id AND r.state = 'redeemed')
""")
_USED_POINTS = text("""
    SELECT h.offer_id, h.points_receipt
    FROM unnest(CAST(:offers AS int[]), CAST(:receipts AS text[])) AS v(offer_id, receipt)
    JOIN held_coupons h ON h.offer_id = v.offer_id AND h.points_receipt = v.receipt
""")
# All that a batch writes of offers. Each part has a guard of its own, for what was read under the locks before.
_HOLD = text(
    BY_INDEX
    + """
    WITH ids AS MATERIALIZED (
        SELECT CAST(pg_get_serial_sequence('held_coupons', 'id') AS regclass) AS sequence
    ), v AS MATERIALIZED (
        SELECT nextval((SELECT sequence FROM ids)) AS id, given.*
        FROM unnest(
            CAST(:offers AS int[]), CAST(:customers AS int[]), CAST(:sources AS text[]), CAST(:channels AS text[]),
            CAST(:valid_from AS timestamptz[]), CAST(:valid_to AS timestamptz[]), CAST(:packages AS text[]),
            CAST(:codes AS bigint[]), CAST(:orders AS text[]), CAST(:receipts AS text[])
        ) WITH ORDINALITY AS given(offer_id, customer_id, source, channel, valid_from, valid_to, package, code,
                                   trigger_order, points_receipt, place)
    ), made AS (
        INSERT INTO held_coupons (id, offer_id, customer_id, state, source, claimed_at, channel, valid_from, valid_to,
                                  package, code, trigger_order, points_receipt, changed_at)
        OVERRIDING SYSTEM VALUE
        SELECT id, offer_id, customer_id, 'issued', source, :now, channel, valid_from, valid_to, package, code,
               trigger_order, points_receipt, :now
        FROM v
    ), taken AS (
        UPDATE codes c SET held_id = coded.id
        FROM (SELECT DISTINCT ON (code) code, id, customer_id FROM v WHERE code IS NOT NULL ORDER BY code, place)
            AS coded
        WHERE c.number = coded.code
            AND c.held_id IS NULL AND (c.customer_id IS NULL OR c.customer_id = coded.customer_id)
        RETURNING c.number
    ), claimed AS (
        UPDATE live_offers lo SET claimed = lo.claimed + more.more
        FROM unnest(CAST(:claimed_of AS int[]), CAST(:claimed AS int[])) AS more(id, more)
        WHERE lo.id = more.id AND (lo.total IS NULL OR lo.claimed + more.more <= lo.total)
        RETURNING lo.id
    ), counted AS (
        INSERT INTO offer_counts AS c (offer_id, customer_id, day, channel, count)
        SELECT b.offer_id, b.customer_id, b.day, b.channel, b.more
        FROM unnest(CAST(:bucket_offers AS int[]), CAST(:bucket_customers AS int[]), CAST(:bucket_days AS date[]),
                    CAST(:bucket_channels AS text[]), CAST(:more AS int[]), CAST(:most AS int[]))
            AS b(offer_id, customer_id, day, channel, more, most)
        WHERE b.more <= b.most
        ORDER BY b.offer_id, b.customer_id, b.day, b.channel
        ON CONFLICT (offer_id, customer_id, day, channel) DO UPDATE SET count = c.count + excluded.count
        WHERE c.count + excluded.count <= (
            SELECT CASE WHEN c.customer_id <> 0 AND c.day = '-infinity' THEN lo.per_customer
                        WHEN c.customer_id <> 0 THEN lo.per_customer_day
                        WHEN c.channel <> '' THEN CAST(lo.per_channel ->> c.channel AS int)
                        ELSE lo.per_day END
            FROM live_offers lo WHERE lo.id = c.offer_id
        )
        RETURNING c.offer_id
    )
    SELECT (SELECT array_agg(id ORDER BY place) FROM v) AS ids, (SELECT count(*) FROM taken) AS codes,
           (SELECT count(*) FROM claimed) AS offers, (SELECT count(*) FROM counted) AS buckets
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The offers that were asked for, by THEME/OFFER; of a package also what it holds, by its id."""

    offers: Mapping[str, Terms]
    inside: Mapping[int, Sequence[Terms]]


class New(NamedTuple):
    """A coupon that is to be held."""

    offer_id: int
    customer_id: int
    source: Source
    channel: str
    valid_from: datetime
    valid_to: datetime
    package: str | None
    code: int | None
    trigger_order: str | None
    points_receipt: str | None


class Held(NamedTuple):
    """The ids of coupons in the order in which they were given, and how many codes, offers and buckets took part."""

    ids: Sequence[int]
    codes: int
    offers: int
    buckets: int


def asked_offers(session: Session, names: Iterable[str], *, product_line_id: int) -> Asked:
    """`names` are THEME/OFFER. Held by a package are only coupons of its own revision."""
    split = [name.partition("/") for name in names]
    values = {"themes": text_array(one[0] for one in split), "offers": text_array(one[2] for one in split)}
    rows = session.execute(_OFFERS, {"line": product_line_id, **values}).mappings()
    found = {(row["theme_id"], row["revision_id"], row["offer"]): _terms(row) for row in rows}
    inside = {
        terms.id: [found[theme_id, revision_id, name] for name in terms.parameters["coupons"]]
        for (theme_id, revision_id, _), terms in found.items()
        if terms.is_package
    }
    return Asked(offers={terms.name: terms for terms in found.values()}, inside=inside)


def customer_id(session: Session, external_id: str, *, product_line_id: int) -> int | None:
    found: int | None = session.scalar(_CUSTOMER, {"line": product_line_id, "external_id": external_id})
    return found


def offers_of_codes(session: Session, numbers: Iterable[int], *, product_line_id: int) -> Mapping[int, str]:
    """Number -> THEME/OFFER."""
    rows = session.execute(_OFFERS_OF_CODES, {"line": product_line_id, "numbers": plain_array(numbers)})
    return {row.number: f"{row.theme}/{row.offer}" for row in rows}


def offers_of_shared(session: Session, codes: Iterable[str], *, product_line_id: int) -> Mapping[str, str]:
    """Folded code -> THEME/OFFER."""
    rows = session.execute(_OFFERS_OF_SHARED, {"line": product_line_id, "codes": text_array(codes)})
    return {row.code: f"{row.theme}/{row.offer}" for row in rows}


def lock(session: Session, offer_ids: Iterable[int]) -> Mapping[int, Standing]:
    """Nobody else counts of these until the transaction ends. What depends on them is read afterwards."""
    rows = session.execute(_LOCK, {"ids": plain_array(sorted(offer_ids))})
    return {row.id: Standing(Closed(row.closed) if row.closed else None, row.claimed, row.spent_minor) for row in rows}


def lock_codes(session: Session, numbers: Iterable[int]) -> Mapping[int, TakenCode]:
    rows = session.execute(_LOCK_CODES, {"numbers": plain_array(sorted(numbers))})
    return {row.number: TakenCode(row.customer_id, row.held_id) for row in rows}


def counts(session: Session, buckets: Sequence[Bucket]) -> Mapping[Bucket, int]:
    rows = session.execute(_COUNTS, bucket_columns(buckets))
    return {buckets[place - 1]: count for place, count in rows}


def buyers(session: Session, customer_ids: Iterable[int]) -> frozenset[int]:
    """Those who have ordered: before, or since, with something taken off."""
    return frozenset(session.scalars(_BUYERS, {"ids": plain_array(sorted(customer_ids))}))


def used_points(session: Session, receipts: Collection[tuple[int, str]]) -> set[tuple[int, str]]:
    """Of offers and what proves that points were taken, those for which a coupon was given."""
    values = {"offers": plain_array(one[0] for one in receipts), "receipts": text_array(one[1] for one in receipts)}
    return {(row.offer_id, row.points_receipt) for row in session.execute(_USED_POINTS, values)}


def hold(
    session: Session,
    new: Sequence[New],
    *,
    claimed: Mapping[int, int],
    counted: Mapping[Bucket, int],
    most: Mapping[Bucket, int],
    now: datetime,
) -> Held:
    """Put coupons into hands, and take their codes; count claims of offers, and what was counted of buckets.

    Each code only while it is free, or hers; each offer only within its total, each bucket only within its limit.
    """
    values = {
        "offers": plain_array(one.offer_id for one in new),
        "customers": plain_array(one.customer_id for one in new),
        "sources": plain_array(one.source.value for one in new),
        "channels": plain_array(one.channel for one in new),
        "valid_from": plain_array(one.valid_from for one in new),
        "valid_to": plain_array(one.valid_to for one in new),
        "packages": text_array(one.package for one in new),
        "codes": plain_array(one.code for one in new),
        "orders": text_array(one.trigger_order for one in new),
        "receipts": text_array(one.points_receipt for one in new),
        "claimed_of": plain_array(claimed),
        "claimed": plain_array(claimed.values()),
        "more": plain_array(counted.values()),
        "most": plain_array(most[bucket] for bucket in counted),
        **{f"bucket_{name}": column for name, column in bucket_columns(list(counted)).items()},
    }
    return Held(*session.execute(_HOLD, {"now": now, **values}).one())


def bucket_columns(buckets: Sequence[Bucket]) -> dict[str, str]:
    """As the parameters of a statement that counts in them."""
    return {
        "offers": plain_array(one.offer_id for one in buckets),
        "customers": plain_array(one.customer_id for one in buckets),
        "days": plain_array(one.day or "-infinity" for one in buckets),
        "channels": plain_array(one.channel for one in buckets),
    }


def _terms(row: RowMapping) -> Terms:
    names = Terms.__slots__
    way = row["claim_way"]
    return Terms(**{**{name: row[name] for name in names}, "claim_way": None if way is None else ClaimWay(way)})
