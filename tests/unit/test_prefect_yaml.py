import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import Flow

ROOT = Path(__file__).parents[2]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
ENTRIES: list[dict[str, Any]] = FILE["deployments"]
TOP_LEVEL = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} | {"settings"}

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["entrypoint"]))


@every_entry
def test_each_entrypoint_is_a_flow_of_ours_under_its_own_name(entry: dict[str, Any]) -> None:
    module_name, _, function = entry["entrypoint"].rpartition(".")
    module = importlib.import_module(module_name)
    flow = getattr(module, function)
    assert isinstance(flow, Flow)
    assert flow.name == function.replace("_", "-")
    assert module_name == f"flows.{function}"
    assert Path(str(module.__file__)) == ROOT / "flows" / f"{function}.py"


@every_entry
def test_each_deployment_says_what_it_is_for_and_where_it_runs(entry: dict[str, Any]) -> None:
    assert entry["description"]
    assert entry["tags"]
    assert entry["work_pool"]["name"] in {"approvals", "senders"}


def test_no_two_deployments_share_a_name() -> None:
    names = [(entry["entrypoint"], entry["name"]) for entry in ENTRIES]
    assert len(set(names)) == len(names)


def test_nothing_is_pulled_so_no_directory_is_baked_in() -> None:
    assert FILE["pull"] == []
    assert not any("pull" in entry for entry in ENTRIES)


def test_scheduled_upkeep_has_no_concurrency_limit_whose_slot_a_lost_run_would_keep_for_ever() -> None:
    scheduled = [entry for entry in ENTRIES if "schedules" in entry]
    assert {entry["entrypoint"].rpartition(".")[2]: entry["schedules"][0]["interval"] for entry in scheduled} == {
        "sweep_deadlines": 30,
        "reconcile": 20,
    }
    assert not any("concurrency_limit" in entry for entry in ENTRIES)


@pytest.mark.parametrize("folder", ["flows", "tasks"])
def test_no_file_shadows_a_package_or_the_standard_library(folder: str) -> None:
    names = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert not names & (TOP_LEVEL | sys.stdlib_module_names)


@pytest.mark.parametrize("name", sorted(TOP_LEVEL))
def test_each_top_level_package_is_ours(name: str) -> None:
    assert Path(str(importlib.import_module(name).__file__)).is_relative_to(ROOT)
