"""A task says all that is wrong with it; equal tasks are one."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler.space.point import Point
from tilewright.tune.error import TuneError
from tilewright.tune.task import merged
from tune_landscape import bowl

TASK = bowl().task


def test_all_that_is_wrong_is_said_at_once():
    default = Point({"tile_y": 32, "tile_x": 32, "tile_c": 32, "depth": 1, "order": "yx"})
    with pytest.raises(TuneError, match=r"unit must.*weight must.*names features.*default must fit"):
        replace(TASK, unit="hours", weight=0.0, feature_names=("size",), default=default)


def test_features_have_each_name_once():
    with pytest.raises(TuneError, match="once each"):
        replace(TASK, features=lambda columns: np.zeros((1, 2)), feature_names=("size", "size"))


def test_equal_tasks_are_one_with_the_weight_of_all():
    other = replace(TASK, environment=(("latency", 100.0),))
    first, second = merged([TASK, other, replace(TASK, weight=2.0)])
    assert (first.weight, second.weight) == (3.0, 1.0)
    assert second.environment == other.environment
