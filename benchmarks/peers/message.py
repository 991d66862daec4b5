"""What a job sends: the same call as ours, to the same sink. It runs in an environment of its own."""

from datetime import timedelta

import orjson
from pyreqwest.client import Client, ClientBuilder

PATH = "/cgi-bin/message/subscribe/send?access_token=benchmark"


def client(connections: int) -> Client:
    return ClientBuilder().max_connections(connections).timeout(timedelta(seconds=10)).build()


def body(number: int) -> bytes:
    data = {"thing1": {"value": "20 off from 100"}, "thing3": {"value": f"Customer {number}"}}
    return orjson.dumps({"touser": f"o{number:027d}", "template_id": "TPL_COUPON_ARRIVED", "data": data})


async def send(http: Client, sink: str, number: int) -> None:
    request = http.post(sink + PATH).headers({"Content-Type": "application/json"}).body_bytes(body(number)).build()
    answer = await (await request.send()).json()
    if answer["errcode"] != 0:
        raise RuntimeError(answer["errmsg"])
