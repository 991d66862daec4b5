from channels.batching import into_calls
from channels.message import Capabilities, PushContent, SmsContent
from channels.states import Channel


def capable(*, size: int, personal: bool) -> Capabilities:
    return Capabilities(
        channel=Channel.SMS,
        batch_size=size,
        idempotent_replay=False,
        status_query=False,
        receipts=False,
        personal_content=personal,
    )


def test_calls_are_filled_in_order_up_to_the_batch_size() -> None:
    items = [(SmsContent(text=f"{n}"), n) for n in range(5)]
    assert into_calls(items, capable(size=2, personal=True)) == [[0, 1], [2, 3], [4]]


def test_messages_of_different_templates_never_share_a_call() -> None:
    items = [(SmsContent(template="AB"[n % 2]), n) for n in range(4)]
    assert into_calls(items, capable(size=10, personal=True)) == [[0, 2], [1, 3]]


def test_without_personal_content_only_equal_contents_share_a_call() -> None:
    items = [(PushContent(title="t", body="ab"[n // 2], extras={"k": "v"}), n) for n in range(4)]
    assert into_calls(items, capable(size=10, personal=False)) == [[0, 1], [2, 3]]
