"""Which landmark stands where in other programs' keypoints, under this project's names."""

from __future__ import annotations

from ...errors import SfvError


def _sides(*parts: str, first: str = "left") -> tuple[str, ...]:
    """Return each part's two names, the `first` side before the other."""
    second = "right" if first == "left" else "left"
    return tuple(f"{side}_{part}" for part in parts for side in (first, second))


def _limb(side: str, *parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts)


_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
COCO_17 = ("nose", *_sides("eye", "ear", *_ARM, *_LEG))
COCO_18 = ("nose", "neck", *_limb("right", *_ARM), *_limb("left", *_ARM), *_limb("right", *_LEG),
           *_limb("left", *_LEG), *_sides("eye", "ear", first="right"))
BODY_25 = ("nose", "neck", *_limb("right", *_ARM), *_limb("left", *_ARM), "mid_hip", *_limb("right", *_LEG),
           *_limb("left", *_LEG), *_sides("eye", "ear", first="right"),
           *_limb("left", "foot_index", "small_toe", "heel"), *_limb("right", "foot_index", "small_toe", "heel"))
HALPE_26 = (*COCO_17, "head_top", "neck", "mid_hip", *_sides("foot_index", "small_toe", "heel"))
WHOLE_BODY_23 = (*COCO_17, *_limb("left", "foot_index", "small_toe", "heel"),
                 *_limb("right", "foot_index", "small_toe", "heel"))
H36M_17 = ("mid_hip", *_limb("right", *_LEG), *_limb("left", *_LEG), "spine", "thorax", "nose", "head_top",
           *_limb("left", *_ARM), *_limb("right", *_ARM))

FLAT: dict[int, tuple[str, tuple[str, ...]]] = {
    17: ("COCO-17", COCO_17), 18: ("COCO-18", COCO_18), 23: ("COCO with feet", WHOLE_BODY_23),
    25: ("BODY_25", BODY_25), 26: ("Halpe-26", HALPE_26), 133: ("COCO-WholeBody", WHOLE_BODY_23),
    135: ("OpenPose-135", BODY_25), 136: ("Halpe-136", HALPE_26),
}
"""Number of points in 2D → name of the layout and its first landmarks; points beyond them (face, hands) are unused."""


def flat_layout(points: int) -> tuple[str, tuple[str, ...]]:
    """Return the name and landmarks of the 2D layout with so many points; raise SfvError where there is none."""
    if points not in FLAT:
        known = ", ".join(f"{count} ({name})" for count, (name, _) in FLAT.items())
        raise SfvError(f"it has {points} points a person; known are {known}")
    return FLAT[points]
