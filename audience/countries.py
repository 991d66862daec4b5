"""Countries as the retail data names them: ISO code, zone and language of the customers there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    code: str  # ISO 3166-1 alpha-2
    timezone: str  # IANA; where a country has several, that of most of its trade
    language: str  # BCP 47; where a country has several, the most spoken


def _country(code: str, timezone: str, language: str) -> Country:
    return Country(code=code, timezone=timezone, language=language)


#: The 24 countries of December 2010 come first, then the others that the whole data set knows.
#: "Unspecified" and "European Community" are left out: neither has a zone.
COUNTRIES = {
    "Australia": _country("AU", "Australia/Sydney", "en"),
    "Austria": _country("AT", "Europe/Vienna", "de"),
    "Bahrain": _country("BH", "Asia/Bahrain", "ar"),
    "Belgium": _country("BE", "Europe/Brussels", "nl"),
    "Channel Islands": _country("JE", "Europe/Jersey", "en"),
    "Cyprus": _country("CY", "Asia/Nicosia", "el"),
    "Denmark": _country("DK", "Europe/Copenhagen", "da"),
    "EIRE": _country("IE", "Europe/Dublin", "en"),
    "Finland": _country("FI", "Europe/Helsinki", "fi"),
    "France": _country("FR", "Europe/Paris", "fr"),
    "Germany": _country("DE", "Europe/Berlin", "de"),
    "Iceland": _country("IS", "Atlantic/Reykjavik", "is"),
    "Israel": _country("IL", "Asia/Jerusalem", "he"),
    "Italy": _country("IT", "Europe/Rome", "it"),
    "Japan": _country("JP", "Asia/Tokyo", "ja"),
    "Lithuania": _country("LT", "Europe/Vilnius", "lt"),
    "Netherlands": _country("NL", "Europe/Amsterdam", "nl"),
    "Norway": _country("NO", "Europe/Oslo", "nb"),
    "Poland": _country("PL", "Europe/Warsaw", "pl"),
    "Portugal": _country("PT", "Europe/Lisbon", "pt"),
    "Spain": _country("ES", "Europe/Madrid", "es"),
    "Sweden": _country("SE", "Europe/Stockholm", "sv"),
    "Switzerland": _country("CH", "Europe/Zurich", "de"),
    "United Kingdom": _country("GB", "Europe/London", "en"),
    "Brazil": _country("BR", "America/Sao_Paulo", "pt"),
    "Canada": _country("CA", "America/Toronto", "en"),
    "Czech Republic": _country("CZ", "Europe/Prague", "cs"),
    "Greece": _country("GR", "Europe/Athens", "el"),
    "Hong Kong": _country("HK", "Asia/Hong_Kong", "zh"),
    "Lebanon": _country("LB", "Asia/Beirut", "ar"),
    "Malta": _country("MT", "Europe/Malta", "mt"),
    "RSA": _country("ZA", "Africa/Johannesburg", "en"),
    "Saudi Arabia": _country("SA", "Asia/Riyadh", "ar"),
    "Singapore": _country("SG", "Asia/Singapore", "en"),
    "United Arab Emirates": _country("AE", "Asia/Dubai", "ar"),
    "USA": _country("US", "America/New_York", "en"),
}
