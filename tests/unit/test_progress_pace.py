"""What the progress of a channel says of itself."""

from channels.service.distribution import ChannelProgress
from channels.states import Channel, DeliveryState, ErrorClass
from models.delivery import DistributionState
from tasks.progress import Pace


def progress(sent: int, planned: int, **failed: int) -> ChannelProgress:
    return ChannelProgress(
        distribution_id=1,
        channel=Channel.SMS,
        state=DistributionState.SENDING,
        stopped_because=None,
        states={
            DeliveryState.SENT: sent,
            DeliveryState.PLANNED: planned,
            DeliveryState.FAILED: sum(failed.values()),
        },
        failed={ErrorClass(name): count for name, count in failed.items()},
        left_out={},
        closed_because=None,
    )


def test_a_channel_tells_how_far_it_is_what_failed_how_fast_it_goes_and_for_how_long() -> None:
    pace = Pace(progress(1_000, 9_000), at=50.0)
    assert pace.told(progress(1_000, 9_000), at=50.0) == "Delivery by sms: 1,000 of 10,000"
    later = progress(3_990, 6_000, throttled=8, down=2)
    assert pace.told(later, at=60.0) == (
        "Delivery by sms: 4,000 of 10,000; 2 down, 8 throttled; 300.0 a second, 0:00:20 left"
    )


def test_a_channel_that_stands_still_promises_nothing() -> None:
    pace = Pace(progress(5, 5), at=0.0)
    assert pace.told(progress(5, 5), at=99.0) == "Delivery by sms: 5 of 10"
