"""Import tests/servers/common.py, which installs, starts and ends servers."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "servers"))
import common

__all__ = ["common"]
