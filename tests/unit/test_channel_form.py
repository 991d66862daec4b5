from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from channels.sms.form import form_body


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=4))
def test_a_form_is_encoded_as_the_standard_library_does_it(fields: dict[str, str]) -> None:
    assert form_body(fields) == urlencode(fields).encode()


def test_what_stands_for_another_character_is_encoded_itself_first() -> None:
    assert form_body({"a b": "100% +1 满减&=~"}) == b"a+b=100%25+%2B1+%E6%BB%A1%E5%87%8F%26%3D~"
