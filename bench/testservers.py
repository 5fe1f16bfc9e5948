"""What starts servers for the tests: it knows how to install one, and how to end what was started."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "servers"))
import common

__all__ = ["common"]
