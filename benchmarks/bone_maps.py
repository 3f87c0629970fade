"""Measure the automatic bone map: which joints of which rigs it finds without help, and whether any is on a wrong side.

    python -m benchmarks.bone_maps [--json]

Rigs: files and Blender's own (Rigify's human and basic human: metarig, generated rig with its controls, and the deform
bones alone), loaded in Blender; motion capture skeletons; 24 families known by their names (bone_names.json) and more
(bone_maps.json), as trees whose bones all lie at one point. Right is the bone that bone_maps.json names for a role;
a bone of spine or neck is right where it is in that chain. The figure is over all joints that exist, with equal weight.

`auto_map_by_shape` is the same with every bone renamed to Node_N, for skeletons that have places: what is found where
names say nothing. Generated rigs are left out of it: among 706 bones without names nobody can tell which are controls.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import Figure, main
from benchmarks.rig_families import Truth, body_of, families, rig_truths
from retarget import Motion, Skeleton, amc, bvh
from retarget.roles import find_roles
from sfv_core.bake import blender_command

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
METARIGS = ("human", "basic_human")
_ASIDE = ("Root", "Jaw", "LeftEye", "RightEye")
"""Roles of bone_names.json that no motion drives."""


@dataclass(frozen=True)
class Score:
    """How one rig was understood, in joints."""

    rig: str
    there: int
    right: int
    missing: int
    wrong_side: int


def measure(options: argparse.Namespace) -> list[Figure]:
    """Look at every rig by name and by shape."""
    truths = rig_truths()
    rigs = {name: skeleton for name, skeleton in _skeletons().items() if name in truths}
    named = [score(name, skeleton, truths[name]) for name, skeleton in rigs.items()]
    named += [score(name, body_of(truth, sized=False), truth) for name, truth in _known_by_name().items()]
    named += [score(name, body_of(truth, entry, sized=False), truth) for name, (truth, entry) in families().items()]
    shaped = [score(f"{name} by shape", silent(skeleton), truths[name], skeleton.names)
              for name, skeleton in rigs.items() if not name.endswith("_generated")]
    if not options.json:
        print(_table([*named, *shaped]) + "\n")
    return [Figure("auto_map_accuracy", _share(named), "of joints", goal=0.98),
            Figure("auto_map_wrong_side", float(sum(s.wrong_side for s in named)), "joints", goal=0.0),
            Figure("auto_map_by_shape", _share(shaped), "of joints"),
            Figure("auto_map_by_shape_wrong_side", float(sum(s.wrong_side for s in shaped)), "joints", goal=0.0),
            Figure("auto_map_joints", float(sum(s.there for s in named)), "joints")]


def score(rig: str, skeleton: Skeleton, truth: Truth, names: tuple[str, ...] | None = None) -> Score:
    """Compare the roles found with the truth. names: the bones' true names where the skeleton's say nothing."""
    roles, names = find_roles(skeleton), names or skeleton.names
    found = {role: names[j] for role, j in roles.joints.items()}
    right = sum(found.get(role) == bone for role, bone in truth.joints.items())
    missing = sum(role not in found for role in truth.joints)
    for bones, chain in ((truth.spine, roles.spine), (truth.neck, roles.neck)):
        there = {names[j] for j in chain}
        right += len(there & set(bones))
        missing += len(set(bones) - there)
    sides = {bone: role[:4] for role, bone in truth.joints.items() if role.startswith(("Left", "Right"))}
    wrong = sum(role[:4] != sides.get(bone, role[:4]) for role, bone in found.items()
                if role.startswith(("Left", "Right")))
    return Score(rig, len(truth.joints) + len(truth.spine) + len(truth.neck), right, missing, wrong)


def silent(skeleton: Skeleton) -> Skeleton:
    """Return the skeleton with names that say nothing."""
    return replace(skeleton, names=tuple(f"Node_{j}" for j in range(len(skeleton))))


def _skeletons() -> dict[str, Skeleton]:
    """Load every rig and clip."""
    files = [path for path in sorted((SHARED / "rigs").iterdir()) if path.suffix in (".glb", ".fbx")
             and not path.stem.startswith("unsupported")]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).with_name("rig_skeletons.py")
        subprocess.run([*blender_command(script), folder, *map(str, files), *METARIGS], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600)
        found = {path.stem: Motion.load(path).skeleton for path in sorted(Path(folder).glob("*.npz"))}
    found |= {path.stem: bvh.load(path).skeleton for path in sorted((SHARED / "clips").rglob("*.bvh"))}
    return found | {"02_01": amc.load(SHARED / "mocap_cmu" / "02_01.amc").skeleton}


def _known_by_name() -> dict[str, Truth]:
    """Return the families of bone_names.json."""
    rigs = json.loads((SHARED / "rigs" / "bone_names.json").read_text("utf-8"))["rigs"]
    truths = {}
    for name, rig in rigs.items():
        joints = {role: bone for role, bone in rig["joints"].items() if role not in _ASIDE}
        spine = tuple(joints.pop(role) for role in ("Spine", "Chest", "UpperChest") if role in joints)
        neck = (joints.pop("Neck"),) if "Neck" in joints else ()
        truths[name] = Truth(joints, spine, neck, {})
    return truths


def _share(scores: list[Score]) -> float:
    return sum(s.right for s in scores) / max(sum(s.there for s in scores), 1)


def _table(scores: list[Score]) -> str:
    """Lay the rigs out for people."""
    rows = [("rig", "joints", "right", "missing", "wrong side")]
    rows += [(s.rig, str(s.there), str(s.right), str(s.missing), str(s.wrong_side)) for s in scores]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    main(measure, "Measure the automatic bone map.")
