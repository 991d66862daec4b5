"""One sender. Any number may run on one distribution, on any number of machines."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.sending import send_due


@flow(name="send-deliveries")
def send_deliveries(distribution_id: int) -> State:
    """Claim and send what is due of one channel of a theme, until nothing more is due soon."""
    sent = send_due(distribution_id)
    return Completed(message=", ".join(f"{count} {state}" for state, count in sent.items()) or "nothing was due")
