"""The id of a delivery as part of a statement, the same as `delivery_id()` of the database without a call a row."""

from uuid import UUID

from sqlalchemy import ColumnElement, Integer, LargeBinary, Uuid, cast, func

#: Of a UUID: which byte holds the version and which the variant, what of it stays, and what is put there.
_VERSION, _VARIANT = (6, 0x0F, 0x80), (8, 0x3F, 0x80)


def digest(name: ColumnElement[str]) -> ColumnElement[bytes]:
    """To be worked out once for each row: the id looks at it several times."""
    return func.sha256(func.convert_to(name, "UTF8"), type_=LargeBinary)


def id_of(hashed: ColumnElement[bytes]) -> ColumnElement[UUID]:
    marked = hashed
    for byte, kept, put in (_VERSION, _VARIANT):
        value = func.get_byte(hashed, byte, type_=Integer).bitwise_and(kept).bitwise_or(put)
        marked = func.set_byte(marked, byte, value, type_=LargeBinary)
    return cast(func.encode(func.substring(marked, 1, 16), "hex"), Uuid())
