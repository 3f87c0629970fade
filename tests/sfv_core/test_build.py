"""The plans that characters are built from, and the law that scales them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from people import smpl_skeleton

from retarget import kinematics, rotation
from retarget.files import read_motion
from retarget.motion import Skeleton
from sfv_core.character import deepmimic
from sfv_core.character.build import PlanName, character_for, published
from sfv_core.character.character import Character, Shape
from sfv_core.character.fit import fit
from sfv_core.character.mjcf import mjcf
from sfv_core.character.person import HEIGHT, MASS, PERSON
from sfv_core.errors import SfvError


def deepmimics_name(ours: str) -> str:
    return {"pelvis": "root", "spine3": "chest"}.get(ours, ours)


def volume(shape: Shape) -> float:
    if shape.kind == "box":
        return math.prod(shape.size)
    radius, length = (*shape.size, 0.0)[:2]
    return math.pi * radius**2 * (length + 4 / 3 * radius)


def top_to_sole(character: Character) -> float:
    """Return the height in m of a character that stands at rest."""
    places, turns = kinematics.rest_pose(character.skeleton)
    count = len(character.links)
    upside_down = rotation.from_rotvec(np.array([np.pi, 0.0, 0.0]))
    lowest = character.lowest(places[:count], turns[:count]).min()
    highest = -character.lowest(rotation.rotate(upside_down, places[:count]),
                                rotation.multiply(upside_down, turns[:count])).min()
    return float(highest - lowest)


def test_deepmimics_humanoid_is_that_of_its_character_file(shared_data: Path) -> None:
    file = json.loads((shared_data / "clips" / "deepmimic" / "character_humanoid3d.txt").read_text())
    bodies = {body["Name"]: body for body in file["BodyDefs"]}
    joints = {joint["Name"]: joint for joint in file["Skeleton"]["Joints"]}
    character = character_for(deepmimic.skeleton())
    for i, link in enumerate(character.links):
        body, joint = bodies[deepmimics_name(link.name)], joints[deepmimics_name(link.name)]
        shape = link.shapes[0]
        assert (shape.kind, shape.mass) == (body["Shape"], pytest.approx(body["Mass"]))
        sizes = {"sphere": [body["Param0"] / 2], "capsule": [body["Param0"] / 2, body["Param1"]],
                 "box": [body["Param2"], body["Param0"], body["Param1"]]}
        assert shape.size == pytest.approx(sizes[shape.kind])
        assert shape.centre == pytest.approx((-body["AttachZ"], -body["AttachX"], body["AttachY"]), abs=1e-9)
        assert character.skeleton.offsets[i] == pytest.approx([-joint["AttachZ"], -joint["AttachX"], joint["AttachY"]])
        assert link.torque == pytest.approx(joint.get("TorqueLim", 0))
        total = sum(other["DiffWeight"] for other in joints.values())
        assert link.weight == pytest.approx(joint["DiffWeight"] / total)
    for side in ("left", "right"):
        hand = character.links[character.index(f"{side}_elbow")].shapes[1]
        assert (hand.mass, hand.size[0]) == (bodies[f"{side}_wrist"]["Mass"], bodies[f"{side}_wrist"]["Param0"] / 2)


def test_deepmimics_humanoid_weighs_what_pybullets_copy_of_it_weighs() -> None:
    bullet = pytest.importorskip("pybullet")
    data = pytest.importorskip("pybullet_data")
    character = published("deepmimic")
    client = bullet.connect(bullet.DIRECT)
    try:
        body = bullet.loadURDF(f"{data.getDataPath()}/humanoid/humanoid.urdf", globalScaling=0.25,
                               physicsClientId=client)
        for joint in range(bullet.getNumJoints(body, physicsClientId=client)):
            name = bullet.getJointInfo(body, joint, physicsClientId=client)[12].decode()
            mass = bullet.getDynamicsInfo(body, joint, physicsClientId=client)[0]
            ours = {deepmimics_name(link.name): link for link in character.links}.get(name)
            if ours is not None:
                assert mass == pytest.approx(ours.shapes[0].mass)
    finally:
        bullet.disconnect(client)


def test_atlas_has_deepmimics_mass_and_height_and_every_joint_of_the_humanoid() -> None:
    atlas, humanoid = published("atlas"), published("deepmimic")
    assert atlas.mass == pytest.approx(169.5, abs=0.1)
    assert top_to_sole(atlas) == pytest.approx(1.82, abs=0.005)
    assert atlas.skeleton.names == humanoid.skeleton.names
    assert [link.joint for link in atlas.links] == [link.joint for link in humanoid.links]
    assert atlas.links[atlas.index("spine3")].mass > 0.4 * atlas.mass


def test_an_average_person_has_the_published_shares_of_its_mass() -> None:
    character = character_for(PERSON.skeleton())
    share = {link.name: link.mass / character.mass for link in character.links}
    assert character.mass == pytest.approx(MASS) == pytest.approx(67.4, abs=0.1)
    assert top_to_sole(character) == pytest.approx(HEIGHT, abs=0.06)
    assert share["pelvis"] + share["spine3"] == pytest.approx(0.430, abs=0.001)
    assert [share[name] for name in ("left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow")] == \
        pytest.approx([0.1447, 0.0457, 0.0133, 0.0263, 0.0150 + 0.00585], abs=1e-4)


@pytest.mark.parametrize("mass", [None, 50.0, 110.0])
@pytest.mark.parametrize("skeleton", [PERSON.skeleton(), smpl_skeleton()], ids=["average", "smpl"])
def test_a_persons_body_is_about_as_dense_as_water(skeleton: Skeleton, mass: float | None) -> None:
    character = character_for(skeleton, mass=mass)
    for link in character.links:
        for shape in link.shapes:
            assert 750 < shape.mass / volume(shape) < 1700 or shape.kind == "box", link.name
    total = sum(volume(shape) for link in character.links for shape in link.shapes)
    assert character.mass / total == pytest.approx(1080, rel=0.1)


def test_a_person_is_as_strong_for_its_mass_and_length_as_deepmimics() -> None:
    person, model = character_for(PERSON.skeleton()), published("deepmimic")
    leg = [sum(np.linalg.norm(c.offsets[c.index(f"left_{joint}")]) for joint in ("knee", "ankle"))
           for c in (person, model)]
    ratio = person.mass / model.mass * leg[0] / leg[1]
    for ours, theirs in zip(person.links, model.links, strict=True):
        assert ours.torque == pytest.approx(ratio * theirs.torque)
        assert ours.stiffness == pytest.approx(ratio * theirs.stiffness)
        assert ours.damping == pytest.approx(ours.stiffness / 10)


def test_a_body_of_another_size_weighs_by_the_cube_and_pulls_by_the_fourth_power() -> None:
    small = smpl_skeleton()
    a, b = character_for(small), character_for(replace(small, offsets=1.2 * small.offsets))
    assert b.mass == pytest.approx(1.2**3 * a.mass)
    assert [link.torque for link in b.links] == pytest.approx([1.2**4 * link.torque for link in a.links])
    assert b.links[3].inertia() == pytest.approx(1.2**5 * a.links[3].inertia())


@pytest.mark.parametrize("plan", ["person", "deepmimic", "atlas"])
def test_a_wanted_mass_is_reached_at_the_same_lengths(plan: PlanName) -> None:
    usual = character_for(smpl_skeleton(), plan)
    heavy = character_for(smpl_skeleton(), plan, 1.5 * usual.mass)
    assert heavy.mass == pytest.approx(1.5 * usual.mass)
    assert heavy.skeleton.offsets == pytest.approx(usual.skeleton.offsets)
    assert heavy.links[4].torque == pytest.approx(1.5 * usual.links[4].torque)
    thicker = heavy.links[4].shapes[0].size[0] / usual.links[4].shapes[0].size[0]
    assert thicker == pytest.approx(math.sqrt(1.5) if plan == "person" else 1.0)


@pytest.mark.parametrize("mass", [0.0, -70.0, math.nan, math.inf, 5000.0, 0.5])
def test_a_mass_that_no_body_of_this_size_has_is_refused(mass: float) -> None:
    with pytest.raises(SfvError, match=r"cannot weigh.*about 6\d"):
        character_for(smpl_skeleton(), mass=mass)


def test_thighs_of_a_narrow_pelvis_do_not_touch() -> None:
    character = character_for(smpl_skeleton())
    thighs = [character.links[character.index(f"{side}_hip")].shapes[0] for side in ("left", "right")]
    hips = [character.offsets[character.index(f"{side}_hip")] for side in ("left", "right")]
    tops = [hip + shape.corners()[0][0] for hip, shape in zip(hips, thighs, strict=True)]
    assert abs(tops[0][0] - tops[1][0]) > thighs[0].size[0] + thighs[1].size[0]


def test_the_hinges_of_a_person_bend_as_far_as_a_person_squats() -> None:
    character = character_for(smpl_skeleton())
    assert [character.links[i].limits for i in character.hinges] == [(0.0, pytest.approx(math.radians(160)))] * 4


def turned(skeleton: Skeleton, turn: np.ndarray) -> Skeleton:
    """Return the skeleton with a rest pose that is turned as a whole."""
    rest = skeleton.rest_rotations.copy()
    rest[0] = rotation.multiply(turn, rest[0])
    return replace(skeleton, rest_rotations=rest)


@pytest.mark.parametrize("axis", range(3))
def test_a_skeleton_that_lies_or_faces_elsewhere_at_rest_gives_the_same_character(axis: int) -> None:
    upright = character_for(PERSON.skeleton(), mass=60)
    lying = character_for(turned(PERSON.skeleton(), rotation.from_rotvec(np.pi / 2 * np.eye(3)[axis])), mass=60)
    assert lying.skeleton.offsets == pytest.approx(upright.skeleton.offsets, abs=1e-9)


@pytest.mark.parametrize("name", ["cmu_01_01", "dab", "wave_hello", "jumping_jacks", "xia_neutral",
                                  "mixamo_pairs/Mousey__Macarena_Dance", "mixamo_pairs/Ortiz__Macarena_Dance"])
def test_rigs_and_mocap_of_every_family_become_characters(shared_data: Path, name: str) -> None:
    character = character_for(read_motion(shared_data / "clips" / f"{name}.bvh").skeleton)
    assert 5 < character.mass < 120
    assert 0.5 < top_to_sole(character) < 2.2


def test_an_animal_is_refused(shared_data: Path) -> None:
    with pytest.raises(SfvError, match="animal"):
        character_for(read_motion(shared_data / "clips" / "dog.bvh").skeleton)


def test_two_persons_in_one_skeleton_are_refused() -> None:
    one = smpl_skeleton()
    count = len(one)
    parents = np.concatenate([one.parents, np.where(one.parents < 0, -1, one.parents + count)])
    both = Skeleton((*one.names, *(f"b_{name}" for name in one.names)), parents,
                    np.concatenate([one.offsets, np.where(np.arange(count)[:, None] == 0, [1.5, 0, 0], one.offsets)]),
                    np.tile(one.rest_rotations, (2, 1)))
    with pytest.raises(SfvError, match="more than one person"):
        character_for(both)


def overlapping(character: Character, name: str) -> float:
    """Return the share of a clip's frames in which the fitted body runs more than 2 cm into itself."""
    mujoco: Any = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_string(mjcf(character))
    data = mujoco.MjData(model)
    motion = fit(deepmimic.load_clip(name, 15.0), character)
    places = [int(model.joint(link.name).qposadr[0]) for link in character.links]
    deep = []
    for root, local in zip(motion.root_pos, motion.rotations, strict=True):
        data.qpos[:3] = root + [0, 0, 5]
        for i, (place, link) in enumerate(zip(places, character.links, strict=True)):
            if link.joint == "hinge":
                data.qpos[place] = rotation.to_rotvec(local[i]) @ link.axis
            else:
                start = place + 3 * (link.joint == "free")
                data.qpos[start : start + 4] = local[i]
        mujoco.mj_forward(model, data)
        deep.append(any(contact.dist < -0.02 for contact in data.contact[: data.ncon]))
    return float(np.mean(deep))


@pytest.mark.parametrize("name", ["cartwheel", "dance_b", "backflip", "roll"])
def test_a_persons_body_runs_into_itself_hardly_more_than_deepmimics(name: str) -> None:
    skeleton = deepmimic.skeleton()
    person = character_for(replace(skeleton, offsets=1.01 * skeleton.offsets))
    assert person.mass > 55
    assert overlapping(person, name) <= overlapping(published("deepmimic"), name) + 0.06


@pytest.mark.filterwarnings("error")
def test_a_skeleton_without_lengths_is_refused_without_a_warning() -> None:
    skeleton = smpl_skeleton()
    with pytest.raises(SfvError, match="coincide"):
        character_for(replace(skeleton, offsets=0 * skeleton.offsets))
