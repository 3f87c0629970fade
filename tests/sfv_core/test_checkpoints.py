"""Checkpoints: which are kept, which are passed over, and what is said where none serves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfv_core.character import deepmimic
from sfv_core.config import TrainConfig
from sfv_core.errors import SfvError
from sfv_core.imitate.checkpoint import KEPT, checkpoints, go_on, save_checkpoint
from sfv_core.imitate.evaluate import Evaluation
from sfv_core.imitate.group import Group
from sfv_core.imitate.prepare import prepare
from sfv_core.imitate.rank import AGAIN, Kept, Rank
from sfv_core.imitate.run import Run
from sfv_core.imitate.train import train
from sfv_core.progress import no_progress
from sfv_core.threads import one_thread

CONFIG = TrainConfig(engine="mujoco", processes=1, samples=4096, start="bins")


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(name)


def spoilt_weights(data: dict[str, Any]) -> None:
    data["learner"]["network"]["actor.0.weight"][0, 0] = float("nan")


def other_network(data: dict[str, Any]) -> None:
    data["learner"]["network"]["actor.0.weight"] = torch.zeros(3, 3)


def other_moments(data: dict[str, Any]) -> None:
    data["learner"]["optimiser"]["state"][0]["exp_avg"] = torch.zeros(3)


def other_observations(data: dict[str, Any]) -> None:
    data["learner"]["normaliser"]["mean"] = torch.zeros(3, dtype=torch.float64)


def other_starts(data: dict[str, Any]) -> None:
    data["learner"]["starts"]["visits"] = [1.0]


def words_in_the_curve(data: dict[str, Any]) -> None:
    data["curve"] = ["nothing"]


SPOILT = {"no learner": without("learner"), "no curve": without("curve"), "NaN weights": spoilt_weights,
          "another network": other_network, "another optimiser": other_moments,
          "another observation": other_observations, "other starts": other_starts, "no points": words_in_the_curve,
          "NaN kept": lambda data: data["kept"].update(nr=float("nan")),
          "a list": lambda data: data.update(learner=[1])}
spoilt = pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training with two checkpoints, of one and of two iterations."""
    folder = tmp_path_factory.mktemp("run")
    motion = deepmimic.load_clip("walk")
    run = Run(folder)
    run.checkpoints.mkdir()
    run.write("mark", CONFIG, prepare(motion, CONFIG))
    rank = Rank(run, Group(0, 1, 0))
    for _ in range(2):
        rank.ppo.iterate(lambda: None)
        rank.curve.append({"samples": rank.ppo.samples, "minutes": 0.1, "nr": 0.5, "survived": 0.5, "reward": 0.5,
                           "looked": 300.0})
        rank._keep()
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A copy of the training, to be spoilt."""
    shutil.copytree(trained, tmp_path / "run")
    return Run(tmp_path / "run")


def rewrite(path: Path, spoil: Callable[[dict[str, Any]], None]) -> None:
    """Change what a checkpoint holds."""
    data = torch.load(path, weights_only=True)
    spoil(data)
    torch.save(data, path)


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    for samples in range(5):
        save_checkpoint(tmp_path, samples, {"samples": samples})
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint_{n:012d}.pt" for n in range(2, 5)]
    assert len(checkpoints(tmp_path)) == KEPT


def test_a_file_that_is_cut_off_is_passed_over(tmp_path: Path) -> None:
    for samples in range(3):
        save_checkpoint(tmp_path, samples, {"samples": samples})
    newest, seen = checkpoints(tmp_path)[-1], []
    newest.write_bytes(newest.read_bytes()[:100])
    assert go_on(tmp_path, seen.append) == checkpoints(tmp_path)[1]
    assert seen == [{"samples": 1}]
    assert go_on(tmp_path / "nothing", seen.append) is None


def test_those_passed_over_go_with_the_next_one_that_is_written(tmp_path: Path) -> None:
    for samples in (1, 2, 3):
        save_checkpoint(tmp_path, 10 * samples, {"samples": samples})
    save_checkpoint(tmp_path, 15, {"samples": 1.5})  # 20 and 30 did not serve, 10 did
    assert [int(path.stem[-2:]) for path in checkpoints(tmp_path)] == [10, 15]


def test_values_that_are_not_numbers_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(SfvError, match="another seed"):
        save_checkpoint(tmp_path, 1, {"weights": {"a": torch.tensor([1.0, float("inf")])}})
    assert not checkpoints(tmp_path)


@spoilt
def test_a_training_passes_over_a_damaged_checkpoint(spoil: Callable[[dict[str, Any]], None], run: Run) -> None:
    rewrite(checkpoints(run.checkpoints)[-1], spoil)
    rank = Rank(run, Group(0, 1, 0))
    assert (rank.ppo.iterations, rank.ppo.samples, len(rank.curve)) == (1, 4096, 1)
    older = torch.load(checkpoints(run.checkpoints)[0], weights_only=True)["learner"]
    now = rank.ppo.to_dict()
    assert torch.equal(now["network"]["actor.0.weight"], older["network"]["actor.0.weight"])
    assert torch.equal(now["optimiser"]["state"][0]["exp_avg"], older["optimiser"]["state"][0]["exp_avg"])


def test_where_no_checkpoint_serves_the_training_says_what_to_do(run: Run, tmp_path: Path) -> None:
    for path in checkpoints(run.checkpoints):
        rewrite(path, other_network)
    with pytest.raises(SfvError, match=r"Remove that folder .* or choose another folder .*\(-o\)") as caught:
        Rank(run, Group(0, 1, 0))
    assert str(run.checkpoints) in str(caught.value)
    assert "shape (3, 3) instead of" in str(caught.value)


@pytest.mark.slow
def test_the_command_says_so_too_and_does_not_ask_to_start_again(tmp_path: Path) -> None:
    motion, out = tmp_path / "walk.npz", tmp_path / "out"
    deepmimic.load_clip("walk").save(motion)
    train(motion, out, CONFIG, no_progress)
    for path in checkpoints(out / "checkpoints"):
        rewrite(path, without("learner"))
    with pytest.raises(SfvError, match=r"Training process 0 failed: No checkpoint in .* lacks 'learner'") as caught:
        train(motion, out, CONFIG, no_progress)
    assert "start the training again" not in str(caught.value)


def test_a_policy_that_bears_noise_is_kept_rather_than_one_that_is_a_little_nearer(
        run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in checkpoints(run.checkpoints):
        path.unlink()
    rank = Rank(run, Group(0, 1, 0))
    asked: list[float] = []

    def look(nr: float, swayed: float) -> bool:
        asked.clear()
        run.policy.unlink(missing_ok=True)

        def evaluated(*parts: object) -> Evaluation:
            asked.append(float(parts[5]) if len(parts) > 5 else 0.0)  # type: ignore[arg-type]
            return Evaluation(100 * (swayed if asked[-1] else nr), 90.0, 100.0, 1.0, 0.0)

        monkeypatch.setattr("sfv_core.imitate.rank.evaluate", evaluated)
        rank._evaluate()
        return run.policy.exists()

    assert look(0.8, 0.2) and asked == [0.0, rank.preset.recipe.sway]
    assert look(0.7, 0.6)
    assert not look(0.75, 0.1)
    assert not look(0.6, 0.9) and asked == [0.0]
    assert (rank.kept.nr, rank.kept.swayed, rank.kept.steady) == (0.7, 0.6, 0.9)
    assert [point["looked"] for point in rank.curve] == [180.0, 180.0, 180.0, 90.0]
    rank._keep()
    assert Rank(run, Group(0, 1, 0)).kept == rank.kept


def test_a_training_ends_with_a_policy_only_when_luck_is_ruled_out(
        run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in checkpoints(run.checkpoints):
        path.unlink()
    rank = Rank(run, Group(0, 1, 0))
    goal = rank.config.goal

    def looks(*returns: list[float]) -> int:
        """Return how many evaluations without noise a policy gets whose episodes bring these returns."""
        rank.kept, given = Kept(), iter(returns)

        def evaluated(*parts: object) -> Evaluation:
            if len(parts) > 5:
                return Evaluation(0.0, 0.0, 1.0, 1.0, 0.0)
            found = np.array(next(given))
            return Evaluation(found.sum(), 1.0, float(len(found)), float(len(found)), (found**2).sum())

        monkeypatch.setattr("sfv_core.imitate.rank.evaluate", evaluated)
        rank._evaluate()
        return len(returns) - len(list(given))

    luck = [1.0] * 12 + [0.0]
    assert looks([goal + 0.01] * 16, luck) == 1
    assert looks([goal - 0.01] * 16, luck) == 1
    assert looks(luck, [0.0] * 16, luck) == 2 and rank.kept.nr < goal
    assert looks(luck, luck, luck, luck, luck) == 1 + AGAIN
