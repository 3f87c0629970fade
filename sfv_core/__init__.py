"""The headless backend: a video becomes a motion, a motion becomes a policy, a policy becomes a motion again."""

import os

__version__ = "0.1.0"

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Read when numpy is first imported. Our matrices are small: threads that wait for each other made refining 20 times
# slower on a busy machine. torch has threads of its own.
