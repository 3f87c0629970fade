"""Motion on one skeleton → the same motion on another: rest-pose-compensated transfer of world rotations.

    source in the world → turns since rest → chains spread, limbs aligned → feet, hands and twist → local rotations

How far each source joint has turned in the world since its rest pose, which does not depend on how its axes lie, is
applied to the target's rest pose. Limbs that rest in another direction, as in an A-pose against a T-pose, are first
brought to the source's; spines of different length share the turn by arc length; the hips' path is scaled about the
floor by the ratio of hip heights; feet go where the source's are at the target's size (feet.py).

The floor is z = 0, before and after, wherever a skeleton rests: BVH files and glTF rigs rest with their hips at the
origin or below the floor that they walk on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from . import rotation
from .alignment import alignments
from .chains import Turns, chain_joints, is_twist, share_twist, spread_neck, spread_spine
from .errors import RetargetError
from .feet import Feet
from .hands import Hands
from .kinematics import rest_pose, world_turns
from .mapping import BoneMap
from .motion import Motion, Skeleton
from .posing import Posing
from .reference import standing
from .rest import Body, facing_between
from .size import Size, size_between


@dataclass(frozen=True)
class Options:
    """Choices of a retarget."""

    stride: float = 1.0
    """Way of the target's hips over the ground, as a share of what its size gives: 1 keeps the steps' proportions."""
    root: Literal["travel", "in place", "off"] = "travel"
    """Whether the hips travel, keep their place over the ground, or keep their rest place altogether."""
    feet: Literal["follow", "lock", "off"] = "follow"
    """Feet go where the source's are, bending the legs; or are also held absolutely still while they touch the ground;
    or are left where the legs' turns put them."""
    hands: Literal["off", "body", "floor"] = "off"
    """Bring the hands to where the source's are, bending the arms: seen from the shoulders, or on the floor."""
    reference_frame: int | None = None
    """Frame of the source to take as its rest pose; None: its rest pose, or the best frame if that is no body."""


def retarget(motion: Motion, target: Skeleton, bone_map: BoneMap, options: Options | None = None) -> Motion:
    """Return the motion on the target; its skeleton's root becomes the bone that the source's hips drive.

    Bones without a pair keep their rest pose in their parent's frame. Raise RetargetError where the map does not fit.
    """
    options = options or Options()
    _check(options)
    bone_map.check(motion.skeleton, target)
    ours, theirs = bodies_of(motion.skeleton, target, bone_map)
    motion = standing(motion, ours, theirs, options.reference_frame)
    ours = ours if ours.skeleton is motion.skeleton else replace(ours, skeleton=motion.skeleton)
    facing = facing_between(ours, theirs)
    source = Posing(motion.skeleton, motion.skeleton.root, motion.root_pos,
                    world_turns(motion, {*ours.joints, *chain_joints(ours)}))
    size = size_between(ours, theirs, source, options.stride)
    posing = Posing(target, theirs.hips, np.zeros((len(motion), 3)), _driven(ours, theirs, source, facing, bone_map))
    posing.move_root(_path(ours, theirs, source, posing, size))
    _plant(motion, source, posing, (ours, theirs), size, options)
    share_twist(theirs, posing)
    rotations = posing.local(len(motion))
    return replace(motion, skeleton=replace(target, root=theirs.hips), root_pos=_rooted(posing, theirs, options),
                   rotations=rotations, confidence=_confidence(motion, ours, theirs),
                   contacts=_contacts(motion, ours, theirs))


def bodies_of(source: Skeleton, target: Skeleton, bone_map: BoneMap) -> tuple[Body, Body]:
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


def _check(options: Options) -> None:
    """Raise RetargetError where a choice makes no sense."""
    if not np.isfinite(options.stride) or options.stride < 0:
        raise RetargetError(f"The stride must be a number from 0 on; it is {options.stride}. 1 keeps the steps as "
                            "they are.")


