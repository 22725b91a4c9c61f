# SPDX-License-Identifier: Apache-2.0
"""`python3 -m pidinfod`."""

import sys

from pidinfod.cli.main import main

sys.exit(main())
