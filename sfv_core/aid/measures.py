"""How far a motion is from one that a body could perform, in four numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_core.aid.ground import slide
from sfv_core.aid.jitter import jitter
from sfv_core.aid.recording import Recording


@dataclass(frozen=True)
class Measures:
    """Numbers of a whole motion."""

    slide_cm_s: float
    """Mean speed of the soles' ends that stand on the ground."""
    penetration_cm: float
    """Depth of the deepest body in the ground, its mean over the frames."""
    jitter: float
    """Mean third derivative of the joints' places in 10 m/s³."""
    strength: float
    """Largest torque of a joint over its limit, its 95th percentile over the frames."""


def measures(recording: Recording) -> Measures:
    """Measure a motion on a character's skeleton."""
    depth = np.maximum(-recording.lowest.min(axis=1), 0.0)
    strongest = recording.effort.shares.max(axis=1)
    return Measures(100 * slide(recording), float(100 * depth.mean()),
                    float(jitter(recording.joints, recording.motion.fps).mean()), float(np.percentile(strongest, 95)))
