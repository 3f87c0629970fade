"""Make the stand-in body: sfv_core/body/standin.npz, the project's own person in SMPL's file format.

    python tools/make_body.py [OUT.npz]

It has SMPL's 24 joints, 6890 vertices and ten shape directions, and at SMPL's vertex numbers for nose, eyes, ears,
toes, heels and fingertips stand just these. Nothing of it comes from SMPL: shape and proportions are written down in
body_geometry.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from body_geometry import JOINTS, MATERIALS, Part, person, refine
from scipy.optimize import nnls

from sfv_core.body.model import SMPL_NAMES, SMPL_PARENTS, STANDIN, VERTICES

ORIGIN = np.array([0.0, 1.17, -0.03])
"""What stands at the origin: as in SMPL a point of the chest, so that nobody mistakes it for the pelvis."""

PARENTS = SMPL_PARENTS.tolist()

LEFT_LANDMARKS = {2800: (.032, 1.632, .12), 583: (.09, 1.612, .012), 3216: (.105, .014, .197), 3226: (.157, .02, .13),
                  3387: (.095, .03, -.09), 2746: (.787, 1.404, .058), 2319: (.87, 1.411, .021),
                  2445: (.88, 1.411, -.005), 2556: (.87, 1.411, -.030), 2673: (.85, 1.411, -.053)}
"""Vertex number in SMPL's mesh → place on the left in m: eye, ear, big toe, small toe, heel, thumb to little finger."""
RIGHT_OF = {2800: 6260, 583: 4071, 3216: 6617, 3226: 6624, 3387: 6787, 2746: 6191, 2319: 5782, 2445: 5905, 2556: 6016,
            2673: 6133}
NOSE = {332: (0.0, 1.603, .14)}

LONGER = {2: (("left_knee", "left_ankle"), .05), 3: (("left_elbow", "left_wrist", "left_hand"), .05),
          4: (("spine1", "spine2", "spine3", "neck"), .05), 5: (("left_shoulder",), .10), 6: (("left_hip",), .12),
          7: (("head",), .10), 8: (("left_foot",), .08), 9: (("left_knee",), .04)}
"""Shape direction → the joints whose bone from the parent grows, and by which part of its length for each unit.

Directions 0 and 1 are stature and girth; 5, 6 and 7 are breadth of shoulders and hips and size of head; 9 moves the
knee and the belly.
"""


def main() -> None:
    """Write the body where the command line says."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else STANDIN
    np.savez_compressed(out, **make())
    sys.stdout.write(f"{out}: {out.stat().st_size / 1000:.0f} kB\n")


def make() -> dict[str, np.ndarray]:
    """Return the arrays of the body's file."""
    part = _numbered(refine(person(), VERTICES))
    regressor = _regressor(part.vertices)
    return {"v_template": _on_grid(part.vertices - ORIGIN), "shapedirs": _on_grid(_shape_directions(part)),
            "posedirs": np.zeros((VERTICES, 3, 207), np.int8), "J_regressor": regressor.astype(np.float32),
            "weights": part.weights.astype(np.float32), "f": part.faces.astype(np.uint32),
            "kintree_table": np.stack([np.where(np.array(PARENTS) < 0, 2**32 - 1, PARENTS), np.arange(24)]),
            "materials": part.materials.astype(np.uint8), "material_names": np.array(MATERIALS)}


def _on_grid(metres: np.ndarray) -> np.ndarray:
    """Round to 2⁻²⁰ m, about 1 µm, which compresses well."""
    return (np.round(metres * 2**20) / 2**20).astype(np.float32)


def _numbered(part: Part) -> Part:
    """Renumber the vertices so that the landmarks stand at SMPL's numbers."""
    wanted = NOSE | LEFT_LANDMARKS | {RIGHT_OF[k]: (-x, y, z) for k, (x, y, z) in LEFT_LANDMARKS.items()}
    old_of_new = np.arange(len(part.vertices))
    for number, place in wanted.items():
        nearest = int(np.argmin(np.linalg.norm(part.vertices - place, axis=1)))
        here = int(np.flatnonzero(old_of_new == nearest)[0])
        old_of_new[[number, here]] = old_of_new[[here, number]]
    return Part(part.vertices[old_of_new], part.centres[old_of_new], part.weights[old_of_new],
                np.argsort(old_of_new)[part.faces], part.materials)


def _joint_shifts() -> np.ndarray:
    """Return how far each joint moves for a unit of each shape direction by bones that grow, shape (24, 3, 10)."""
    shifts = np.zeros((24, 3, 10))
    for direction, (names, growth) in LONGER.items():
        both = {*names, *(name.replace("left", "right") for name in names)}
        for joint, parent in enumerate(PARENTS):
            if parent >= 0:
                own = growth * (JOINTS[joint] - JOINTS[parent]) if SMPL_NAMES[joint] in both else 0.0
                shifts[joint, :, direction] = shifts[parent, :, direction] + own
    return shifts


def _shape_directions(part: Part) -> np.ndarray:
    """Return how far each vertex moves in m for a unit of each shape direction, shape (V, 3, 10)."""
    shifts = _joint_shifts()
    directions = np.einsum("vj,jdk->vdk", part.weights, shifts)
    for child, parent in enumerate(PARENTS):
        only_child = PARENTS.count(parent) == 1 or SMPL_NAMES[child] in ("spine1", "neck")
        if parent >= 0 and only_child:
            bone = JOINTS[child] - JOINTS[parent]
            along = np.clip((part.vertices - JOINTS[parent]) @ bone / (bone @ bone), 0, 1)
            share = part.weights[:, parent] * along
            directions += share[:, None, None] * (shifts[child] - shifts[parent])
    weight = dict(zip(SMPL_NAMES, part.weights.T, strict=True))
    x, y, z = part.vertices.T
    fixed = weight["head"] + sum(weight[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "foot"))
    directions[:, :, 0] = 0.04 * (part.vertices - JOINTS[0])
    directions[:, :, 1] = 0.06 * (1 - fixed)[:, None] * (part.vertices - part.centres)
    directions[:, 0, 6] += 0.12 * weight["pelvis"] * x
    directions[:, :, 7] += 0.05 * weight["head"][:, None] * (part.vertices - JOINTS[SMPL_NAMES.index("head")])
    trunk = weight["pelvis"] + weight["spine1"] + weight["spine2"]
    directions[:, 2, 9] += 0.02 * trunk * np.exp(-(((y - 1.05) / 0.09) ** 2)) * np.clip(z / 0.1, 0, 1)
    return directions


def _regressor(vertices: np.ndarray) -> np.ndarray:
    """Return weights of the vertices that give the joints, none negative, those of a joint sum to 1, shape (24, V)."""
    regressor = np.zeros((len(JOINTS), len(vertices)))
    count, firm = 160, 1e4
    for joint, place in enumerate(JOINTS):
        near = np.argsort(np.linalg.norm(vertices - place, axis=1))[:count]
        exact = firm * np.concatenate([vertices[near].T - place[:, None], np.ones((1, count))])
        even = np.eye(count)
        weights, _ = nnls(np.concatenate([exact, even]), np.concatenate([[0, 0, 0, firm], np.zeros(count)]))
        regressor[joint, near] = weights / weights.sum()
    return regressor


if __name__ == "__main__":
    main()
