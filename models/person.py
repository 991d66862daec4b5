from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base


class Person(Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    locale: Mapped[str] = mapped_column(server_default="en")
    totp_secret: Mapped[bytes | None]  # encrypted
    wrong_codes: Mapped[int] = mapped_column(server_default="0")
    locked_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]

    roles: Mapped[list["PersonRole"]] = relationship(cascade="all, delete-orphan", order_by="PersonRole.role")
    lines: Mapped[list["PersonProductLine"]] = relationship(cascade="all, delete-orphan")


class PersonRole(Base):
    __tablename__ = "person_roles"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)


class PersonProductLine(Base):
    """A product line that a person is limited to. Without any she may act on all."""

    __tablename__ = "person_product_lines"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id", ondelete="CASCADE"), primary_key=True)


class Substitution(Base):
    """A person stands in for another for a time: questions that open in it are put to the substitute."""

    __tablename__ = "substitutions"
    __table_args__ = (Index("ix_substitutions_person_id", "person_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    substitute_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]  # not part of it
    set_by: Mapped[str]
    set_at: Mapped[datetime]


class UsedCode(Base):
    """A time step of a person's one-time codes that has signed something: it signs nothing else."""

    __tablename__ = "used_codes"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    time_step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    used_at: Mapped[datetime]
