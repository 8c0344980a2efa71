"""`python -m fedwright_operator` is the command line."""

import sys

from fedwright_operator.cli import main

sys.exit(main())
