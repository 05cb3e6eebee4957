"""`python -m checkpoints`."""

from __future__ import annotations

import gc
import sys

from .cli import main

if __name__ == "__main__":
    # A listing makes many small objects and no cycles; to look for cycles among them would take a tenth of its time.
    gc.set_threshold(100_000)
    sys.exit(main())
