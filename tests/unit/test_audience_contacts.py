import re
from pathlib import Path
from zoneinfo import ZoneInfo

import phonenumbers
import pytest

from audience.addresses import NormalisedAddress, normalise
from audience.contacts import FICTION_RANGES, contacts_of, reserved_phone
from audience.countries import COUNTRIES
from audience.retail import read_retail
from channels.states import Channel

DATA = Path(__file__).parents[2] / "data" / "online_retail_2010_12.csv"


@pytest.fixture(scope="module")
def customers() -> list[tuple[str, str]]:
    with DATA.open(encoding="utf-8-sig", newline="") as source:
        retail = read_retail(source)
    return [(customer.external_id, customer.country.code) for customer in retail.customers if customer.registered]


def test_every_address_of_the_data_set_is_normalisable_and_nobody_elses(customers: list[tuple[str, str]]) -> None:
    seen: set[tuple[Channel, str]] = set()
    for customer_id, country in customers:
        for contact in contacts_of(customer_id, country):
            found = normalise(contact.channel, contact.address, country=country)
            assert isinstance(found, NormalisedAddress), found
            assert (contact.channel, found.address) not in seen
            seen.add((contact.channel, found.address))


def test_a_customer_has_the_same_contacts_each_time() -> None:
    assert contacts_of("17850", "GB") == contacts_of("17850", "GB")


@pytest.mark.parametrize(
    ("channel", "lowest", "highest"),
    [(Channel.EMAIL, 100, 100), (Channel.SMS, 87, 93), (Channel.PUSH, 57, 63), (Channel.MINI_PROGRAM, 52, 60)],
)
def test_channels_reach_about_their_share(
    customers: list[tuple[str, str]], channel: Channel, lowest: int, highest: int
) -> None:
    having = sum(any(contact.channel is channel for contact in contacts_of(*customer)) for customer in customers)
    assert lowest <= 100 * having / len(customers) <= highest


def test_about_one_in_twenty_does_not_agree_to_marketing(customers: list[tuple[str, str]]) -> None:
    consents = [contact.consent for customer in customers for contact in contacts_of(*customer)]
    assert 0.93 < sum(consents) / len(consents) < 0.97


def test_fiction_ranges_of_a_country_never_overlap() -> None:
    for ranges in FICTION_RANGES.values():
        prefixes = [re.sub(r"\D", "", prefix) for prefix, _ in ranges]
        assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]


def test_numbers_of_fiction_ranges_are_possible_in_their_country() -> None:
    for country, ranges in FICTION_RANGES.items():
        for prefix, digits in ranges:
            number = phonenumbers.parse(prefix + "7" * digits, country)
            assert phonenumbers.is_possible_number(number), prefix


def test_the_first_british_numbers_are_ofcoms_mobile_drama_range() -> None:
    assert reserved_phone(12_000, "GB") == "07700 900000"
    assert reserved_phone(12_999, "GB") == "07700 900999"
    assert reserved_phone(13_000, "GB") == "01632 960000"


def test_where_no_range_is_kept_for_fiction_the_number_is_of_a_code_that_nobody_serves() -> None:
    assert reserved_phone(12_370, "CY") == "+88800000012370"
    assert reserved_phone(99_999, "GB") == "+88800000099999"


def test_push_and_mini_program_ids_have_the_shape_of_real_ones() -> None:
    contacts = [contact for number in range(12_000, 12_050) for contact in contacts_of(str(number), "GB")]
    pushes = [contact.address for contact in contacts if contact.channel is Channel.PUSH]
    openids = [contact.address for contact in contacts if contact.channel is Channel.MINI_PROGRAM]
    assert pushes
    assert openids
    assert all(re.fullmatch(r"[0-9a-f]{19}", address) for address in pushes)
    assert all(re.fullmatch(r"o[0-9A-Za-z_-]{27}", address) for address in openids)


def test_every_country_has_a_real_zone_and_a_code_of_its_own() -> None:
    assert all(ZoneInfo(country.timezone) for country in COUNTRIES.values())
    assert len({country.code for country in COUNTRIES.values()}) == len(COUNTRIES)
