"""The headless backend: a video becomes a motion, a motion becomes a policy, a policy becomes a motion again."""

__version__ = "0.1.0"
