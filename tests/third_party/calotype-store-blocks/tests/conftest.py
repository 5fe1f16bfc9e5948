"""The driver is tested from its sources, because it is not one of the project's own distributions."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
