"""The physical character: sizes, masses, coordinates, and motions fitted to it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from people import smpl_skeleton, squatting

from retarget import kinematics, rotation
from retarget.motion import Skeleton
from sfv_core.character import deepmimic
from sfv_core.character.build import PlanName, character_for
from sfv_core.character.character import Character, Shape
from sfv_core.character.fit import DEPTH, fit
from sfv_core.character.urdf import BASE_MASS, urdf
from sfv_core.errors import SfvError

CHARACTERS = {"deepmimic": character_for(deepmimic.skeleton()), "smpl": character_for(smpl_skeleton())}
each = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())


def test_deepmimics_skeleton_gives_its_table() -> None:
    character = CHARACTERS["deepmimic"]
    masses = {link.name: link.mass for link in character.links}
    assert character.mass == pytest.approx(45.0)
    assert (masses["spine3"], masses["left_hip"], masses["right_elbow"]) == pytest.approx((14.0, 4.5, 1.5))
    knee = character.links[character.index("left_knee")]
    assert (knee.stiffness, knee.damping, knee.torque) == pytest.approx((500, 50, 150))
    assert character.weights[:4] == pytest.approx([0.20833, 0.10416, 0.0625, 0.10416], abs=1e-4)
    assert sum(character.weights) == pytest.approx(1.0)


def test_a_larger_person_is_heavier_by_the_cube() -> None:
    small = smpl_skeleton()
    large = replace(small, offsets=1.2 * small.offsets)
    assert character_for(large).mass == pytest.approx(1.2**3 * character_for(small).mass)


@each
def test_joint_coordinates_and_rotations_are_inverse(character: Character) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (20, character.coordinates))
    assert character.to_coordinates(character.to_rotations(values)) == pytest.approx(values)


@each
def test_a_character_survives_being_written(character: Character) -> None:
    again = Character.from_dict(character.to_dict())
    assert again.links == character.links
    assert again.skeleton.names == character.skeleton.names
    with pytest.raises(SfvError, match="damaged"):
        Character.from_dict({"names": ["pelvis"]})


@pytest.mark.parametrize("shape", [
    Shape("sphere", (0.3,), 2.0, (0, 0, 0)), Shape("box", (0.2, 0.4, 0.6), 3.0, (0, 0, 0)),
    Shape("capsule", (0.1, 0.5), 1.5, (0, 0, 0), (0.6, 0.0, 0.8))], ids=lambda shape: shape.kind)
def test_inertia_is_that_of_points_spread_evenly(shape: Shape) -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (400_000, 3))
    if shape.kind == "box":
        inside = np.all(np.abs(points) <= np.array(shape.size) / 2, axis=1)
    else:
        ends, radius = shape.corners()
        along = ends[-1] - ends[0]
        t = np.clip((points - ends[0]) @ along / max(along @ along, 1e-9), 0, 1)
        inside = np.linalg.norm(points - ends[0] - t[:, None] * along, axis=1) <= radius
    points = points[inside]
    expected = shape.mass * np.mean([np.eye(3) * (p @ p) - np.outer(p, p) for p in points[:60_000]], axis=0)
    assert shape.inertia() == pytest.approx(expected, rel=0.03, abs=0.002)


@each
def test_urdf_holds_every_mass_and_the_tree(character: Character) -> None:
    robot = ET.fromstring(urdf(character))
    masses = [float(mass.attrib["value"]) for mass in robot.iter("mass")]
    assert sum(masses) == pytest.approx(character.mass + BASE_MASS)
    children = {joint.find("child").attrib["link"]: joint.find("parent").attrib["link"]
                for joint in robot.iter("joint")}
    for link in character.links[1:]:
        assert children[link.name] == character.links[link.parent].name


@pytest.mark.parametrize("name", ["walk", "backflip", "kick"])
def test_fitting_deepmimics_own_motion_only_lifts_it(name: str) -> None:
    motion = deepmimic.load_clip(name)
    fitted = fit(motion, CHARACTERS["deepmimic"])
    before, turns = kinematics.world_poses(motion)
    after, fitted_turns = kinematics.world_poses(fitted)
    order = [motion.skeleton.index({"spine3": "chest"}.get(n, n)) for n in fitted.skeleton.names]
    moved = after - before[:, order]
    assert np.abs(moved[..., :2]).max() < 1e-6
    assert np.ptp(moved[..., 2], axis=1).max() < 1e-6
    assert rotation.angle(turns[:, order], fitted_turns).max() < 1e-5


def test_fitting_keeps_where_limbs_point_and_how_feet_and_hands_are_turned() -> None:
    motion, character = squatting(), CHARACTERS["smpl"]
    fitted = fit(motion, character)
    before, turns = kinematics.world_poses(motion)
    after, fitted_turns = kinematics.world_poses(fitted)
    a, b = motion.skeleton.index, fitted.skeleton.index
    for side in ("left", "right"):
        for top, end in (("hip", "ankle"), ("shoulder", "wrist")):
            before_limb = before[:, a(f"{side}_{end}")] - before[:, a(f"{side}_{top}")]
            after_limb = after[:, b(f"{side}_{end}")] - after[:, b(f"{side}_{top}")]
            assert np.linalg.norm(before_limb - after_limb, axis=1).max() < 0.02
            turned = rotation.angle(turns[:, a(f"{side}_{end}")], fitted_turns[:, b(f"{side}_{end}")])
            assert turned.max() < 1e-6


def test_hinges_only_turn_about_their_axes_and_within_limits() -> None:
    character = CHARACTERS["deepmimic"]
    fitted = fit(deepmimic.load_clip("dance_b"), character)
    for i in character.hinges:
        turns = rotation.to_rotvec(fitted.rotations[:, i])
        axis = np.array(character.links[i].axis)
        assert np.abs(turns - np.outer(turns @ axis, axis)).max() < 1e-6
        assert np.min(turns @ axis) > -1e-9


@pytest.mark.parametrize("name", ["walk", "crawl", "roll", "run"])
def test_no_body_sinks_deeper_than_a_centimetre(name: str) -> None:
    character = CHARACTERS["deepmimic"]
    places, turns = kinematics.world_poses(fit(deepmimic.load_clip(name), character))
    lowest = character.lowest(places[:, : len(character.links)], turns[:, : len(character.links)]).min(axis=1)
    assert lowest.min() > -DEPTH - 1e-6
    assert np.percentile(lowest, 10) < 0.03


def test_a_fitted_motion_does_not_depend_on_where_and_which_way_it_goes() -> None:
    motion, character = squatting(), CHARACTERS["smpl"]
    turn = rotation.from_rotvec(np.array([0.0, 0.0, 1.3]))
    rotations = motion.rotations.copy()
    rotations[:, 0] = rotation.multiply(turn, rotations[:, 0])
    turned = replace(motion, rotations=rotations, root_pos=rotation.rotate(turn, motion.root_pos) + [5.0, 1.0, 0.0])
    a, b = fit(motion, character), fit(turned, character)
    assert rotation.angle(a.rotations[:, 1:], b.rotations[:, 1:]).max() < 1e-6
    assert a.root_pos[:, 2] == pytest.approx(b.root_pos[:, 2])


def test_a_skeleton_without_legs_is_refused_by_the_joints_it_lacks() -> None:
    whole = smpl_skeleton()
    keep = [i for i, name in enumerate(whole.names) if not any(p in name for p in ("knee", "ankle", "foot"))]
    parents = [keep.index(whole.parents[i]) if whole.parents[i] >= 0 else -1 for i in keep]
    torso = Skeleton(tuple(whole.names[i] for i in keep), np.array(parents), whole.offsets[keep],
                     whole.rest_rotations[keep])
    with pytest.raises(SfvError, match=r"no left_knee.*two legs"):
        character_for(torso)


def test_a_person_in_centimetres_is_refused() -> None:
    person = smpl_skeleton()
    with pytest.raises(SfvError, match="metres"):
        character_for(replace(person, offsets=100 * person.offsets))


def test_a_motion_of_one_frame_is_refused() -> None:
    with pytest.raises(SfvError, match="two or more"):
        fit(squatting().slice(0, 1), CHARACTERS["smpl"])


@pytest.mark.parametrize("plan", ["atlas", "deepmimic"])
def test_a_published_body_holds_its_limbs_as_the_captured_one_does(plan: PlanName) -> None:
    """The captured body rests with its arms held out, the published ones with theirs hanging."""
    motion = squatting()
    fitted = fit(motion, character_for(motion.skeleton, plan))
    before, after = kinematics.world_poses(motion)[0], kinematics.world_poses(fitted)[0]
    for side in ("left", "right"):
        for top, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            ways = [positions[:, skeleton.index(f"{side}_{end}")] - positions[:, skeleton.index(f"{side}_{top}")]
                    for positions, skeleton in ((before, motion.skeleton), (after, fitted.skeleton))]
            ways = [way / np.linalg.norm(way, axis=1, keepdims=True) for way in ways]
            assert np.degrees(np.arccos(np.clip(np.sum(ways[0] * ways[1], axis=1), -1, 1))).max() < 12
