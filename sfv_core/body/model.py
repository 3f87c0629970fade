"""The body model: SMPL's shape and skin, from the project's stand-in or from a licensed SMPL file.

Arrays of a `Body` keep SMPL's own axes (x left, y up, z forward); skeletons, motions and posed vertices have ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retarget import rotation
from retarget.motion import Motion, Skeleton
from sfv_core.body import smpl_file
from sfv_core.errors import SfvError
from sfv_core.extras import needing

SMPL_NAMES = ("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
              "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
              "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
              "left_hand", "right_hand")
SMPL_PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])
VERTICES = 6890
BETAS = 10
"""How many of a file's shape directions are used."""

STANDIN = Path(__file__).with_name("standin.npz")

_FRAMES_AT_ONCE = 64


@dataclass(frozen=True)
class Body:
    """A body model in SMPL's axes, in m."""

    name: str
    v_template: np.ndarray
    """Vertices of the mean shape in the T-pose, shape (V, 3)."""
    shapedirs: np.ndarray
    """How far the vertices move for one unit of each beta, shape (V, 3, B)."""
    joint_regressor: np.ndarray
    """Weights that give the joints from the vertices of the T-pose, shape (24, V)."""
    weights: np.ndarray
    """Skin weights, shape (V, 24)."""
    faces: np.ndarray
    """Triangles, shape (F, 3)."""
    posedirs: np.ndarray
    """How far the vertices move for the joints' rotation matrices, shape (V, 3, 207), float32."""
    materials: np.ndarray | None = None
    """Number of each face's material (skin, clothes), shape (F,); none in SMPL's own files."""

    @cached_property
    def joint_template(self) -> np.ndarray:
        """Joints of the mean shape in the T-pose, shape (24, 3)."""
        return self.joint_regressor @ self.v_template

    @cached_property
    def joint_shapedirs(self) -> np.ndarray:
        """How far the joints move for one unit of each beta, shape (24, 3, B)."""
        return np.einsum("jv,vdb->jdb", self.joint_regressor, self.shapedirs)

    def joints(self, betas: np.ndarray) -> np.ndarray:
        """Return the joints in the T-pose for betas (..., B) → (..., 24, 3)."""
        return self.joint_template + np.einsum("jdb,...b->...jd", self.joint_shapedirs, betas)


def load_body(path: Path | str | None = None) -> Body:
    """Read a licensed SMPL file, or the stand-in body if no path is given. Raise SfvError that names the file."""
    file = STANDIN if path is None else Path(path)
    arrays = smpl_file.read(file)
    try:
        _check(arrays)
    except ValueError as error:
        raise SfvError(f"'{file}' is not an SMPL body: {error}. Give a model of the SMPL family's first kind "
                       f"(24 joints, {VERTICES} vertices), not SMPL-H, SMPL-X or MANO.") from error
    materials = arrays.get("materials")
    return Body(
        name="stand-in" if path is None else file.stem,
        v_template=arrays["v_template"].astype(float),
        shapedirs=arrays["shapedirs"][:, :, :BETAS].astype(float),
        joint_regressor=arrays["J_regressor"].astype(float),
        weights=arrays["weights"].astype(float),
        faces=arrays["f"].astype(int),
        posedirs=arrays["posedirs"].astype(np.float32),
        materials=None if materials is None else materials.astype(int),
    )


def skeleton_of(joints: np.ndarray) -> Skeleton:
    """Return the skeleton of T-pose joints (24, 3) in SMPL's axes; at rest its lowest joint stands at z = 0."""
    ours = ours_from_smpl(np.asarray(joints, float))
    offsets = ours - ours[SMPL_PARENTS]
    offsets[0] = 0.0, 0.0, ours[0, 2] - ours[:, 2].min()
    return Skeleton(SMPL_NAMES, SMPL_PARENTS, offsets, np.tile(rotation.IDENTITY, (len(SMPL_NAMES), 1)))


