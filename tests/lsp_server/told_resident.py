"""The scripted resident, except that its answers are told beforehand, whatever the text is.

`--fill TEXT`, once for each candidate (the last one stands for all further ones), or `--types FILE`: what FILE says
next, in the ways in which models go wrong (`oracle.py`). All other options are the scripted resident's own.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "wire")]

import oracle  # noqa: E402
import scripted_resident  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--fill", action="append")
parser.add_argument("--types", type=Path)
options, sys.argv[1:] = parser.parse_known_args()
if options.types:
    scripted_resident._texts = oracle.answering(options.types.read_text("utf-8"))
elif options.fill:
    scripted_resident._texts = lambda request, index: {
        hole.id: options.fill[min(index, len(options.fill) - 1)] for hole in request.holes
    }
sys.exit(scripted_resident.main())
