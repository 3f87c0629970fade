"""Configurations from JSON: strict, and clear about what is wrong."""

import json
from dataclasses import is_dataclass

import pytest

from sfv_core.config import CaptureConfig, JobConfig, TrainConfig
from sfv_core.errors import SfvError
from sfv_core.schema import parse, settings, to_json


def test_a_configuration_survives_json():
    config = JobConfig(stages=("capture", "train"), video="a.mp4", train=TrainConfig(minutes=0.5, seed=7))
    assert parse(JobConfig, json.loads(json.dumps(to_json(config)))) == config


def test_nothing_given_means_the_defaults():
    assert parse(JobConfig, {}) == JobConfig()


@pytest.mark.parametrize(("data", "names"), [
    ({"train": {"minutse": 3}}, ["train.minutse", "minutes"]),
    ({"train": {"minutes": "long"}}, ["train.minutes", "number"]),
    ({"train": {"minutes": True}}, ["train.minutes", "number"]),
    ({"train": {"minutes": -1}}, ["train.minutes", "-1"]),
    ({"train": {"minutes": float("nan")}}, ["train.minutes"]),
    ({"train": {"minutes": 10**400}}, ["train.minutes"]),
    ({"train": {"seed": 1.5}}, ["train.seed", "whole"]),
    ({"train": {"seed": 2**40}}, ["train.seed"]),
    ({"train": {"engine": "hope"}}, ["train.engine", "pybullet"]),
    ({"train": []}, ["train", "object"]),
    ({"stages": "capture"}, ["stages", "list"]),
    ({"stages": ["capture", 3]}, ["stages[1]"]),
    ({"video": 5}, ["video", "text"]),
    ({"video": ["a"] * 1000}, ["video"]),
    ([], ["object"]),
])
def test_what_does_not_fit_is_refused_by_name(data, names):
    with pytest.raises(SfvError) as error:
        parse(JobConfig, data)
    assert all(name in str(error.value) for name in names)
    assert len(str(error.value)) < 300


def test_every_setting_explains_itself():
    for cls in (JobConfig, CaptureConfig, TrainConfig):
        assert all(setting.text for setting in settings(cls).values() if not is_dataclass(setting.kind))
