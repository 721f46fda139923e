"""`python -m midfill.lsp_server` is the `midfill` command."""

import sys

from midfill.lsp_server.cli import main

sys.exit(main())