def _driven(ours: Body, theirs: Body, source: Posing, facing: np.ndarray, bone_map: BoneMap) -> Turns:
    """Return the world rotations that the map gives the target's bones, by bone, before feet and hands."""
    aligned = alignments(ours, theirs, facing)
    chain = chain_joints(ours)
    since_rest = dict(zip(chain, _carried(ours, source, facing, chain, np.tile(rotation.IDENTITY, (len(chain), 1))),
                          strict=True))
    rest = theirs.pose[1]
    driven = {bone: turn @ rotation.right_matrix(rest[bone]) for spread in (spread_spine, spread_neck)
              for bone, turn in spread(ours, theirs, since_rest).items()}
    parts, own = _limbs(ours), _limbs(theirs)
    left = [(joint, bone) for pair, joint, bone in zip(bone_map.pairs, ours.joints, theirs.joints, strict=True)
            if bone not in driven and not (is_twist(pair.role) and joint in parts)]
    joints, bones = [joint for joint, _ in left], [bone for _, bone in left]
    bases = np.array([_alignment_of(theirs, aligned, own, bone) for bone in bones]).reshape(-1, 4)
    bases = rotation.multiply(bases, rest[bones])
    return driven | dict(zip(bones, _carried(ours, source, facing, joints, bases), strict=True))


def _carried(body: Body, source: Posing, facing: np.ndarray, joints: Sequence[int], bases: np.ndarray) -> np.ndarray:
    """Return (facing · turn since rest · facing⁻¹ · base) of joints, (P, T, 4): one matrix for all that never changes.

    bases: (P, 4) wxyz.
    """
    rest = rotation.multiply(facing, body.pose[1][list(joints)])
    fixed = rotation.left_matrix(facing) @ rotation.right_matrix(rotation.multiply(rotation.inverse(rest), bases))
    return np.stack([source.turn(joint) for joint in joints]) @ fixed


def _path(ours: Body, theirs: Body, source: Posing, posing: Posing, size: Size) -> np.ndarray:
    """Return the hips' path on the target, (T, 3) m: over the ground that of the source's hips, at such a height that
    the legs begin as high as the source's."""
    path = size.of(source.place(ours.hips))
    begins = [np.mean([body.place(joint) for joint in joints], axis=0)
              for body, joints in ((source, ours.pelvis), (posing, theirs.pelvis))]
    path[:, 2] = size.of(begins[0])[:, 2] - (begins[1] @ theirs.axes)[:, 2]
    return path @ theirs.axes.T


def _limbs(body: Body) -> set[int]:
    """Return the joints of all roles but those of twist bones: a twist bone that one of them drives gets a share."""
    return {joint for role, joint in body.roles.items() if not is_twist(role)}


def _alignment_of(body: Body, aligned: dict[int, np.ndarray], parts: set[int], bone: int) -> np.ndarray:
    """Return the alignment of a bone: its own, or that of the part that carries a bone which is none itself."""
    while bone >= 0:
        if bone in aligned or bone in parts:
            return aligned.get(bone, rotation.IDENTITY)
        bone = int(body.skeleton.parents[bone])
    return rotation.IDENTITY


def _plant(motion: Motion, source: Posing, posing: Posing, bodies: tuple[Body, Body], size: Size, options: Options
           ) -> None:
    """Bring feet and hands where they belong."""
    known = None if motion.contacts is None else motion.contacts > 0.5
    if options.feet != "off":
        Feet(source, posing, bodies, size, motion.fps, options.feet == "lock").plant(known)
    if options.hands != "off":
        Hands(source, posing, bodies, size, options.hands).place()


def _rooted(posing: Posing, theirs: Body, options: Options) -> np.ndarray:
    """Return the hips' path as the options want it, (T, 3) m; the pose stays."""
    path = posing.root_pos
    if options.root == "off":
        return np.tile(rest_pose(theirs.skeleton)[0][theirs.hips], (len(path), 1))
    if options.root == "in place":
        height = np.outer(path @ theirs.up, theirs.up)
        return height + (path - height)[0]
    return path


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
