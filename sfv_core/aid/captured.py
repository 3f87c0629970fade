"""What can be told of a motion as it was captured, before it is fitted to a character."""

from __future__ import annotations

import numpy as np

from sfv_core.aid.finding import Finding, frames_text, spans
from sfv_core.aid.recording import Recording

_ABOVE, _BELOW = 0.15, 0.05
"""Height in m that the lowest joint of a clip may have above the floor, where ankles are, and below it."""
_UNSEEN = 0.2
"""Mean confidence of the joints below which nobody was seen."""
_SHORTEST_S = 0.2


def find_offset(recording: Recording) -> list[Finding]:
    """Find clips that as a whole are not on the floor; the fit puts them there."""
    lowest = float(np.percentile(recording.joints[..., 2].min(axis=1), 10))
    if -_BELOW < lowest < _ABOVE:
        return []
    where = "above" if lowest > 0 else "below"
    return [Finding("ground", (0, len(recording.motion) - 1), lowest, "m", f"The whole clip is {abs(lowest):.2g} m "
                    f"{where} the floor; it is put on it.", repaired=True)]


def find_unseen(recording: Recording) -> list[Finding]:
    """Find spans in which the capture saw nobody, so that the motion is made up."""
    motion = recording.motion
    if motion.confidence is None or not motion.confidence.any():
        return []
    seen = motion.confidence[:, motion.confidence.any(axis=0)].mean(axis=1)
    shortest = max(round(_SHORTEST_S * motion.fps), 2)
    return [Finding("unseen", span, float(100 * seen[span[0] : span[1] + 1].mean()), "% confidence",
                    f"Hardly anything was seen in {frames_text(span)}; the motion there is a guess.")
            for span in spans(seen < _UNSEEN, shortest=shortest, gap=2)]
