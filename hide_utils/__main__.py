"""`python -m hide_utils`: the same as the command `hide`."""

import sys

from hide_utils.cli.main import main

sys.exit(main())
