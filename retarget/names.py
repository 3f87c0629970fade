"""What a joint's name says: a side, words, digits; and how well the words fit a role in a naming scheme (presets/)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PRESETS = ("smpl", "mixamo", "rigify", "unreal", "acclaim", "biped", "daz", "character_creator", "makehuman",
           "auto_rig", "second_life", "advanced_skeleton", "optitrack", "xsens", "mmd", "general")
"""Naming schemes in presets/, in the order in which they win a tie."""

_PREFIXES = re.compile(r"^(.*[:|])?(mixamorig\d*_?|DEF-|ORG-|CC_Base_|RL_|(ValveBiped\.)?Bip0*\d*[ _]+"
                       r"|J_(Bip|Adj|Sec)_(C_)?|b_|[mf]_avg_|Character\d+_|(Armature|Skeleton|Rig)_)?")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_INITIAL = re.compile(r"^[LR](?=[A-Z]{1,2}[a-z])")
"""The side before a name whose next word is an abbreviation, as LUArm."""
_COUNTED = re.compile(r"_\d+$|^_rootJoint$")
"""The number that some exporters append to every name."""
_SIDES = {"Left": ("left", "l", "lft", "lf", "lt", "左"), "Right": ("right", "r", "rgt", "rt", "右")}
_SIDE_WORDS = {word: side for side, words in _SIDES.items() for word in words}
_SIDE_OF_GLUED = {"left": "Left", "right": "Right", "l": "Left", "r": "Right", "左": "Left", "右": "Right"}
_GLUED_SIDE = re.compile(r"^(left|right)(?=\w{3})|(?<=\w{3})(left|(?<!up)(?<!b)right)$|^[左右](?=.)"
                         r"|^[lr](?=(clavicle|humerus|radius|wrist|hand|fingers|thumb|femur|tibia|foot|toes)$)")
_MIDDLE = ("m", "c", "x", "mid", "center")
"""Words beside others that say only that a joint lies in the middle."""
_NOISE = ("fk", "jnt", "joint", "jt", "bone", "bn", "bind", "bnd", "skin", "def", "ctrl", "control", "sk", "rig",
          "grp", "finger", "fingers", "base", "cn", "ct", "ctr", "center", "mid", "deform", "skel", "f", "b", "s",
          "d", "j", "of", "the", "c", "m")
"""Words that may stand beside a bone's own without changing which it is."""
_FIRST = ("upper", "up", "lower", "low", "lo", "fore", "front", "hind", "back", "rear")
"""Words that may follow the word that they qualify: arm_upper is an upper arm."""
_FINGER_WORDS = {"thumb": "Thumb", "index": "Index", "fore": "Index", "point": "Index", "pointer": "Index",
                 "middle": "Middle", "mid": "Middle", "ring": "Ring", "third": "Ring", "little": "Little",
                 "pinky": "Little", "pinkie": "Little", "pink": "Little", "small": "Little",
                 "親指": "Thumb", "人指": "Index", "人差指": "Index", "人差し指": "Index", "中指": "Middle",
                 "薬指": "Ring", "小指": "Little"}
_TWIST = ("twist", "roll", "twst", "twistbone", "捩", "捩れ", "ツイスト")


