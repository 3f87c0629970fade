"""Shapes of the stand-in body: tubes along an axis, with skin weights, put together to a clothed person.

Axes as in SMPL's files: x to the body's left, y up, z forward; metres, the soles at y = 0. Left limbs are written down
and mirrored. A row of a table is a station along the tube's axis: (place, two centres, two radii), the centres and
radii on the other two axes in the order x, y, z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from scipy.interpolate import PchipInterpolator

from retarget.motion import other_side
from sfv_core.body.model import SMPL_NAMES

MIRRORED = other_side(SMPL_NAMES).tolist()
"""Index of each joint's counterpart on the other side."""

_PLACES = {"pelvis": (0, .94, 0), "left_hip": (.085, .885, 0), "spine1": (0, 1.05, -.01), "left_knee": (.095, .475, 0),
           "spine2": (0, 1.17, 0), "left_ankle": (.095, .075, -.03), "spine3": (0, 1.235, .01),
           "left_foot": (.11, .02, .10), "neck": (0, 1.45, -.015), "left_collar": (.07, 1.39, -.01),
           "head": (0, 1.53, .02), "left_shoulder": (.175, 1.42, -.02), "left_elbow": (.44, 1.42, -.03),
           "left_wrist": (.69, 1.42, -.02), "left_hand": (.775, 1.416, -.018)}
JOINTS = np.array([_PLACES.get(name) or np.multiply(_PLACES["left" + name[5:]], (-1, 1, 1)) for name in SMPL_NAMES])
"""Joint positions in the T-pose in m, shape (24, 3)."""

MATERIALS = ("skin", "shirt", "trousers", "shoe", "hair", "iris", "lips", "eye_white", "sole")
SKIN, SHIRT, TROUSERS, SHOE, HAIR, IRIS, LIPS, EYE_WHITE, SOLE = range(len(MATERIALS))

Material = int | Callable[[np.ndarray], np.ndarray]
"""One material, or a function from face centres (F, 3) to materials (F,)."""


@dataclass(frozen=True)
class Part:
    """A piece of skin."""

    vertices: np.ndarray
    """Positions in m, shape (V, 3)."""
    centres: np.ndarray
    """Point on the tube's middle line that each vertex belongs to in m, shape (V, 3)."""
    weights: np.ndarray
    """Skin weights that sum to 1, shape (V, 24)."""
    faces: np.ndarray
    """Triangles with the outside anticlockwise, shape (F, 3)."""
    materials: np.ndarray
    """Index into MATERIALS, shape (F,)."""


def person() -> Part:
    """Return the whole clothed body, left and right alike."""
    left = [_arm(), _leg(), _shoe(), _buttock(), _ear(), *_eye(), *_fingers()]
    return reduce(_join, [_torso(), _neck(), _head(), *_hair(), *_face(), *left, *map(_mirror, left)])


def refine(part: Part, count: int) -> Part:
    """Halve the longest edges until there are exactly `count` vertices."""
    if len(part.vertices) > count:
        raise ValueError(f"The body has {len(part.vertices)} vertices already, more than {count}.")
    while len(part.vertices) < count:
        part = _halve(part, _longest_edges(part, count - len(part.vertices)))
    return part


