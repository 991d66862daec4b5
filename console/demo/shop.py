"""A shop's server, as far as the demo needs one: customers claim coupons, place orders, cancel and send back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import requests

FREIGHT = 499  # minor units, of each order
_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What the API answered a request that it would not do."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """An order with its price, as it was quoted and redeemed."""

    order: str
    customer: str
    cart: Mapping[str, Any]
    price: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Shop:
    """Asks the HTTP API at `origin` with the secret of a key."""

    origin: str
    secret: str
    name: str = "demo"
    _orders: "count[int]" = field(default_factory=lambda: count(1))
    _requests: "count[int]" = field(default_factory=lambda: count(1))

    def claim(self, customer: str, offer: str) -> Sequence[Mapping[str, Any]] | Refused:
        """The coupons that came of it, by their offer, THEME/OFFER."""
        told = self.post("/claims", {"customer": customer, "offer": offer})
        return told if isinstance(told, Refused) else told["coupons"]

    def buy(self, customer: str, lines: Sequence[Mapping[str, Any]]) -> Bought | Refused:
        """Quote a cart with all that the customer holds, and redeem just what was quoted."""
        cart = {"lines": list(lines), "freight": FREIGHT}
        quoted = self.post("/quotes", {"customer": customer, "cart": cart})
        if isinstance(quoted, Refused):
            return quoted
        order = f"{self.name}-{next(self._orders)}"
        used = {name: quoted["offers"][name] for name in quoted["applied"]}
        asked = {
            "order": order,
            "customer": customer,
            "cart": cart,
            "payable": quoted["payable"],
            "coupons": [offer["held"] for offer in used.values() if offer["held"] is not None],
            "activities": [name for name, offer in used.items() if offer["kind"] == "activity"],
        }
        redeemed = self.post("/redemptions", asked)
        if isinstance(redeemed, Refused):
            return redeemed
        return Bought(order=order, customer=customer, cart=cart, price=quoted)

    def cancel(self, order: str) -> Mapping[str, Any] | Refused:
        told: Mapping[str, Any] | Refused = self.post(f"/redemptions/{order}/cancellation", {})
        return told

    def send_back(self, order: str, *, line: int, qty: int) -> Mapping[str, Any] | Refused:
        told: Mapping[str, Any] | Refused = self.post(
            f"/redemptions/{order}/refunds", {"lines": [{"line": line, "qty": qty}]}
        )
        return told

    def get(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON can say
        """Raises requests.RequestException where the API does not answer, or refuses."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        answer = requests.get(f"{self.origin}/v1{path}", headers=headers, timeout=_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, content: Mapping[str, Any], *, key: str | None = None) -> Any:  # noqa: ANN401 - whatever JSON can say
        """Raises requests.RequestException where the API does not answer, or with an error of its own."""
        headers = {
            "Authorization": f"Bearer {self.secret}",
            "Idempotency-Key": key or f"{self.name}-request-{next(self._requests)}",
        }
        answer = requests.post(f"{self.origin}/v1{path}", json=content, headers=headers, timeout=_SECONDS)
        if answer.status_code >= requests.codes.server_error:
            answer.raise_for_status()
        told = answer.json()
        return Refused(status=answer.status_code, detail=told["detail"]) if not answer.ok else told
