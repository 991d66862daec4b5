"""Codes as they are typed: which offers they stand for, one person's codes and those for all."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.queries import claims as rows
from offers import code as codes


class CodeNames(NamedTuple):
    """By the code as it is folded: its THEME/OFFER, and the numbers of those that are for one person."""

    offers: Mapping[str, str]
    numbers: Mapping[str, int]


def read_names(session: Session, typed: Sequence[str], *, product_line_id: int) -> CodeNames:
    """Of the codes that there are; two statements, none where nothing was typed."""
    if not typed:
        return CodeNames({}, {})
    numbers = {codes.folded(one): number for one in typed if (number := codes.number_of(one)) is not None}
    single = rows.offers_of_codes(session, numbers.values(), product_line_id=product_line_id)
    shared = rows.offers_of_shared(session, {codes.folded(one) for one in typed}, product_line_id=product_line_id)
    own = {text: number for text, number in numbers.items() if number in single}
    return CodeNames({**shared, **{text: single[number] for text, number in own.items()}}, own)
