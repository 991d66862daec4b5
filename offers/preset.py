"""A rule preset: its parameters, what an offer of it does, and how that reads."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from documents.shape import refuse


class OfferKind(StrEnum):
    COUPON = "coupon"
    ACTIVITY = "activity"


class ParameterType(StrEnum):
    MONEY = "money"
    PERCENT = "percent"
    COUNT = "count"
    FLAG = "flag"
    TEXT = "text"
    CHOICE = "choice"
    PRODUCTS = "products"
    COUPONS = "coupons"
    SCOPE = "scope"
    STEPS = "steps"


class ClaimWay(StrEnum):
    """How customers come by a coupon."""

    ASKING = "asking"
    CODE = "code"
    PACKAGE = "package"
    ORDER = "order"
    POINTS = "points"


class CodesFor(StrEnum):
    """Whom a code of a coupon is for."""

    SHARED = "shared"
    PER_PERSON = "per_person"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parameter(_Entry):
    type: ParameterType
    required: bool = True
    default: bool | int | str | None = None
    min: int = Field(1, description="of a count")
    choices: tuple[str, ...] = ()
    fields: Mapping[str, "Parameter"] = Field(default_factory=dict, description="of each of the steps")
    about: str = ""

    @property
    def must_be_given(self) -> bool:
        return self.required and self.default is None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if bool(self.choices) != (self.type is ParameterType.CHOICE):
            raise refuse("has to have `choices` where its type is choice, and nowhere else")
        if bool(self.fields) != (self.type is ParameterType.STEPS):
            raise refuse("has to have `fields` where its type is steps, and nowhere else")
        wanted = _DEFAULTS.get(self.type, ())
        if self.default is not None and (type(self.default) not in wanted or not self._allows(self.default)):
            raise refuse(f"has a default that is no {self.type} of its own")
        return self

    def _allows(self, value: object) -> bool:
        if isinstance(value, str):
            return value in self.choices
        return isinstance(value, bool) or (isinstance(value, int) and value >= self.min)


_DEFAULTS: Mapping[ParameterType, tuple[type, ...]] = {
    ParameterType.FLAG: (bool,),
    ParameterType.COUNT: (int,),
    ParameterType.CHOICE: (str,),
}


class Words(_Entry):
    """The same in both languages."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)

    def of(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


class Reads(Words):
    each: Words | None = Field(None, description="how one of the steps reads")


class Alternative(_Entry):
    """What an offer does where the parameters of `given` are. Templates: `$name` stands for a parameter."""

    given: tuple[str, ...] = ()
    scope: str | None = Field(None, description="a parameter in the place of the offer's own scope")
    condition: Mapping[str, Any] = Field(default_factory=dict)
    effect: Mapping[str, Any] | None = Field(None, description="None: it takes nothing off a cart by itself")
    reads: Reads


class Claiming(_Entry):
    """How a coupon is claimed. Each way but asking takes a parameter of each offer; see `offers.preset_checks`."""

    by: ClaimWay = ClaimWay.ASKING
    newcomers: bool = Field(default=False, description="only those who never bought may claim and use it")


class Preset(_Entry):
    """One version of a rule preset; once it is out it never changes."""

    preset: str = Field(pattern="^[a-z][a-z0-9_]*$", max_length=80)
    version: int = Field(ge=1)
    title: Words
    kinds: Annotated[frozenset[OfferKind], PlainSerializer(sorted), Field(min_length=1)]
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    either: tuple[tuple[str, ...], ...] = ()
    claim: Claiming = Claiming()
    rules: tuple[Alternative, ...] = Field(min_length=1)

    def alternative(self, parameters: Mapping[str, Any]) -> Alternative:
        """The first whose parameters are all given; the last is for whatever is."""
        fits = (one for one in self.rules if all(_is_given(parameters.get(name)) for name in one.given))
        return next(fits, self.rules[-1])

    @property
    def has_own_scope(self) -> bool:
        """Whether its parameters say what it is for, and not the offer's scope."""
        return any(alternative.scope for alternative in self.rules)

    def of_type(self, wanted: ParameterType) -> Iterator[str]:
        return (name for name, parameter in self.parameters.items() if parameter.type is wanted)

    def content(self) -> dict[str, Any]:
        """Plain JSON. Defaults are left out: a later version of the program may add keys, and yet its hash stays."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @cached_property
    def hash(self) -> str:
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _is_given(value: object) -> bool:
    return value is not None and value is not False
