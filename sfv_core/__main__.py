"""Run the command line: `python -m sfv_core …`."""

import sys

from .cli import main

sys.exit(main())
