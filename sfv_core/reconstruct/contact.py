"""Decide when feet and hands touch the ground: slow in the picture and low, in spans without flicker."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from . import landmarks
from .landmarks import Observations

_LIKELY_SPEED, _LIKELY_HEIGHT = 0.45, 0.12
"""Speed in m/s and height in m at which a contact is as likely as not."""
_FIRST_SPEED, _FIRST_HEIGHT = 0.2, 0.04
_LAST_SPEED, _LAST_HEIGHT = 0.3, 0.06
"""Speed in m/s and height in m below which a contact begins, and up to which it lasts."""
_DRIFT = 0.05
"""By how much the lowest point of a standing body may seem to be above the ground, in m, as depth errs."""
_WANDERS = 0.2
"""Distance in m from its middle place beyond which a point has not stood."""
_SHORTEST_S, _GAP_S = 0.1, 0.07
"""Shorter contacts are none, shorter gaps are bridged, in s."""


def contact_speeds(observations: Observations) -> np.ndarray:
    """Return the speeds of `landmarks.CONTACTS` in the picture as m/s at the person's distance, shape (T, C).

    The picture knows a standing foot better than the fit does, whose depth trembles. Frames in which the detector takes
    one foot for the other are left out by a median of 3.
    """
    seen = observations.xy if observations.still_xy is None else observations.still_xy
    xy = median_filter(seen[:, landmarks.CONTACTS], size=(3, 1, 1), mode="nearest")
    xy = gaussian_filter1d(xy, 1.0, axis=0, mode="nearest")
    step = np.linalg.norm(np.gradient(xy, axis=0), axis=-1)
    return step / observations.size[:, None] * 1.7 * observations.fps


def find_contacts(places: np.ndarray, observations: Observations) -> np.ndarray:
    """Return when each of `landmarks.CONTACTS` touches the ground, (T, C) bool, from their places in the world in m."""
    touching = spans(contact_speeds(observations), places[..., 2], observations.weight[:, landmarks.CONTACTS],
                     observations.fps)
    return _believable(touching, places)


def _believable(touching: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Drop contacts of points whose place wanders too far to be one: what seemed slow moved along the line of sight."""
    out = touching.copy()
    for column in range(touching.shape[1]):
        for rows in runs(touching[:, column]):
            path = places[rows, column]
            apart = np.linalg.norm(path - np.median(path, axis=0), axis=-1)
            out[rows, column] = np.percentile(apart, 90) < _WANDERS
    return out


def likely(speed: np.ndarray, height: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return how likely each contact is, 0 to 1, as smooth steps of its speed and height. (T, C) each.

    height: above the ground in m; weight: confidence, none where nobody was found.
    """
    above = height - _LIKELY_HEIGHT - 1.2 * landmarks.CONTACT_HEIGHTS
    return _falling(speed - _LIKELY_SPEED, 0.08) * _falling(above, 0.03) * (weight > 0)


def spans(speed: np.ndarray, height: np.ndarray, weight: np.ndarray, fps: float) -> np.ndarray:
    """Return when each point touches the ground, (T, C) bool: from where it surely does until it no longer may.

    A body that seems to hover slightly does so by an error, so heights count from its lowest point.
    """
    above = height - landmarks.CONTACT_HEIGHTS
    above = above - np.minimum(above.min(axis=1, keepdims=True), _DRIFT)
    begins = (speed < _FIRST_SPEED) & (above < _FIRST_HEIGHT) & (weight > 0)
    lasts = (speed < _LAST_SPEED) & (above < _LAST_HEIGHT) & (weight > 0)
    out = np.zeros(speed.shape, bool)
    for column in range(speed.shape[1]):
        for rows in runs(lasts[:, column]):
            out[rows, column] = begins[rows, column].any()
        out[:, column] = _steady(out[:, column], fps)
    return out


def runs(flags: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each unbroken run of true values. (T,) bool."""
    rows = np.flatnonzero(flags)
    return np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else []


def _steady(touching: np.ndarray, fps: float) -> np.ndarray:
    """Bridge short gaps and drop short contacts. (T,) bool → (T,) bool."""
    out = touching.copy()
    for value, shortest in ((False, _GAP_S), (True, _SHORTEST_S)):
        for rows in runs(out == value):
            inside = rows[0] > 0 and rows[-1] < len(out) - 1
            if len(rows) < round(shortest * fps) and inside:
                out[rows] = not value
    return out


def _falling(x: np.ndarray, width: float) -> np.ndarray:
    """Step smoothly from 1 below 0 to 0 above it."""
    return 1.0 / (1.0 + np.exp(np.clip(x / width, -50, 50)))
