"""The helpers beside the tests are importable, in the tests and in the processes that they start."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
