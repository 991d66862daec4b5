"""The catalogue of rule presets: names, kinds and parameters, kept as data in presets.yaml."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


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
            raise ValueError("`choices` belong to the type choice, and it needs them")
        if bool(self.fields) != (self.type is ParameterType.STEPS):
            raise ValueError("`fields` belong to the type steps, and it needs them")
        return self


class Title(_Entry):
    en: str
    zh: str


class Preset(_Entry):
    title: Title
    version: int = Field(ge=1)
    kinds: frozenset[OfferKind] = Field(min_length=1)
    parameters: Mapping[str, Parameter]
    either: tuple[tuple[str, ...], ...] = ()

    @model_validator(mode="after")
    def _names_its_own_parameters(self) -> Self:
        unknown = {name for group in self.either for name in group} - set(self.parameters)
        if unknown:
            raise ValueError(f"`either` names parameters that the preset lacks: {', '.join(sorted(unknown))}")
        return self


class Catalogue(_Entry):
    version: int = Field(ge=1)
    presets: Mapping[str, Preset]

    def of_kind(self, kind: OfferKind) -> Mapping[str, Preset]:
        return {name: preset for name, preset in self.presets.items() if kind in preset.kinds}


def read_catalogue(text: str) -> Catalogue:
    """Raises pydantic.ValidationError or yaml.YAMLError where the catalogue itself is wrong."""
    return Catalogue.model_validate(yaml.safe_load(text))


@lru_cache
def standard_catalogue() -> Catalogue:
    return read_catalogue(files("offers").joinpath("presets.yaml").read_text(encoding="utf-8"))
