"""Least squares over time: a dense block per frame, second differences between frames, equations at some frames."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

Rules = dict[int, tuple[np.ndarray, np.ndarray]]
"""Equations C · x = b of single frames, by frame: C (m, n), b (m,)."""


def bent(x: np.ndarray, free_ends: tuple[bool, bool]) -> np.ndarray:
    """Return DᵀD x for the second differences D along the frames. (N, n) → (N, n).

    Beyond an end x is zero, so a small DᵀD x brings x to zero there along with its speed; a free end has nothing
    beyond.
    """
    return np.einsum("ts,sn->tn", _square(len(x), free_ends), x)


def step(square: np.ndarray, coupling: np.ndarray, bending: np.ndarray, free_ends: tuple[bool, bool],
         slope: np.ndarray, rules: Rules) -> np.ndarray:
    """Minimise ½ xᵀ(A + bending · DᵀD) x + slope · x under the rules; x and slope (N, n), bending (n,).

    A has the blocks `square` (N, n, n) of the frames and `coupling` (N − 1, n, n) below them: frame t + 1 with t.
    """
    count, n = slope.shape
    differences = _square(count, free_ends)
    blocks = [square + np.diagonal(differences)[:, None, None] * np.diag(bending)]
    blocks += [np.diagonal(differences, k)[:, None, None] * np.diag(bending) for k in (1, 2)]
    blocks[1] += coupling
    start = np.zeros((count, n))
    bases = {}
    for row, (c, b) in rules.items():
        start[row], bases[row] = _solved(c, b)
    slope = slope + _times(blocks, start)
    for row, basis in bases.items():
        slope[row] = basis.T @ slope[row]
        blocks[0][row] = basis.T @ blocks[0][row] @ basis + np.diag((basis**2).sum(axis=0) == 0)
        for k in (1, 2):
            if row < len(blocks[k]):
                blocks[k][row] = blocks[k][row] @ basis
            if row >= k:
                blocks[k][row - k] = basis.T @ blocks[k][row - k]
    x = solveh_banded(_lower(blocks), -slope.ravel(), lower=True, overwrite_ab=True, check_finite=False)
    x = x.reshape(count, n)
    for row, basis in bases.items():
        x[row] = basis @ x[row]
    return x + start


def _square(count: int, free_ends: tuple[bool, bool]) -> np.ndarray:
    """Return DᵀD, shape (N, N)."""
    d = np.zeros((count + 2, count + 4))
    for k, value in enumerate((1.0, -2.0, 1.0)):
        d[np.arange(count + 2), np.arange(count + 2) + k] = value
    d = d[2 * free_ends[0] : count + 2 - 2 * free_ends[1], 2:-2]
    return d.T @ d


def _solved(c: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least x with C · x = b, and the ways that C leaves open, padded with zeros to (n, n)."""
    single = c != 0
    if np.all(single.sum(axis=1) == 1):  # given outright: keeps the matrix as sparse as it is
        columns = single.argmax(axis=1)
        least = np.zeros(c.shape[1])
        least[columns] = b / c[np.arange(len(c)), columns]
        return least, np.diag(np.where(single.any(axis=0), 0.0, 1.0))
    u, s, vt = np.linalg.svd(c)
    rank = int((s > 1e-9 * max(float(s.max(initial=0.0)), 1e-12)).sum())
    basis = np.zeros((c.shape[1], c.shape[1]))
    basis[:, : c.shape[1] - rank] = vt[rank:].T
    return vt[:rank].T @ ((u[:, :rank].T @ b) / s[:rank]), basis


def _times(blocks: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Multiply the banded matrix with x (N, n)."""
    out = (blocks[0] @ x[..., None])[..., 0]
    for k in (1, 2):
        out[:-k] += (np.swapaxes(blocks[k], 1, 2) @ x[k:, :, None])[..., 0]
        out[k:] += (blocks[k] @ x[:-k, :, None])[..., 0]
    return out


def _lower(blocks: list[np.ndarray]) -> np.ndarray:
    """Lay the blocks out as LAPACK's lower band: entry (i, j) at [i − j, j]."""
    count, n = len(blocks[0]), blocks[0].shape[1]
    band = np.zeros((3 * n, count, n))
    i, j = np.indices((n, n))
    for k, block in enumerate(blocks):
        below = (k * n + i - j >= 0).ravel()
        rows, columns = (k * n + i - j).ravel()[below], j.ravel()[below]
        band[rows, : len(block), columns] = block.reshape(len(block), -1)[:, below].T
    used = np.flatnonzero(band.any(axis=(1, 2)))[-1] + 1
    return band[:used].reshape(used, count * n)
