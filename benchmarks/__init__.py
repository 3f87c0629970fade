"""One command per figure that the project claims."""

import sfv_core  # noqa: F401  numpy must start with as many threads as in the program, and it is not imported yet
