"""Which joint of one skeleton drives which bone of another: guessed by name, checked, saved as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import RetargetError
from .motion import Skeleton
from .roles import FINGERS, LIMBS, SIDES, SPINE, Roles, find_roles
from .whole import written_whole

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Pair:
    """One source joint that drives one target bone."""

    source: str
    """Joint of the source skeleton."""
    target: str
    """Bone of the target skeleton."""
    role: str = ""
    """Canonical role, as Hips, Spine, LeftUpperArm; empty: rotation only, without treatment as limb or trunk."""
    confidence: float = 1.0
    """How sure the guess is, 0 to 1; 1 where a user chose."""


@dataclass(frozen=True)
class BoneMap:
    """The pairs that a retarget follows."""

    pairs: tuple[Pair, ...]
    """One pair for each target bone that moves."""
    notes: tuple[str, ...] = ()
    """What was not mapped, and why."""

    def target_of(self, source: str) -> str | None:
        """Return the bone that a source joint drives, None if none."""
        return next((pair.target for pair in self.pairs if pair.source == source), None)

    def check(self, source: Skeleton, target: Skeleton) -> None:
        """Raise RetargetError where the map names what the skeletons do not have, or a bone twice."""
        for side, skeleton in (("source", source), ("target", target)):
            used = [getattr(pair, side) for pair in self.pairs]
            missing = [name for name in used if name not in skeleton.names]
            if missing:
                raise RetargetError(f"The bone map names {side} bones that are not there: {', '.join(missing)}. "
                                    f"There are: {', '.join(skeleton.names)}.")
        twice = sorted({pair.target for pair in self.pairs
                        if sum(other.target == pair.target for other in self.pairs) > 1})
        if twice:
            raise RetargetError(f"The bone map drives these bones more than once: {', '.join(twice)}. "
                                "Keep one pair for each target bone.")
        if not self.pairs:
            reason = " ".join(self.notes) or "It has no pairs."
            raise RetargetError(f"The bone map is empty. {reason} Pair the bones by hand. "
                                f"Target bones: {', '.join(target.names)}.")

    def save(self, path: Path | str) -> None:
        """Write JSON, whole or not at all."""
        content = {"format": "bone map", "version": FORMAT_VERSION, "pairs": [asdict(pair) for pair in self.pairs],
                   "notes": list(self.notes)}
        with written_whole(Path(path)) as temporary:
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, path: Path | str) -> BoneMap:
        """Read a map that `save` wrote. Raise RetargetError that names the file."""
        path = Path(path)
        if not path.is_file():
            raise RetargetError(f"No bone map '{path}'. Give the JSON file that a bone map was saved to.")
        try:
            content = json.loads(path.read_text("utf-8"))
            version = content["version"]
            if version != FORMAT_VERSION:
                raise RetargetError(f"'{path}' has bone map format {version}; this version reads {FORMAT_VERSION}. "
                                    "Update the program that reads it.")
            pairs = tuple(Pair(_text(pair["source"]), _text(pair["target"]), _text(pair.get("role", "")),
                               float(pair.get("confidence", 1.0))) for pair in content["pairs"])
            return cls(pairs, tuple(_text(note) for note in content.get("notes", ())))
        except RecursionError as error:
            raise RetargetError(f"'{path}' is not a bone map: it is nested too deep.") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise RetargetError(f"'{path}' is not a bone map: {reason}. Give the JSON file that a bone map was saved "
                                "to.") from error


def guess(source: Skeleton, target: Skeleton) -> BoneMap:
    """Pair the joints that play the same part, by names first and then by place; never across sides."""
    here, there = find_roles(source), find_roles(target)
    certainty = min(here.certainty, there.certainty)
    pairs: list[Pair] = []
    notes = [f"Source: {note}" for note in here.notes] + [f"Target: {note}" for note in there.notes]

    def add(role: str, joint: int, bone: int, confidence: float) -> None:
        pairs.append(Pair(source.names[joint], target.names[bone], role, round(confidence, 3)))

    if "Hips" in here.joints and "Hips" in there.joints:
        add("Hips", here.joints["Hips"], there.joints["Hips"], certainty)
    for roles, ours, theirs in ((SPINE, here.spine, there.spine), (("Neck",), here.neck, there.neck)):
        places = _along(len(ours), len(theirs))
        even = 1.0 if len(ours) == len(theirs) else 0.8
        for i, (a, b) in enumerate(places):
            add(_chain_role(roles, i, len(places)), ours[a], theirs[b], certainty * even)
        if len(ours) != len(theirs) and here.joints and there.joints:
            notes.append(f"{len(ours)} {roles[0].lower()} joints of the source drive {len(theirs)} of the target"
                         + (", spread by length." if ours and theirs else "."))
    for role in ("Head", *(side + limb for side in SIDES for limb in LIMBS), *_finger_roles(here, there)):
        if role in here.joints and role in there.joints:
            add(role, here.joints[role], there.joints[role], certainty)
    return BoneMap(tuple(pairs), tuple(notes + _missing(source, target, here, there)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _along(count: int, other: int) -> list[tuple[int, int]]:
    """Pair two chains by order, one to one, ends with ends; a single joint goes with the upper end."""
    shorter = min(count, other)
    if shorter < 2:
        return [(count - 1, other - 1)] * shorter
    return [(round(i * (count - 1) / (shorter - 1)), round(i * (other - 1) / (shorter - 1))) for i in range(shorter)]


def _chain_role(roles: tuple[str, ...], place: int, count: int) -> str:
    """Name a place in a chain: the first, the last, and all between by the middle role."""
    if place == 0 or len(roles) == 1:
        return roles[0]
    return roles[2] if place == count - 1 and count > 2 else roles[1]


def _finger_roles(here: Roles, there: Roles) -> list[str]:
    """Return the finger joints that both skeletons have."""
    roles = [f"{side}{finger}{i}" for side in SIDES for finger in FINGERS for i in (1, 2, 3)]
    return [role for role in roles if role in here.joints and role in there.joints]


def _missing(source: Skeleton, target: Skeleton, here: Roles, there: Roles) -> list[str]:
    """Say which parts of the body one skeleton has and the other has not."""
    for side, roles in (("source", here), ("target", there)):
        if not roles.joints:
            return [f"No bone name of the {side} says what the bone is."]
    notes = []
    for role in ("Hips", "Head", *(side + limb for side in SIDES for limb in LIMBS)):
        if role in here.joints and role not in there.joints:
            notes.append(f"'{source.names[here.joints[role]]}' drives nothing: no target bone was recognised as "
                         f"{role}.")
        elif role in there.joints and role not in here.joints:
            notes.append(f"'{target.names[there.joints[role]]}' stays at rest: no source joint was recognised as "
                         f"{role}.")
    return notes
