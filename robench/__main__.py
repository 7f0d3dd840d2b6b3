"""`python -m robench` is the command `robench`."""

import sys

from robench.cli.main import main

sys.exit(main())
