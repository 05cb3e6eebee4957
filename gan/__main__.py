"""python -m gan"""

from __future__ import annotations

import sys

from gan.cli import main

sys.exit(main())
