"""Motion on one skeleton → the same motion on another: rest-pose-compensated transfer of world rotations.

How far each source joint has turned in the world since its rest pose, which does not depend on how its axes lie, is
applied to the target's rest pose. Limbs that rest in another direction, as in an A-pose against a T-pose, are first
brought to the source's; spines of different length share the turn by arc length; the hips' path is scaled about the
floor by the ratio of hip heights.

The floor is z = 0, before and after, wherever a skeleton rests: BVH files and glTF rigs rest with their hips at the
origin or below the floor that they walk on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from . import rotation
from .kinematics import rest_pose, world_poses
from .mapping import BoneMap
from .motion import Motion, Skeleton
from .rest import Body, alignments, chain_end, chain_fractions, facing_between, scale_between
from .roles import SPINE


@dataclass(frozen=True)
class Options:
    """Choices of a retarget."""

    stride: float = 1.0
    """Way of the target's hips over the ground, as a share of what its size gives: 1 keeps the steps' proportions."""
    root: Literal["travel", "in place", "off"] = "travel"
    """Whether the hips travel, keep their place over the ground, or keep their rest place altogether."""
    lock_feet: bool = True
    """Hold feet still while they touch the ground, bending the legs."""
    reach_hands: Literal["off", "body", "floor"] = "off"
    """Bring the hands to where the source's are, bending the arms: seen from the chest, or from the floor."""
    reference_frame: int | None = None
    """Frame of the source to take as its rest pose; None: its rest pose, or the best frame if that is no body."""


def retarget(motion: Motion, target: Skeleton, bone_map: BoneMap, options: Options | None = None) -> Motion:
    """Return the motion on the target; its skeleton's root becomes the bone that the source's hips drive.

    Bones without a pair keep their rest pose in their parent's frame. Raise RetargetError where the map does not fit.
    """
    options = options or Options()
    bone_map.check(motion.skeleton, target)
    ours, theirs = _bodies(motion.skeleton, target, bone_map)
    facing = facing_between(ours, theirs)
    positions, world = world_poses(motion)

    delta = _deltas(ours, world, facing)
    driven = {bone: delta[joint] for joint, bone in zip(ours.joints, theirs.joints, strict=True)}
    driven.update(_spine(ours, theirs, delta))
    driven.update(_neck(ours, theirs, delta))
    aligned = alignments(ours, theirs, facing)
    rotations = _local_rotations(theirs, driven, aligned, len(motion))
    root_pos = _root_path(positions[:, ours.hips], ours, theirs, facing, options)
    return replace(motion, skeleton=replace(target, root=theirs.hips), root_pos=root_pos, rotations=rotations,
                   confidence=_confidence(motion, ours, theirs), contacts=_contacts(motion, ours, theirs))


def _bodies(source: Skeleton, target: Skeleton, bone_map: BoneMap) -> tuple[Body, Body]:
    """Look at both skeletons through the map; without a pair called Hips the pair of the source's root leads."""
    pairs = bone_map.pairs
    leading = next((p for p in pairs if p.role == "Hips"), None)
    leading = leading or next((p for p in pairs if p.source == source.names[source.root]), None)
    leading = leading or min(pairs, key=lambda p: target.index(p.target))
    bodies = []
    for skeleton, side in ((source, "source"), (target, "target")):
        joints = tuple(skeleton.index(getattr(pair, side)) for pair in pairs)
        roles = {pair.role: joint for pair, joint in zip(pairs, joints, strict=True) if pair.role}
        bodies.append(Body(skeleton, joints, roles, skeleton.index(getattr(leading, side))))
    return bodies[0], bodies[1]


def _deltas(body: Body, world: np.ndarray, facing: np.ndarray) -> dict[int, np.ndarray]:
    """Return by joint how far it has turned since its rest, seen from the target. world: (T, J, 4) → (T, 4) each."""
    turn = np.swapaxes(world, 0, 1)
    left = facing
    right = rotation.multiply(rotation.inverse(body.pose[1]), rotation.inverse(facing))
    delta = rotation.multiply(rotation.multiply(left, turn), right[:, None])
    return dict(enumerate(delta))