def pose_vertices(body: Body, betas: np.ndarray, motion: Motion) -> np.ndarray:
    """Return the skin in the world, shape (T, V, 3) float32 in our axes, by smplx's own skinning.

    betas: (B,). The motion needs the skeleton of SMPL's 24 joints; its bone lengths come from the betas.
    """
    if motion.skeleton.names != SMPL_NAMES:
        raise SfvError("The body needs a motion of SMPL's 24 joints; this one has "
                       f"{', '.join(motion.skeleton.names)}. Retarget it first.")
    betas = np.asarray(betas, float)
    if betas.shape != body.shapedirs.shape[2:]:
        raise SfvError(f"The body '{body.name}' takes {body.shapedirs.shape[2]} betas; there are {betas.shape}.")
    torch, model = _smplx_model(body)
    turns = rotation.to_rotvec(smpl_from_ours_rotation(motion.rotations))
    shift = smpl_from_ours(motion.root_pos) - body.joints(betas)[0]
    vertices = np.empty((len(motion), *body.v_template.shape), np.float32)
    with torch.no_grad():
        for start in range(0, len(motion), _FRAMES_AT_ONCE):
            part = slice(start, start + _FRAMES_AT_ONCE)
            pose = torch.tensor(turns[part], dtype=torch.float32)
            posed = model(betas=torch.tensor(betas, dtype=torch.float32).expand(len(pose), -1),
                          global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1),
                          transl=torch.tensor(shift[part], dtype=torch.float32))
            vertices[part] = ours_from_smpl(posed.vertices.numpy())
    return vertices


def ours_from_smpl(v: np.ndarray) -> np.ndarray:
    """Turn SMPL's axes (left, up, forward) into ours (left, back, up). (..., 3)."""
    return np.stack([v[..., 0], -v[..., 2], v[..., 1]], axis=-1)


def smpl_from_ours(v: np.ndarray) -> np.ndarray:
    """Turn our axes (left, back, up) into SMPL's (left, up, forward). (..., 3)."""
    return np.stack([v[..., 0], v[..., 2], -v[..., 1]], axis=-1)


def ours_from_smpl_rotation(q: np.ndarray) -> np.ndarray:
    """Express rotations in our axes that are given in SMPL's. (..., 4) wxyz."""
    return np.concatenate([q[..., :1], ours_from_smpl(q[..., 1:])], axis=-1)


def smpl_from_ours_rotation(q: np.ndarray) -> np.ndarray:
    """Express rotations in SMPL's axes that are given in ours. (..., 4) wxyz."""
    return np.concatenate([q[..., :1], smpl_from_ours(q[..., 1:])], axis=-1)


def _smplx_model(body: Body) -> tuple[Any, Any]:
    """Return torch and smplx's model of the body."""
    with needing("smpl"):
        import smplx
        import torch
        from smplx.utils import Struct

    class Model(smplx.SMPL):
        SHAPE_SPACE_DIM = body.shapedirs.shape[2]  # fewer than 300 make smplx print a warning

    data = Struct(v_template=body.v_template, shapedirs=body.shapedirs, posedirs=body.posedirs,
                  J_regressor=body.joint_regressor, weights=body.weights, f=body.faces,
                  kintree_table=np.stack([SMPL_PARENTS, np.arange(len(SMPL_PARENTS))]))
    model = Model("", data_struct=data, create_betas=False, create_global_orient=False, create_body_pose=False,
                  create_transl=False)
    return torch, model


def _check(arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError that says which array does not fit a body of 24 joints."""
    joints = len(SMPL_NAMES)
    shapes = {"v_template": (VERTICES, 3), "shapedirs": (VERTICES, 3, None),
              "posedirs": (VERTICES, 3, 9 * (joints - 1)), "J_regressor": (joints, VERTICES),
              "weights": (VERTICES, joints), "f": (None, 3), "kintree_table": (2, joints)}
    for key, shape in shapes.items():
        have = arrays[key].shape
        fits = len(have) == len(shape) and all(b is None or a == b for a, b in zip(have, shape, strict=True))
        if not fits or 0 in have:
            wanted = " × ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{key} is {' × '.join(map(str, have))} and should be {wanted}")
        if not np.all(np.isfinite(arrays[key])):
            raise ValueError(f"{key} holds values that are not numbers (NaN or infinity)")
    if np.any(arrays["kintree_table"][0, 1:] != SMPL_PARENTS[1:]):
        raise ValueError("its joints hang together in another way than SMPL's")
    if arrays["f"].min() < 0 or arrays["f"].max() >= VERTICES:
        raise ValueError("its faces name vertices that do not exist")
    materials = arrays.get("materials")
    if materials is not None and materials.shape != arrays["f"].shape[:1]:
        raise ValueError("it has not one material for each face")
