"""`/metrics`, for Prometheus. Labels are few and name no theme and no person."""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from channels.service.account_report import AccountState
from channels.service.metrics import Figures, figures
from channels.states import Channel, DeliveryState
from console.http.services import Services, services
from settings import get_settings

router = APIRouter()

Refused = Mapping[tuple[str, Channel, str], int]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: A proxy that passes a request on says so with one of these: it then comes from elsewhere.
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """To this machine, or where THEMELINE_METRICS_TOKEN is set to whoever shows it; to others there is no such page."""
    if not _may_see(request):
        raise HTTPException(404)
    found = services(request)
    told = await found.in_thread(_figures, found)
    return Response(exposition(told, refused=found.refused), media_type=CONTENT_TYPE)


def exposition(told: Figures, *, refused: Refused) -> bytes:
    """`told` is of the database, `refused` of this process."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(told, refused))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _figures(found: Services) -> Figures:
    with found.database.begin() as session:
        return figures(session, now=found.clock())


def _may_see(request: Request) -> bool:
    token = get_settings().metrics_token
    if token is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), token.get_secret_value().encode())
    if request.client is None or any(name in request.headers for name in _PASSED_ON):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:  # no address at all, such as a socket's
        return False


class _Snapshot(Collector):
    def __init__(self, told: Figures, refused: Refused) -> None:
        self._told, self._refused = told, refused

    def collect(self) -> Iterable[Metric]:
        told = self._told
        yield _deliveries(told)
        yield _failures(told)
        yield from _accounts(told)
        yield _refused_callbacks(self._refused)
        yield _by_channel("senders", "Senders at work", told.senders)
        overdue = {channel: since.total_seconds() for channel, since in told.overdue.items()}
        yield _by_channel("overdue_seconds", "For how long the oldest retry has been due", overdue)
        yield _gauge("receipts_waiting", "Receipts that have not found their delivery", told.waiting_receipts)
        yield _gauge("alerts", "Alerts whose fact was seen in the last 15 minutes", told.alerts)
        themes = GaugeMetricFamily("themeline_themes", "Themes, by state", labels=["state"])
        for state, count in sorted(told.themes.items()):
            themes.add_metric([state.value], count)
        yield themes


def _deliveries(told: Figures) -> Metric:
    help_text = "Deliveries under way or of live themes, by state"
    family = GaugeMetricFamily("themeline_deliveries", help_text, labels=["channel", "state"])
    sums = dict.fromkeys(((channel, state) for channel in Channel for state in DeliveryState), 0)
    for (channel, state, _), count in told.deliveries.items():
        sums[channel, state] += count
    for (channel, state), count in sums.items():
        family.add_metric([channel.value, state.value], count)
    return family


def _failures(told: Figures) -> Metric:
    help_text = "Of those that failed or wait for another try: why"
    family = GaugeMetricFamily("themeline_delivery_errors", help_text, labels=["channel", "state", "error_class"])
    for (channel, state, error), count in sorted(told.deliveries.items(), key=str):
        if error is not None:
            family.add_metric([channel.value, state.value, error.value], count)
    return family


def _accounts(told: Figures) -> Iterator[Metric]:
    labels = ["account", "channel", "provider"]
    calls = CounterMetricFamily("themeline_provider_calls", "Calls to providers", labels=[*labels, "outcome"])
    states = GaugeMetricFamily("themeline_account", "1 for the state of the account", labels=[*labels, "state"])
    for one in told.accounts:
        own = [one.account, one.channel.value, one.provider]
        calls.add_metric([*own, "accepted"], one.accepted)
        calls.add_metric([*own, "refused"], one.refused)
        for state in AccountState:
            states.add_metric([*own, state.value], float(state is one.state))
    yield calls
    yield states


def _refused_callbacks(refused: Refused) -> Metric:
    help_text = "Callbacks to this process that were not signed by their provider"
    labels = ["account", "channel", "provider"]
    family = CounterMetricFamily("themeline_callbacks_refused", help_text, labels=labels)
    for (account, channel, provider), count in sorted(refused.items()):
        family.add_metric([account, channel.value, provider], count)
    return family


def _by_channel(name: str, help_text: str, values: Mapping[Channel, float]) -> Metric:
    family = GaugeMetricFamily(f"themeline_{name}", help_text, labels=["channel"])
    for channel in Channel:
        family.add_metric([channel.value], values.get(channel, 0))
    return family


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"themeline_{name}", help_text, value=value)
