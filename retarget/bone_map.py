"""A bone map: which joint of one skeleton drives which bone of another; checked, edited by hand, saved as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .errors import RetargetError
from .mirror import mirrored_name
from .motion import Skeleton
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
    """Canonical role, as Hips, Spine, LeftUpperArm, LeftLowerArmTwist1; empty: rotation only, without treatment as
    limb or trunk."""
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
        """Return the bone that a source joint drives, None if none; a limb's own before its twist bones."""
        driven = [pair for pair in self.pairs if pair.source == source]
        return next((pair.target for pair in sorted(driven, key=lambda pair: "Twist" in pair.role)), None)

    def source_of(self, target: str) -> str | None:
        """Return the joint that drives a bone, None if none."""
        return next((pair.source for pair in self.pairs if pair.target == target), None)

    def role_of(self, target: str) -> str:
        """Return the role in which a bone is driven, empty if none."""
        return next((pair.role for pair in self.pairs if pair.target == target), "")

    def paired(self, source: str, target: str, role: str | None = None) -> BoneMap:
        """Return the map with this bone driven by this joint, as a user chose.

        role: if not given, the role that the bone has, else the one that the joint drives and no bone fills any more.
        A role is filled once: a bone that had it keeps its pair without a role.
        """
        if role is None:
            filled = {pair.role for pair in self.pairs if pair.target != target}
            free = [pair.role for pair in self.pairs if pair.source == source and pair.role not in filled]
            role = self.role_of(target) or next(iter(free), "")
        kept = [replace(pair, role="") if role and pair.role == role else pair
                for pair in self.pairs if pair.target != target]
        place = next((i for i, pair in enumerate(self.pairs) if pair.target == target), len(kept))
        return replace(self, pairs=(*kept[:place], Pair(source, target, role), *kept[place:]))

    def without(self, target: str) -> BoneMap:
        """Return the map with a bone left at rest."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.target != target))

    def set_mirrored(self, source: str, target: str, skeletons: tuple[Skeleton, Skeleton],
                     role: str | None = None) -> BoneMap:
        """Return the map with this pair and the same pair of the other side, where both have one.

        skeletons: source and target, whose counterparts are found by role first and by name second.
        """
        changed = self.paired(source, target, role)
        ours, theirs = (mirrored_name(name, skeleton.names, self._roles(side)) for name, skeleton, side in zip(
            (source, target), skeletons, ("source", "target"), strict=True))
        if ours is None or theirs is None or theirs == target:
            return changed
        return changed.paired(ours, theirs, _other_side(changed.role_of(target)) or None)

    def mirrored_name(self, name: str, skeleton: Skeleton, side: str = "target") -> str | None:
        """Return a bone's counterpart on the other side, by the map's roles first and by name second; None if none.

        side: "source" or "target", whichever the skeleton is.
        """
        return mirrored_name(name, skeleton.names, self._roles(side))

    def fitted(self, source: Skeleton, target: Skeleton) -> BoneMap:
        """Return the map for skeletons that lack some of its bones: without their pairs, with a note on them."""
        lost = {side: sorted({getattr(pair, side) for pair in self.pairs} - set(skeleton.names))
                for side, skeleton in (("source", source), ("target", target))}
        pairs = tuple(pair for pair in self.pairs if pair.source not in lost["source"]
                      and pair.target not in lost["target"])
        notes = [f"The map names {side} bones that are not there, and leaves them out: {', '.join(names)}."
                 for side, names in lost.items() if names]
        return BoneMap(pairs, (*self.notes, *notes))

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

    def _roles(self, side: str) -> dict[str, str]:
        """Return the bone of each role, of the source's or of the target's."""
        return {pair.role: getattr(pair, side) for pair in self.pairs if pair.role}


def _other_side(role: str) -> str:
    """Return the same role on the other side; a middle one is its own."""
    if role.startswith("Left"):
        return "Right" + role.removeprefix("Left")
    return "Left" + role.removeprefix("Right") if role.startswith("Right") else role


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
