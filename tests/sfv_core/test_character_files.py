"""Characters as files: `sfv character`, URDF, MJCF, numbers and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from people import smpl_skeleton, squatting

from retarget import bvh
from sfv_core import cli
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for, published
from sfv_core.character.character import Character
from sfv_core.character.describe import describe, height, table
from sfv_core.character.files import FILES, read_person, write
from sfv_core.errors import SfvError

pytest.importorskip("matplotlib")


def test_the_files_hold_the_character_and_are_all_there(tmp_path: Path) -> None:
    character = character_for(smpl_skeleton())
    numbers = write(character, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    data = json.loads((tmp_path / "character.json").read_text())
    assert Character.from_dict(data).links == character.links
    assert data["format"] == 1
    assert data["mass_kg"] == numbers["mass_kg"] == pytest.approx(sum(link["mass_kg"] for link in numbers["links"]))


def test_the_picture_shows_the_body_and_gets_wider_with_its_arms(tmp_path: Path) -> None:
    from PIL import Image

    widths = {}
    for name, character in (("spread", character_for(smpl_skeleton())), ("down", published("deepmimic"))):
        write(character, tmp_path)
        pixels = np.asarray(Image.open(tmp_path / "character.png").convert("RGB")).astype(int)
        skin = (pixels[..., 0] - pixels[..., 2] > 15) & (pixels[..., 0] > 90) & (np.ptp(pixels, axis=-1) < 60)
        assert skin.mean() > 0.02
        widths[name] = np.ptp(np.flatnonzero(skin[:, : pixels.shape[1] // 2].any(axis=0)))
    assert widths["spread"] > 1.3 * widths["down"]


def test_deepmimics_humanoid_is_as_tall_as_published() -> None:
    assert height(published("deepmimic")) == pytest.approx(1.62, abs=0.005)


def test_the_table_shows_each_kind_of_link_once() -> None:
    lines = table(published("deepmimic"))
    assert len(lines) == 1 + 8
    assert "thigh, each" in lines[4] and "4.50" in lines[4] and "200" in lines[4] and "500" in lines[4]
    assert "0° to 180°" in lines[5]
    assert len(describe(published("atlas"))["links"]) == 13


@pytest.mark.parametrize("suffix", [".npz", ".bvh"])
def test_the_command_takes_a_motion_of_any_kind(
        tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    path = tmp_path / f"squat{suffix}"
    squatting().save(path) if suffix == ".npz" else bvh.save(squatting(), path)
    assert cli.main(["character", str(path), "-o", str(tmp_path / "out"), "--mass", "80", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["mass_kg"] == pytest.approx(80.0)
    assert [Path(file).name for file in report["files"]] == list(FILES)


@pytest.mark.parametrize(("name", "mass"), [("deepmimic", 45.0), ("atlas", 169.5)])
def test_the_command_knows_the_published_bodies_by_name(
        tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, mass: float) -> None:
    assert cli.main(["character", name, "-o", str(tmp_path)]) == 0
    said = capfd.readouterr()
    assert "forearm, hand, each" in said.out + said.err
    assert json.loads((tmp_path / "character.json").read_text())["mass_kg"] == pytest.approx(mass, abs=0.1)


def test_a_clip_of_deepmimic_gives_its_humanoid(shared_data: Path) -> None:
    motion = read_person(shared_data / "clips" / "deepmimic" / "humanoid3d_jog.txt")
    assert character_for(motion.skeleton).links == character_for(deepmimic.skeleton()).links


@pytest.mark.parametrize(("arguments", "words"), [
    (["dog.bvh"], ["dog.bvh", "no motion"]),
    (["rig.glb"], ["rig.glb", "BVH"]),
    (["squat.npz", "--mass", "nan"], ["squat.npz", "cannot weigh nan kg"]),
    (["squat.npz", "--mass", "-3"], ["cannot weigh -3 kg"]),
    (["atlas", "--plan", "deepmimic"], ["atlas", "of its own"]),
    (["broken.npz"], ["broken.npz", "not a motion file"]),
])
def test_what_cannot_be_built_is_said_and_nothing_is_left(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
        arguments: list[str], words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    squatting().save("squat.npz")
    Path("broken.npz").write_bytes(b"PK broken")
    Path("rig.glb").write_bytes(b"glTF")
    assert cli.main(["character", *arguments, "-o", "out"]) == 1
    said = capfd.readouterr().err
    assert all(word in said for word in words), said
    assert not Path("out").exists()


def test_the_error_names_the_file_of_a_skeleton_that_is_no_person(shared_data: Path, tmp_path: Path) -> None:
    from sfv_core.character.files import character_of

    with pytest.raises(SfvError, match=r"dog\.bvh.*animal"):
        character_of(shared_data / "clips" / "dog.bvh", "person", None)
