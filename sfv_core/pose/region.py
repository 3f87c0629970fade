"""A turned square of a picture: what a network looks at, and the way back to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Region:
    """A square in a picture, turned by an angle."""

    centre: tuple[float, float]
    """Middle in px of the picture."""
    size: float
    """Side in px of the picture."""
    angle: float = 0.0
    """Clockwise turn in rad: the square's own x axis points to (cos, sin) in the picture, whose y points down."""
    mirrored: bool = False
    """Whether the network sees it left to right."""

    @property
    def matrix(self) -> np.ndarray:
        """Affine map from the square's (u, v), 0 to 1, to px of the picture, shape (2, 3)."""
        cos, sin = self.size * np.cos(self.angle), self.size * np.sin(self.angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        if self.mirrored:
            turn = turn @ np.array([[-1.0, 0.0], [0.0, 1.0]])
        corner = np.array(self.centre) - turn @ [0.5, 0.5]
        return np.concatenate([turn, corner[:, None]], axis=1)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Take points of the square, 0 to 1, to px of the picture. (..., 2) → (..., 2)."""
        matrix = self.matrix
        return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def crop(rgb: np.ndarray, region: Region, size: int) -> np.ndarray:
    """Cut the region out of the picture (H, W, 3) uint8, black outside it. → (size, size, 3) float32, 0 to 1."""
    import cv2

    to_pixels = region.matrix @ np.array([[1.0 / size, 0, 0.5 / size], [0, 1.0 / size, 0.5 / size], [0, 0, 1.0]])
    to_pixels[:, 2] -= 0.5
    cut = cv2.warpAffine(rgb, to_pixels, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                         borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0))
    return cut.astype(np.float32) / 255.0
