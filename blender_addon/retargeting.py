"""What the panel's choices make of a motion: the options of a transfer, and the transfer itself."""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from retarget import Motion, RetargetError
from retarget.solve import Options

from . import maps, sources
from .bake import BakeOptions, scene_fps
from .errors import AddonError
from .transfer import Choices, Performance, Transfer, perform, transfer


def choices(scene: bpy.types.Scene, motion: Motion, target: bpy.types.Object) -> Choices:
    """Read the panel. Raise AddonError, RetargetError."""
    held = scene.sfv.retarget
    reduce = (held.reduce_deg if held.use_reduce else 0.0, held.reduce_mm)
    part = (held.range_start, held.range_end) if held.use_range else (None, None)
    solver = Options(stride=held.stride, root=held.root.replace("_", " "), feet=held.feet, hands=held.hands,
                     reference_frame=held.reference_frame if held.use_reference else None)
    bake = BakeOptions(scene.sfv.first_frame, frames=part, fps=scene_fps(scene), every_frame=held.every_frame,
                       reduce_deg=reduce[0], reduce_mm=reduce[1], nla=held.nla)
    return Choices(solver, bake, maps.stored(scene, motion.skeleton, target), held.limbs)


def bake_source(scene: bpy.types.Scene, source: sources.Source, target: bpy.types.Object) -> Transfer:
    """Bake a source onto an armature as a new Action. Raise AddonError, RetargetError."""
    motion = source.read()
    return transfer(target, motion, source.name, choices(scene, motion, target))


def perform_chosen(scene: bpy.types.Scene) -> Performance:
    """Retarget what the panel shows, in memory. Raise AddonError, RetargetError."""
    target, motion = maps.chosen_target(scene), sources.chosen(scene).read()
    return perform(target, motion, choices(scene, motion, target))


def bake_files(scene: bpy.types.Scene, targets: list[str]) -> Iterator[tuple[int, int, str]]:
    """Bake every file of the list onto every armature, one at each step.

    targets: names of the armatures. Yield (done, total, what is wrong with this one or "") after each.
    """
    listed = sources.files(scene)
    pairs = [(target, source) for target in targets for source in listed]
    for done, (name, source) in enumerate(pairs, start=1):
        problem = ""
        try:
            bake_source(scene, source, bpy.data.objects[name])
        except (AddonError, RetargetError) as error:
            problem = f"{source.name} onto {name}: {error}"
        yield done, len(pairs), problem


def describe(made: Transfer) -> str:
    """Return one line on what was baked."""
    first, last = made.action.frame_range
    text = f"{made.action.name}: {len(made.bone_map.pairs)} bones, frames {first:.0f} to {last:.0f}"
    baked = made.baked
    if baked.keys == baked.all_keys:
        return text
    counts = f"{baked.all_keys:,} → {baked.keys:,} keys".replace(",", " ")
    return f"{text}, {counts}, at most {baked.error_deg:.2f}° off"
