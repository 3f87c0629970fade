"""`sfv retarget`, `sfv map`, `sfv bake`: motions onto skeletons and rigs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .config import BakeConfig, RetargetConfig
from .errors import SfvError
from .inputs import existing_file
from .options import Parser, add_settings, from_here, made_for_output, output_file, output_folder, read_settings
from .terminal import Console

Report = dict[str, Any]


def retarget(options: argparse.Namespace, console: Console) -> Report:
    """Carry a motion (.npz, .bvh or .amc) over to another skeleton, bone by bone."""
    from retarget import bvh
    from retarget.files import read_motion
    from retarget.mapping import BoneMap, guess
    from retarget.reference import standing_skeleton
    from retarget.solve import Options
    from retarget.solve import retarget as solve

    from .bake import solver_options

    source = read_motion(existing_file(options.motion, "motion"))
    template = bvh.load(existing_file(options.target, "target"))
    target = standing_skeleton(template)
    out = output_file(options.out, ".bvh")
    bone_map = BoneMap.load(options.map) if options.map else guess(source.skeleton, target)
    choices = Options(**solver_options(read_settings(options, RetargetConfig)))
    with made_for_output(out.parent):
        made = solve(source, target, bone_map, choices)
        bvh.save(replace(made, skeleton=replace(template.skeleton, root=made.skeleton.root)), out,
                 bvh.unit_of(options.target))
    for note in [] if options.json else bone_map.notes:
        console.say(f"note: {note}")
    return {"frames": len(source), "pairs": len(bone_map.pairs), "notes": list(bone_map.notes), "files": [str(out)]}


def map_bones(options: argparse.Namespace, console: Console) -> Report:
    """Guess which joint of a motion drives which bone of a rig, to look at, edit and give to bake --map."""
    from retarget.mapping import BoneMap, Pair

    from .bake import guess_map

    motion, rig = existing_file(options.motion, "motion"), existing_file(options.rig, "rig")
    out = options.out and output_file(options.out, ".json")
    report = guess_map(motion, rig, console.progress, options.armature)
    if out:
        with made_for_output(out.parent):
            BoneMap(tuple(Pair(**pair) for pair in report["pairs"]), tuple(report["notes"])).save(out)
    if not options.json:
        for line in _map_table(report):
            console.say(line)
    return {**report, "files": [str(out)] if out else []}


def bake(options: argparse.Namespace, console: Console) -> Report:
    """Write motions (.npz, .bvh, .amc) onto rigs (.blend, .fbx, .glb, .bvh) as Actions, in Blender or in a Python
    with the bpy wheel (SFV_BLENDER). Without --rig the last file is the rig."""
    from .batch import lines

    motions, rigs = _motions_and_rigs(options)
    config = from_here(read_settings(options, BakeConfig))
    if config.map:
        existing_file(Path(config.map), "bone map")
    several = len(motions) > 1 or len(rigs) > 1
    report = (_bake_several if several else _bake_one)(options, motions, rigs, config, console)
    reports = report.get("rigs", [report])
    for name, text in report["failed"].items():
        console.error(f"{name}: {text}")
    for one in [] if options.json else reports:
        for line in lines(one):
            console.say(line)
    return {**report, "files": [one["out"] for one in reports]}


def _bake_one(options: argparse.Namespace, motions: list[Path], rigs: list[Path], config: BakeConfig,
              console: Console) -> Report:
    """Bake one motion onto one rig; what is wrong is raised."""
    from .bake import bake as run

    motion, rig = existing_file(motions[0], "motion"), existing_file(rigs[0], "rig")
    (out,) = _outputs(options, rigs)
    with made_for_output(out.parent):
        return run({options.action or motion.stem: motion}, rig, out, console.progress, config,
                   save_map=options.save_map and output_file(options.save_map, ".json"))


def _bake_several(options: argparse.Namespace, motions: list[Path], rigs: list[Path], config: BakeConfig,
                  console: Console) -> Report:
    """Bake all motions onto all rigs; what is wrong with one is reported."""
    from .batch import bake_all

    if options.action or options.save_map:
        raise SfvError("--action and --save-map are for one motion and one rig; here are several.")
    outs = _outputs(options, rigs)
    with made_for_output(outs[0].parent):
        return bake_all(motions, rigs, outs, config, console.progress)


def _motions_and_rigs(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Tell motions from rigs: without --rig the last file is the rig."""
    if options.rig:
        return options.motions, options.rig
    if len(options.motions) < 2:
        raise SfvError("Give a rig after the motions, or with --rig.")
    return options.motions[:-1], options.motions[-1:]


def _outputs(options: argparse.Namespace, rigs: list[Path]) -> list[Path]:
    """Return the file to write for each rig: the given one, or one of the rig's name in the given folder."""
    from .batch import named

    if len(rigs) == 1 and not options.out.is_dir() and options.out.suffix:
        return [output_file(options.out, ".blend", ".fbx", ".glb")]
    return [output_folder(options.out) / f"{name}.{options.format}" for name in named(rigs)]


def _map_table(report: Report) -> list[str]:
    """Lay a bone map out for people."""
    rows = [("joint", "bone", "role", "sure")]
    rows += [(pair["source"], pair["target"], pair["role"], f"{100 * pair['confidence']:.0f} %")
             for pair in report["pairs"]]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    said = ["  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows]
    said += [f"note: {note}" for note in report["notes"]]
    for what in ("joints", "bones"):
        if report[f"unmapped_{what}"]:
            said.append(f"unmapped {what}: {', '.join(report[f'unmapped_{what}'])}")
    return said


def add_rig_commands(command: Callable[..., Parser]) -> None:
    """Describe the three commands."""
    sub = command(retarget, "MOTION", "TARGET")
    sub.add_argument("-o", "--out", metavar="OUT.bvh", type=Path, required=True, help="BVH file to write")
    sub.add_argument("--map", metavar="MAP.json", type=Path, help="bone map; guessed if not given")
    add_settings(sub, RetargetConfig)
    sub = command(map_bones, "MOTION", "RIG", name="map")
    sub.add_argument("-o", "--out", metavar="MAP.json", type=Path, help="bone map to write; only shown if not given")
    sub.add_argument("--armature", metavar="NAME", help="which armature, if the rig file has several")
    sub = command(bake)
    sub.add_argument("motions", metavar="MOTION", type=Path, nargs="+",
                     help="motion files; without --rig the last one is the rig")
    sub.add_argument("--rig", metavar="RIG", type=Path, nargs="+", default=[], help="rig files")
    sub.add_argument("-o", "--out", metavar="OUT", type=Path, required=True,
                     help="file to write (.blend, .fbx or .glb), or a folder: a file for each rig in it")
    sub.add_argument("--format", choices=("blend", "fbx", "glb"), default="blend",
                     help="kind of the files in a folder (default: blend)")
    sub.add_argument("--action", metavar="NAME", help="name of the Action; the motion's file name if not given")
    sub.add_argument("--save-map", metavar="MAP.json", type=Path, help="where to write the bone map that was used")
    add_settings(sub, BakeConfig)