def _tube(axis: int, stations: list[tuple[float, ...]], chain: tuple[str, ...], material: Material, rings: int,
          sides: int, squareness: float = 2.0, blend: float = 0.04) -> Part:
    """Return a closed tube along `axis` through the stations, smooth between them, skinned to a chain of joints.

    squareness: exponent of the superellipse of the cross-section, 2 for an ellipse.
    """
    table = np.array(sorted(stations))
    place = np.linspace(table[0, 0], table[-1, 0], rings)
    centre_a, centre_b, radius_a, radius_b = PchipInterpolator(table[:, 0], table[:, 1:])(place).T
    a, b = (k for k in range(3) if k != axis)
    middle = np.empty((rings, 3))
    middle[:, axis], middle[:, a], middle[:, b] = place, centre_a, centre_b
    turn = 2 * np.pi * np.arange(sides) / sides
    out = np.stack([np.cos(turn), np.sin(turn)])
    out = out / (np.abs(out) ** squareness).sum(axis=0) ** (1 / squareness)
    skin = np.repeat(middle[:, None], sides, axis=1)
    skin[:, :, a] += radius_a[:, None] * out[0]
    skin[:, :, b] += radius_b[:, None] * out[1]
    vertices = np.concatenate([skin.reshape(-1, 3), middle[[0, -1]]])
    centres = np.concatenate([np.repeat(middle, sides, axis=0), middle[[0, -1]]])
    faces = _outward(vertices, _tube_faces(rings, sides))
    middles = vertices[faces].mean(axis=1)
    quads = (rings - 1) * sides
    middles[: 2 * quads] = np.tile((middles[:quads] + middles[quads : 2 * quads]) / 2, (2, 1))
    materials = material(middles) if callable(material) else np.full(len(faces), material)
    return Part(vertices, centres, _chain_weights(vertices[:, axis], axis, chain, blend), faces, materials)


