"""Motions of persons from files of every kind, and the files that a character is written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from retarget.errors import RetargetError
from retarget.files import SUFFIXES, read_motion
from retarget.motion import Motion
from retarget.reference import best_frame
from retarget.rest import Body
from retarget.roles import find_roles
from retarget.whole import written_whole
from sfv_core.character import deepmimic
from sfv_core.character.build import PlanName, character_for, published
from sfv_core.character.character import Character
from sfv_core.character.describe import describe
from sfv_core.character.mjcf import mjcf
from sfv_core.character.picture import draw
from sfv_core.character.urdf import urdf
from sfv_core.errors import SfvError

FORMAT_VERSION = 1
FILES = ("character.urdf", "character.xml", "character.json", "character.png")
PUBLISHED = ("deepmimic", "atlas")


def read_person(path: Path) -> Motion:
    """Read a motion (.npz, .bvh, .amc, or a DeepMimic clip .txt) of a skeleton that stands at rest.

    Where the file's own rest pose is no body, the frame serves in which the body stands best. Raise SfvError that names
    the file.
    """
    if path.suffix.lower() == ".txt":
        return deepmimic.load_clip(path)
    if path.suffix.lower() not in SUFFIXES:
        raise SfvError(f"'{path}' is no motion that can be read. Give a {', '.join((*SUFFIXES, '.txt'))} file; "
                       "of a rig in Blender, export its armature as BVH.")
    try:
        motion = read_motion(path)
        roles = find_roles(motion.skeleton).joints
        rest = Body(motion.skeleton, tuple(roles.values()), roles, roles.get("Hips", motion.skeleton.root))
        return motion if not roles or rest.stands else motion.with_rest(best_frame(motion, roles))
    except RetargetError as error:
        text = str(error)
        raise SfvError(text if str(path) in text else f"'{path}': {text}") from error


def character_of(source: Path, plan: PlanName, mass: float | None) -> Character:
    """Return the character for a motion file, or a published one by its name. Raise SfvError that names the file."""
    if str(source) in PUBLISHED and not source.exists():
        if plan not in ("person", str(source)):
            raise SfvError(f"'{source}' is a plan of its own; leave --plan {plan} out, or give a motion.")
        return published("atlas" if str(source) == "atlas" else "deepmimic", mass)
    motion = read_person(source)
    try:
        return character_for(motion.skeleton, plan, mass)
    except SfvError as error:
        raise SfvError(f"'{source}': {error}") from error


def write(character: Character, folder: Path) -> dict[str, Any]:
    """Write a character's files into a folder, each whole or not at all; return what it is in numbers."""
    numbers = describe(character)
    data = {"format": FORMAT_VERSION, "mass_kg": numbers["mass_kg"], "height_m": numbers["height_m"],
            **character.to_dict()}
    texts = (urdf(character), mjcf(character), json.dumps(data, indent=1))
    for name, text in zip(FILES, texts, strict=False):
        with written_whole(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    draw(character, folder / FILES[-1])
    return numbers