@dataclass(frozen=True)
class Name:
    """A joint's name, read."""

    side: str | None
    """"Left", "Right", or None where the name tells none or both."""
    words: tuple[str, ...]
    """Its words in lower case, without side and digits."""
    digits: str = ""
    """Its digits, joined."""

    @property
    def base(self) -> str:
        """Its words, joined."""
        return "".join(self.words)

    @property
    def foreign(self) -> bool:
        """Whether it says that the joint is no part of trunk, limb or finger."""
        return any(word in _words("foreign") for word in self.words)

    @property
    def twist(self) -> bool:
        """Whether it names a bone that shares a limb's twist."""
        return any(word.endswith(_TWIST) for word in self.words)

    @property
    def tip(self) -> bool:
        """Whether it names the end of another bone, or a control."""
        return any(word in ("end", "tip", "nub", "ik", "roll", "effector", "site") for word in self.words)

    @property
    def finger(self) -> str | None:
        """The finger that it names, None where it names none, or a bone of the palm, or a tip."""
        if any(word in _words("no_finger") for word in self.words) and "proximal" not in self.words:
            return "Thumb" if self.words[:1] == ("thumb",) and self.words[-1:] == ("metacarpal",) else None
        named = [_FINGER_WORDS[word] for word in self.words if word in _FINGER_WORDS]
        if len(self.words) == 1 and not named:  # glued, as handindex
            named = [finger for word, finger in _FINGER_WORDS.items() if len(word) > 3
                     and self.base in (f"hand{word}", f"{word}finger", f"finger{word}", f"f{word}")]
        return named[0] if named else None

    @property
    def forms(self) -> tuple[str, ...]:
        """How it may be spelt in a scheme."""
        return (self.base, self.base + self.digits)

    @property
    def loose_forms(self) -> tuple[str, ...]:
        """Spell the name without words that add nothing, with the qualifying word first."""
        bare = [word for word in self.words if word not in _NOISE] or list(self.words)
        ordered = "".join(sorted(bare, key=lambda word: word not in _FIRST))
        return ("".join(bare), "".join(bare) + self.digits, ordered, ordered + self.digits)


def read_name(name: str) -> Name:
    """Split a joint's name into side, words and digits."""
    name = unicodedata.normalize("NFKC", name)
    bare = _PREFIXES.sub("", name).removesuffix(".x") or name
    initial = _INITIAL.match(bare)
    if initial:
        bare = f"{initial.group()}_{bare[1:]}"
    words = [word.lower() for word in _WORDS.findall(bare)]
    sides = [_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS]
    kept = [word for word in words if not word.isdigit() and word not in _SIDE_WORDS]
    if not sides:
        sides, kept = _glued_side(kept)
    if len(kept) > 1 and kept[-1] in _MIDDLE[:3]:
        kept = kept[:-1]
    if len(kept) > 1 and kept[0] in _MIDDLE[:2]:
        kept = kept[1:]
    side = sides[0] if len(set(sides)) == 1 else None
    return Name(side, tuple(kept), "".join(word for word in words if word.isdigit()))


def _glued_side(words: list[str]) -> tuple[list[str], list[str]]:
    """Find a side that is written without a break before or after the words."""
    glued = _GLUED_SIDE.search("".join(words))
    if not glued:
        return [], words
    kept = [re.sub(f"^{glued.group()}|{glued.group()}$", "", word, count=1) for word in words]
    return [_SIDE_OF_GLUED[glued.group()]], [word for word in kept if word]


def parse_name(name: str) -> tuple[str | None, str, str]:
    """Split a joint's name into side ("Left", "Right" or None), its words joined in lower case, and its digits."""
    read = read_name(name)
    return read.side, read.base, read.digits


def without_common_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Drop a running number that all names end with, and the prefix that most share, as Character1_ or Bip001."""
    counts = [match.group() for name in names if (match := _COUNTED.search(name))]
    if len(counts) == len(set(counts)) == len(names):
        names = [_COUNTED.sub("", name) for name in names]
    bare = list(names)
    for _ in range(3):
        firsts = Counter(match.group() for name in bare if (match := re.match(r"^[A-Za-z]\w*?\d*[:_|.\- ](?=.)", name)))
        prefix, count = firsts.most_common(1)[0] if firsts else ("", 0)
        if count < 0.6 * len(bare) or count < 5 or read_name(prefix).side:
            break
        bare = [name.removeprefix(prefix) for name in bare]
    return tuple(bare)


@cache
def preset(name: str) -> dict[str, dict[str, int]]:
    """Read the words of a naming scheme: role without side → word → its rank, 0 for the first choice."""
    roles = json.loads((Path(__file__).parent / "presets" / f"{name}.json").read_text("utf-8"))["roles"]
    return {role: {word: rank for rank, word in enumerate(words)} for role, words in roles.items()}


@cache
def _words(kind: str) -> frozenset[str]:
    """Read the words of one kind from presets/words.json."""
    lists = json.loads((Path(__file__).parent / "presets" / "words.json").read_text("utf-8"))
    return frozenset(word.lower() for word in lists[kind])