def _spine(ours: Body, theirs: Body, delta: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Spread the turn of a spine over one with another number of bones."""
    ends = [_top_of_spine(body) for body in (ours, theirs)]
    if ends[0] is None or ends[1] is None:
        return {}
    chains = [ours.path(ours.hips, ends[0]), theirs.path(theirs.hips, ends[1])]
    if not chains[0] or not chains[1] or len(chains[0]) == len(chains[1]):
        return {}
    along = [chain_fractions(body, chain, chain_end(body, chain[-1]))
             for body, chain in zip((ours, theirs), chains, strict=True) if chain]
    knots = [delta[ours.hips], *(delta[j] for j in chains[0])]
    spread = _spread(np.concatenate([[0.0], along[0]]), knots, along[1])
    spread[-1] = knots[-1]
    return dict(zip(chains[1], spread, strict=True))


def _neck(ours: Body, theirs: Body, delta: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Spread the turn between chest and head over a neck with another number of bones."""
    tops = [_top_of_spine(body) for body in (ours, theirs)]
    heads = [body.roles.get("Head") for body in (ours, theirs)]
    if tops[0] is None or tops[1] is None or heads[0] is None or heads[1] is None:
        return {}
    chains = [ours.path(tops[0], heads[0]), theirs.path(tops[1], heads[1])]
    if not chains[0] or not chains[1] or len(chains[0]) == len(chains[1]):
        return {}
    (*neck, head), bones = chains[0], chains[1][:-1]
    if not bones:
        return {}
    along = chain_fractions(theirs, bones, theirs.pose[0][chains[1][-1]])
    if not neck:
        share = np.arange(1, len(bones) + 1) / (len(bones) + 1)
        spread = _spread(np.array([0.0, 1.0]), [delta[tops[0]], delta[head]], share)
    else:
        knots = chain_fractions(ours, tuple(neck), ours.pose[0][head])
        spread = _spread(np.concatenate([[0.0], knots]), [delta[tops[0]], *(delta[j] for j in neck)], along)
    return dict(zip(bones, spread, strict=True))


def _top_of_spine(body: Body) -> int | None:
    """Return the highest joint of the map's spine."""
    spine = [body.roles[role] for role in SPINE if role in body.roles]
    return max(spine, default=None)


def _spread(knots: np.ndarray, turns: list[np.ndarray], places: np.ndarray) -> list[np.ndarray]:
    """Interpolate rotations (T, 4) given at ascending knots at other places, by slerp."""
    spread = []
    for place in places:
        low = int(np.clip(np.searchsorted(knots, place, side="right") - 1, 0, len(knots) - 2))
        way = knots[low + 1] - knots[low]
        share = 1.0 if way < 1e-9 else float(np.clip((place - knots[low]) / way, 0.0, 1.0))
        spread.append(rotation.slerp(turns[low], turns[low + 1], share))
    return spread


def _local_rotations(body: Body, driven: dict[int, np.ndarray], aligned: dict[int, np.ndarray],
                     frames: int) -> np.ndarray:
    """Return the rotations in the parents' frames that give the driven bones their world turn, (T, J, 4)."""
    skeleton, rest = body.skeleton, body.pose[1]
    local = np.repeat(skeleton.rest_rotations[:, None], frames, axis=1)
    world: dict[int, np.ndarray] = {-1: rotation.IDENTITY}
    for j, parent in enumerate(skeleton.parents):
        if j in driven:
            base = rotation.multiply(aligned[j], rest[j]) if j in aligned else rest[j]
            world[j] = rotation.multiply(driven[j], base)
            local[j] = rotation.continuous(rotation.multiply(rotation.inverse(world[parent]), world[j]))
        else:
            world[j] = rotation.multiply(world[parent], skeleton.rest_rotations[j])
    return np.ascontiguousarray(np.swapaxes(local, 0, 1))


def _root_path(path: np.ndarray, ours: Body, theirs: Body, facing: np.ndarray, options: Options) -> np.ndarray:
    """Scale the hips' path about the floor and turn it to the target's facing. (T, 3) m → (T, 3) m."""
    if options.root == "off":
        return np.tile(rest_pose(theirs.skeleton)[0][theirs.hips], (len(path), 1))
    root = rotation.rotate(facing, path * scale_between(ours, theirs))
    height = np.outer(root @ theirs.up, theirs.up)
    level = root - height
    stride = 0.0 if options.root == "in place" else options.stride
    return root if stride == 1.0 else height + level[0] + stride * (level - level[0])


def _confidence(motion: Motion, ours: Body, theirs: Body) -> np.ndarray | None:
    """Give each bone the confidence of the joint that drives it or the bones it hangs on, (T, J)."""
    if motion.confidence is None:
        return None
    driver = dict(zip(theirs.joints, ours.joints, strict=True))
    carried = np.empty((len(motion), len(theirs.skeleton)))
    for j, parent in enumerate(theirs.skeleton.parents):
        if j in driver:
            carried[:, j] = motion.confidence[:, driver[j]]
        else:
            carried[:, j] = carried[:, parent] if parent >= 0 else motion.confidence[:, ours.hips]
    return carried


def _contacts(motion: Motion, ours: Body, theirs: Body) -> np.ndarray | None:
    """Give each bone the contact of its joint and of the unmapped joints that hang on it, (T, J)."""
    if motion.contacts is None:
        return None
    bone = dict(zip(ours.joints, theirs.joints, strict=True))
    carried = np.zeros((len(motion), len(theirs.skeleton)))
    for j in range(len(ours.skeleton)):
        mapped = j
        while mapped >= 0 and mapped not in bone:
            mapped = int(ours.skeleton.parents[mapped])
        if mapped >= 0:
            carried[:, bone[mapped]] = np.maximum(carried[:, bone[mapped]], motion.contacts[:, j])
    return carried
