"""The model's round trip under every xgboost that can be had: files of one are read by another or refused.

TILEWRIGHT_XGBOOST_PATHS lists further folders of site-packages, each with an xgboost, parted as PATH is;
`make xgboost-versions` makes one and runs this.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT

FOLDERS = [Path(each) for each in os.environ.get("TILEWRIGHT_XGBOOST_PATHS", "").split(os.pathsep) if each]
BOTH = pytest.mark.skipif(
    not FOLDERS, reason="TILEWRIGHT_XGBOOST_PATHS names no other xgboost: make xgboost-versions"
)

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
import xgboost
from tilewright.tune.error import TuneError
from tilewright.tune.feature import Table
from tilewright.tune.model import CostModel, Objective, RefusalModel, Samples

rng = np.random.default_rng(0)
values = rng.uniform(0, 4, (200, 3)).astype(np.float32)
table = Table(names=("a", "b", "c"), values=values, prior=values[:, 0].astype(float))
costs = np.exp(values[:, 0] + np.sin(values[:, 1]) * values[:, 2])
answer = {"version": xgboost.__version__}
path = Path(sys.argv[2])
if sys.argv[1] == "write":
    model = CostModel.fit([Samples(table=table, costs=costs)], objective=Objective(sys.argv[3]))
    model.save(path)
    refusal = RefusalModel.fit(table, costs > np.median(costs)).predict(table)
    answer |= {"refused": float(refusal.mean()), "importance": sorted(model.importance)}
try:
    answer["foretold"] = CostModel.load(path).predict(table).tolist()
    answer["error"] = float(np.abs(np.array(answer["foretold"]) - np.log(costs)).mean())
except TuneError as error:
    answer["refusal"] = str(error)
print(json.dumps(answer))
"""


OBJECTIVES = pytest.mark.parametrize("objective", ["cost", "order"])


def asked(verb: str, path: Path, folder: Path | None, objective: str) -> dict:
    """What a process says that has the xgboost of a folder, or the one of this environment."""
    search = [*([str(folder)] if folder else []), str(ROOT / ".typing"), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search))}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, verb, str(path), objective]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def hold_round_trip(path: Path, folder: Path | None, objective: str) -> dict:
    answer = asked("write", path, folder, objective)
    # The order is learned, the level is a straight line.
    assert answer["error"] < {"cost": 0.05, "order": 0.5}[objective]
    assert 0.4 < answer["refused"] < 0.6
    assert set(answer["importance"]) <= {"a", "b", "c"}
    return answer


@pytest.mark.slow
@OBJECTIVES
def test_a_model_makes_the_round_trip_in_another_process(tmp_path, objective):
    path = tmp_path / "model.json"
    written = hold_round_trip(path, None, objective)
    assert asked("read", path, None, objective)["foretold"] == written["foretold"]


@BOTH
@OBJECTIVES
@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_model_makes_the_round_trip_under_another_version(tmp_path, folder, objective):
    other = hold_round_trip(tmp_path / "other.json", folder, objective)
    ours = hold_round_trip(tmp_path / "ours.json", None, objective)
    assert other["version"] != ours["version"]
    difference = [abs(a - b) for a, b in zip(other["foretold"], ours["foretold"], strict=True)]
    assert sum(difference) / len(difference) < {"cost": 0.1, "order": 0.3}[objective]


@BOTH
@OBJECTIVES
@pytest.mark.parametrize("folder", FOLDERS, ids=str)
@pytest.mark.parametrize("is_written_here", [True, False], ids=["written here", "read here"])
def test_a_file_of_another_version_is_read_or_refused_with_the_remedy(
    tmp_path, folder, is_written_here, objective
):
    writer, reader = (None, folder) if is_written_here else (folder, None)
    path = tmp_path / "model.json"
    written, read = asked("write", path, writer, objective), asked("read", path, reader, objective)
    if "refusal" in read:
        assert "train the model anew" in read["refusal"]
    else:
        assert read["foretold"] == pytest.approx(written["foretold"], abs=1e-5)