def _tube_faces(rings: int, sides: int) -> np.ndarray:
    """Return the triangles of rings of vertices, with one more vertex to close each end, shape (F, 3)."""
    ring, side = (grid.ravel() for grid in np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij"))
    after = (side + 1) % sides
    p, q, r, s = ring * sides + side, ring * sides + after, (ring + 1) * sides + after, (ring + 1) * sides + side
    first, last, around = rings * sides, rings * sides + 1, np.arange(sides)
    before = (around + 1) % sides
    top = (rings - 1) * sides
    return np.concatenate([np.stack([p, q, r], 1), np.stack([p, r, s], 1),
                           np.stack([np.full(sides, first), before, around], 1),
                           np.stack([np.full(sides, last), top + around, top + before], 1)])


def _outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Turn the faces of a closed surface so that its volume is positive."""
    a, b, c = np.moveaxis(vertices[faces] - vertices.mean(axis=0), 1, 0)
    return faces if np.sum(a * np.cross(b, c)) > 0 else faces[:, ::-1]


def _chain_weights(place: np.ndarray, axis: int, chain: tuple[str, ...], blend: float) -> np.ndarray:
    """Hand the skin from joint to joint where they stand along the axis, over `blend` m to both sides. → (V, 24)."""
    index = [SMPL_NAMES.index(name) for name in chain]
    borders = JOINTS[index[1:], axis]
    along = np.sign(JOINTS[index[-1], axis] - JOINTS[index[0], axis])
    past = np.clip((along * (place[:, None] - borders) + blend) / (2 * blend), 0, 1)
    past = past**2 * (3 - 2 * past)
    past = np.concatenate([np.ones((len(place), 1)), past, np.zeros((len(place), 1))], axis=1)
    weights = np.zeros((len(place), len(SMPL_NAMES)))
    weights[:, index] = past[:, :-1] - past[:, 1:]
    return weights


def _ball(centre: tuple[float, float, float], radii: tuple[float, float, float], joint: str, material: int,
          rings: int = 6, sides: int = 10) -> Part:
    """Return an ellipsoid that moves with one joint."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 13)
    stations = [(centre[1] + radii[1] * np.sin(t), centre[0], centre[2], radii[0] * np.cos(t) + 1e-4,
                 radii[2] * np.cos(t) + 1e-4) for t in angle]
    return _tube(1, stations, (joint,), material, rings, sides)


def _mirror(part: Part) -> Part:
    """Return the part on the other side of the body."""
    flip = np.array([-1.0, 1.0, 1.0])
    return replace(part, vertices=part.vertices * flip, centres=part.centres * flip, faces=part.faces[:, ::-1],
                   weights=part.weights[:, MIRRORED])


def _join(one: Part, other: Part) -> Part:
    """Return two parts as one."""
    return Part(np.concatenate([one.vertices, other.vertices]), np.concatenate([one.centres, other.centres]),
                np.concatenate([one.weights, other.weights]),
                np.concatenate([one.faces, other.faces + len(one.vertices)]),
                np.concatenate([one.materials, other.materials]))


def _torso() -> Part:
    stations = [(.815, 0, -.01, .06, .06), (.84, 0, -.01, .135, .095), (.88, 0, -.012, .163, .110),
                (.95, 0, -.012, .166, .113), (1.02, 0, -.004, .150, .102), (1.08, 0, 0, .139, .097),
                (1.20, 0, .008, .152, .108), (1.30, 0, .008, .170, .115), (1.37, 0, 0, .172, .100),
                (1.41, 0, -.006, .150, .082), (1.44, 0, -.012, .105, .066), (1.465, 0, -.014, .066, .060)]
    return _tube(1, stations, ("pelvis", "spine1", "spine2", "spine3"),
                 lambda c: np.where(c[:, 1] < .97, TROUSERS, SHIRT), 28, 32, 2.4, 0.06)


def _neck() -> Part:
    stations = [(1.42, 0, -.015, .060, .058), (1.47, 0, -.008, .056, .056), (1.53, 0, .004, .056, .060)]
    return _tube(1, stations, ("spine3", "neck", "head"), SKIN, 6, 24, blend=.03)


def _head() -> Part:
    stations = [(1.485, 0, .055, .020, .022), (1.50, 0, .048, .044, .050), (1.53, 0, .034, .062, .076),
                (1.57, 0, .026, .072, .089), (1.61, 0, .021, .077, .096), (1.65, 0, .019, .078, .098),
                (1.69, 0, .016, .070, .088), (1.72, 0, .014, .050, .062), (1.735, 0, .014, .008, .010)]
    return _tube(1, stations, ("head",), SKIN, 22, 28)


def _hair() -> list[Part]:
    return [_ball((0, 1.665, .002), (.086, .083, .103), "head", HAIR, 12, 24),
            _ball((0, 1.605, -.028), (.073, .085, .062), "head", HAIR, 8, 20)]


def _face() -> list[Part]:
    return [_ball((0, 1.606, .116), (.012, .027, .018), "head", SKIN, 8, 12),
            _ball((0, 1.590, .119), (.018, .010, .014), "head", SKIN, 6, 12),
            _ball((0, 1.552, .106), (.025, .008, .012), "head", LIPS, 6, 14)]


def _eye() -> list[Part]:
    return [_ball((.032, 1.632, .103), (.015, .009, .011), "head", EYE_WHITE),
            _ball((.032, 1.632, .110), (.0065, .0075, .006), "head", IRIS, 5, 8),
            _ball((.034, 1.653, .106), (.019, .0045, .009), "head", HAIR, 5)]


def _ear() -> Part:
    return _ball((.079, 1.612, .012), (.010, .031, .018), "head", SKIN, 8, 10)


def _arm() -> Part:
    stations = [(.09, 1.375, -.010, .045, .052), (.15, 1.398, -.017, .054, .060), (.20, 1.413, -.020, .054, .057),
                (.30, 1.42, -.025, .050, .050), (.40, 1.42, -.029, .043, .043), (.44, 1.42, -.030, .041, .041),
                (.50, 1.42, -.027, .043, .044), (.58, 1.42, -.024, .037, .038), (.66, 1.42, -.021, .028, .031),
                (.69, 1.42, -.020, .024, .029), (.71, 1.42, -.018, .019, .036), (.74, 1.419, -.016, .016, .043),
                (.775, 1.417, -.015, .014, .043), (.79, 1.416, -.015, .008, .036)]
    chain = ("left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand")
    return _tube(0, stations, chain, lambda c: np.where(c[:, 0] < .33, SHIRT, SKIN), 32, 18)


def _fingers() -> list[Part]:
    chain = ("left_wrist", "left_hand")
    parts = [_tube(0, [(.765, 1.417, z, .009, .0095), (.81, 1.416, z * 1.08 + .001, .009, .0095),
                       (tip - .008, 1.412, z * 1.15, .007, .0075), (tip, 1.411, z * 1.15, .002, .002)],
                   chain, SKIN, 7, 8)
             for z, tip in ((.018, .866), (-.004, .876), (-.026, .866), (-.046, .846))]
    thumb = [(.70, 1.413, .008, .012, .014), (.73, 1.408, .035, .011, .013), (.76, 1.405, .050, .010, .011),
             (.778, 1.404, .056, .007, .008), (.785, 1.404, .058, .002, .002)]
    return [*parts, _tube(0, thumb, chain, SKIN, 7, 8)]


def _leg() -> Part:
    stations = [(.93, .085, -.008, .070, .080), (.88, .088, -.008, .082, .095), (.80, .090, -.005, .084, .093),
                (.70, .092, -.002, .077, .083), (.58, .094, 0, .064, .068), (.50, .095, .002, .056, .060),
                (.43, .095, -.004, .053, .058), (.34, .096, -.018, .054, .062), (.22, .096, -.025, .045, .048),
                (.12, .095, -.030, .040, .043), (.05, .095, -.030, .038, .045)]
    return _tube(1, stations, ("pelvis", "left_hip", "left_knee", "left_ankle"), TROUSERS, 32, 18, blend=.05)


def _buttock() -> Part:
    return _ball((.075, .885, -.058), (.080, .085, .072), "pelvis", TROUSERS, 8, 14)


def _shoe() -> Part:
    stations = [(-.088, .095, .032, .020, .030), (-.07, .095, .042, .033, .042), (-.03, .096, .048, .037, .048),
                (.02, .099, .046, .038, .046), (.07, .104, .036, .042, .036), (.12, .109, .029, .046, .029),
                (.16, .112, .024, .043, .024), (.185, .113, .019, .030, .019), (.195, .113, .014, .012, .012)]
    return _tube(2, stations, ("left_ankle", "left_foot"), lambda c: np.where(c[:, 1] < .016, SOLE, SHOE), 17, 18,
                 3.0, .03)


def _longest_edges(part: Part, count: int) -> np.ndarray:
    """Return up to `count` of the longest edges, no two of them on one face, shape (N, 2)."""
    corners = np.concatenate([part.faces[:, [0, 1]], part.faces[:, [1, 2]], part.faces[:, [2, 0]]])
    owner = np.tile(np.arange(len(part.faces)), 3)
    edges, which = np.unique(np.sort(corners, axis=1), axis=0, return_inverse=True)
    owners: list[list[int]] = [[] for _ in edges]
    for face, edge in zip(owner, which.ravel(), strict=True):
        owners[edge].append(face)
    length = np.linalg.norm(part.vertices[edges[:, 0]] - part.vertices[edges[:, 1]], axis=1)
    taken: set[int] = set()
    chosen = []
    for edge in np.argsort(-np.round(length, 6), kind="stable")[: 2 * count]:
        if len(chosen) < count and taken.isdisjoint(owners[edge]):
            taken.update(owners[edge])
            chosen.append(edges[edge])
    return np.array(chosen)


def _halve(part: Part, edges: np.ndarray) -> Part:
    """Put a vertex in the middle of each edge; no two of the edges may share a face."""
    middle = {(a, b): len(part.vertices) + k for k, (a, b) in enumerate(edges.tolist())}
    faces, materials = [], []
    for face, material in zip(part.faces.tolist(), part.materials.tolist(), strict=True):
        pieces = [face]
        for a, b, c in (face, face[1:] + face[:1], face[2:] + face[:2]):
            new = middle.get((min(a, b), max(a, b)))
            if new is not None:
                pieces = [[a, new, c], [new, b, c]]
        faces += pieces
        materials += [material] * len(pieces)

    def grown(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, values[edges].mean(axis=1)])

    return Part(grown(part.vertices), grown(part.centres), grown(part.weights), np.array(faces), np.array(materials))
