"""One sandbox for all provider tests, emptied before each, and every provider in turn."""

from collections.abc import Iterator

import pytest

from sandbox.process import started
from tests.conformance.provider_case import CASES, Case, Sandbox


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with started(folder=tmp_path_factory.mktemp("sandbox")) as running:
        yield Sandbox(http=running.http, smtp_host=running.smtp_host, smtp_port=running.smtp_port)


@pytest.fixture
def sandbox(providers: Sandbox) -> Sandbox:
    providers.reset()
    return providers


@pytest.fixture(params=CASES, ids=lambda case: case.provider)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found
