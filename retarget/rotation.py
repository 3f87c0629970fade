"""Rotations as unit quaternions, wxyz, on arrays of shape (..., 4), in float64.

A product reads like frames: `q_world_foot = multiply(q_world_shin, q_shin_foot)`.
"""

from __future__ import annotations

import numpy as np

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_TINY = 1e-12


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compose: rotate by `b`, then by `a`. (..., 4), (..., 4) → (..., 4)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    product[..., 0] = aw * bw - ax * bx - ay * by - az * bz
    product[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    product[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    product[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return product


def right_matrix(b: np.ndarray) -> np.ndarray:
    """Return what composes with fixed rotations: `a @ right_matrix(b)` is `multiply(a, b)`. (..., 4) → (..., 4, 4)."""
    w, x, y, z = np.moveaxis(np.asarray(b, float), -1, 0)
    rows = ((w, x, y, z), (-x, w, -z, y), (-y, z, w, -x), (-z, -y, x, w))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def left_matrix(a: np.ndarray) -> np.ndarray:
    """Return what fixed rotations compose with: `b @ left_matrix(a)` is `multiply(a, b)`. (..., 4) → (..., 4, 4)."""
    w, x, y, z = np.moveaxis(np.asarray(a, float), -1, 0)
    rows = ((w, x, y, z), (-x, w, z, -y), (-y, -z, w, x), (-z, y, -x, w))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def inverse(q: np.ndarray) -> np.ndarray:
    """Invert unit quaternions (..., 4)."""
    return np.asarray(q, float) * np.array([1.0, -1.0, -1.0, -1.0])


def normalize(q: np.ndarray) -> np.ndarray:
    """Scale to unit length; a zero quaternion becomes the identity. (..., 4)."""
    q = np.asarray(q, float)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(length > _TINY, q / np.maximum(length, _TINY), IDENTITY)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rotate vectors. (..., 4), (..., 3) → (..., 3)."""
    q, v = np.asarray(q, float), np.asarray(v, float)
    w, x, y, z = (q[..., i] for i in range(4))
    vx, vy, vz = (v[..., i] for i in range(3))
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    turned = np.empty((*np.broadcast_shapes(q.shape[:-1], v.shape[:-1]), 3))
    turned[..., 0] = vx + w * tx + y * tz - z * ty
    turned[..., 1] = vy + w * ty + z * tx - x * tz
    turned[..., 2] = vz + w * tz + x * ty - y * tx
    return turned


def from_rotvec(r: np.ndarray) -> np.ndarray:
    """Convert axis times angle in rad (..., 3) → (..., 4)."""
    r = np.asarray(r, float)
    angle = np.linalg.norm(r, axis=-1, keepdims=True)
    scale = 0.5 * np.sinc(angle / (2.0 * np.pi))
    return np.concatenate([np.cos(angle / 2.0), r * scale], axis=-1)


def to_rotvec(q: np.ndarray) -> np.ndarray:
    """Convert to axis times angle in rad, angle in [0, π]. (..., 4) → (..., 3)."""
    q = np.asarray(q, float)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > _TINY, angle / np.maximum(sine, _TINY), 2.0)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Measure the angle between two rotations in rad, in [0, π]. (..., 4), (..., 4) → (...)."""
    return np.linalg.norm(to_rotvec(multiply(inverse(a), b)), axis=-1)


def from_matrix(m: np.ndarray) -> np.ndarray:
    """Convert rotation matrices (..., 3, 3) → (..., 4); w ≥ 0. Shepperd 1978, largest component first."""
    m = np.asarray(m, float)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    rows = np.stack(
        [
            np.stack([squares[..., 0], wx, wy, wz], -1),
            np.stack([wx, squares[..., 1], xy, xz], -1),
            np.stack([wy, xy, squares[..., 2], yz], -1),
            np.stack([wz, xz, yz, squares[..., 3]], -1),
        ],
        axis=-2,
    )
    best = np.argmax(squares, axis=-1)[..., None, None]
    q = np.take_along_axis(rows, np.broadcast_to(best, (*rows.shape[:-2], 1, 4)), axis=-2)[..., 0, :]
    q = normalize(q)
    return np.where(q[..., :1] < 0, -q, q)


def to_matrix(q: np.ndarray) -> np.ndarray:
    """Convert to rotation matrices (..., 4) → (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(q, float), -1, 0)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        axis=-2,
    )


def from_euler(order: str, angles: np.ndarray) -> np.ndarray:
    """Compose rotations about the axes named in `order`, intrinsic (BVH's channel order).

    angles: (..., n) rad for `order` of n letters of XYZ → (..., 4).
    """
    angles = np.asarray(angles, float)
    q = np.broadcast_to(IDENTITY, (*angles.shape[:-1], 4))
    for i, letter in enumerate(order.upper()):
        q = multiply(q, from_rotvec(angles[..., i : i + 1] * np.eye(3)["XYZ".index(letter)]))
    return q


def to_euler(order: str, q: np.ndarray) -> np.ndarray:
    """Decompose into intrinsic angles about three different axes. (..., 4) → (..., 3) rad.

    At gimbal lock the third angle is 0. Source: Shoemake, "Euler Angle Conversion", 1994.
    """
    i, j, k = ("XYZ".index(letter) for letter in order.upper())
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = to_matrix(q)
    cosine = np.hypot(m[..., i, i], m[..., i, j])
    middle = np.arctan2(sign * m[..., i, k], cosine)
    free = cosine > 1.5e-8
    first = np.where(
        free,
        np.arctan2(-sign * m[..., j, k], m[..., k, k]),
        np.arctan2(sign * m[..., k, j], m[..., j, j]),
    )
    third = np.where(free, np.arctan2(-sign * m[..., i, j], m[..., i, i]), 0.0)
    return np.stack([first, middle, third], axis=-1)


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Interpolate the short way. (..., 4), (..., 4), t in [0, 1] broadcastable to (...) → (..., 4)."""
    t = np.asarray(t, float)[..., None]
    return multiply(a, from_rotvec(to_rotvec(multiply(inverse(a), b)) * t))


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smallest rotation that turns direction `a` to `b`. (..., 3), (..., 3) → (..., 4).

    Opposite directions turn about any axis at right angles; a zero vector gives the identity.
    """
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    length = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    dot = np.sum(a * b, axis=-1, keepdims=True)
    q = np.concatenate([length + dot, np.cross(a, b)], axis=-1)
    side = np.where(np.abs(a[..., :1]) > np.abs(a[..., 2:]), [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    half_turn = np.concatenate([np.zeros_like(dot), np.cross(a, side)], axis=-1)
    opposite = (length > _TINY) & (length + dot < 1e-9 * length)
    return normalize(np.where(opposite, half_turn, q))


def twist(q: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the part of `q` that turns about the unit `axis`: q = swing · twist. (..., 4), (..., 3) → (..., 4)."""
    q, axis = np.asarray(q, float), np.asarray(axis, float)
    along = np.sum(q[..., 1:] * axis, axis=-1, keepdims=True) * axis
    return normalize(np.concatenate([q[..., :1], along], axis=-1))


def continuous(q: np.ndarray) -> np.ndarray:
    """Choose signs so that neighbours along axis 0 are the short way apart. (T, ..., 4) → (T, ..., 4)."""
    q = np.array(q, float)
    if len(q) > 1:
        dots = np.sum(q[1:] * q[:-1], axis=-1)
        q[1:] *= np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)[..., None]
    return q


def wxyz_from_xyzw(q: np.ndarray) -> np.ndarray:
    """Reorder from PyBullet's and scipy's order. (..., 4)."""
    return np.asarray(q)[..., [3, 0, 1, 2]]


def xyzw_from_wxyz(q: np.ndarray) -> np.ndarray:
    """Reorder to PyBullet's and scipy's order. (..., 4)."""
    return np.asarray(q)[..., [1, 2, 3, 0]]
