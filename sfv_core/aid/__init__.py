"""First aid for a captured motion before physics learns it: what is wrong with it, and what can safely be mended."""

from sfv_core.aid.finding import Finding
from sfv_core.aid.treat import examine, first_aid, fit_with_aid

__all__ = ["Finding", "examine", "first_aid", "fit_with_aid"]
