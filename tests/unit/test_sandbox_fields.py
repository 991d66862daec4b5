import pytest

from sandbox.aliyun_messages import canonical_number
from sandbox.faults import Fault, Kind
from sandbox.smtp_commands import are_codes, reply_of
from sandbox.wechat_fields import problem_of


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("thing1", "漫" * 20, "漫" * 21),
        ("thing12", "Women's Day", ""),
        ("number1", "12.50", "12a"),
        ("number1", "9" * 32, "9" * 33),
        ("letter1", "abcXYZ", "abc1"),
        ("symbol1", "+-*/%", "+-*/%!"),
        ("character_string1", "No.123-A", "编号123"),
        ("character_string1", "x" * 32, "x" * 33),
        ("time1", "15:01", "25:01"),
        ("time1", "2019年10月1日 15:01", "2019-10-01 15:01"),
        ("time1", "2019年10月1日 15:01~2019年10月2日 16:00", "15:01~"),
        ("date1", "2019年10月1日", "10月1日"),
        ("date1", "2019年10月1日 15:01", "2019年13月1日"),
        ("amount1", "¥20.50", "¥¥20"),
        ("amount1", "1234567890元", "12345678901"),
        ("phone_number1", "+86-0766-66888866", "+86-0766-668888661"),
        ("car_number1", "粤A8Z888挂", "粤A8Z888挂挂"),
        ("name1", "张三丰", "张" * 11),
        ("name1", "a" * 20, "a" * 21),
        ("phrase1", "已发货", "已经发货了吗"),
        ("phrase1", "配送中", "ready"),
        ("enum1", "on", ""),
    ],
)
def test_each_kind_of_field_has_its_limit(key: str, good: str, bad: str) -> None:
    assert problem_of({key: {"value": good}}, None) is None
    assert problem_of({key: {"value": bad}}, None) == f"data.{key}.value invalid"


@pytest.mark.parametrize("data", [None, {}, [], {"thing1": "bare"}, {"thing1": {}}, {"colour1": {"value": "red"}}])
def test_data_of_a_wrong_shape_is_a_problem(data: object) -> None:
    assert problem_of(data, None) is not None


def test_a_number_may_come_as_a_number() -> None:
    assert problem_of({"number1": {"value": 12}}, None) is None
    assert problem_of({"number1": {"value": True}}, None) is not None


@pytest.mark.parametrize(
    "written", ["13800000001", "+13800000001", "8613800000001", "+8613800000001", "008613800000001"]
)
def test_a_mainland_number_is_the_same_however_it_is_written(written: str) -> None:
    assert canonical_number(written) == "13800000001"


def test_a_foreign_number_stays_what_it_is() -> None:
    assert canonical_number("447700900123") == "447700900123"
    assert canonical_number("861234567") == "861234567"


@pytest.mark.parametrize(
    ("code", "status", "message", "reply"),
    [
        (None, None, None, "550 5.1.1 User unknown"),
        ("452 4.2.2", None, "Full", "452 4.2.2 Full"),
        (451, None, None, "451 4.0.0 Scripted fault"),
        ("5.2.1", None, None, "550 5.2.1 User unknown"),
        ("5.7.1", 554, "Spam", "554 5.7.1 Spam"),
        (None, 421, None, "421 4.0.0 Scripted fault"),
    ],
)
def test_a_fault_gives_one_reply_line(
    code: int | str | None, status: int | None, message: str | None, reply: str
) -> None:
    fault = Fault(channel="email", kind=Kind.STATUS, endpoint=None, code=code, status=status, message=message)
    assert reply_of(fault, "550 5.1.1 User unknown") == reply


def test_codes_of_smtp_are_told_from_others() -> None:
    assert all(are_codes(code) for code in ("550", "5.1.1", "550 5.1.1"))
    assert not any(are_codes(code) for code in ("", "250", "550 ", " 5.1.1", "5505.1.1", "bad"))
