"""Motion on one skeleton → motion on another. Needs numpy and nothing else."""

from .errors import RetargetError
from .motion import Motion, Skeleton

__all__ = ["Motion", "RetargetError", "Skeleton"]
