"""The real language server, except that the resident it starts has a scripted model (`$SCRIPTED_RESIDENT`: the command
that starts it, as JSON)."""

import json
import os
import sys

from midfill.lsp_server.main import main
from midfill.lsp_server.resident import starting


def scripted_command(model: str, keep_alive_s: float) -> list[str]:
    return [*json.loads(os.environ["SCRIPTED_RESIDENT"]), "--model", model, "--idle-exit-s", str(keep_alive_s)]


starting.resident_command = scripted_command
sys.exit(main(sys.argv[1:]))
