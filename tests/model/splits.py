"""Corpus splits for tests, as `midfill train corpus` writes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from midfill.model.measuring.split import SplitFile

SCRIPT = "\n".join(
    f"/** Adds {a}\n * to {b}. */\nfunction add_{a}({a}, {b}) {{\n  // the sum\n  const total = {a} + {b};\n"
    "  return total;\n}\n"
    for a, b in [("alpha", "beta"), ("gamma", "delta"), ("omega", "sigma"), ("kappa", "theta")] * 2
)
"""JavaScript that is TypeScript too."""


def write_split(corpus: Path, split: str, *files: SplitFile | str) -> None:
    """A text is a file in Python."""
    corpus.mkdir(exist_ok=True)
    with gzip.open(corpus / f"{split}.jsonl.gz", "wt", encoding="utf-8") as lines:
        for number, file in enumerate(files):
            of = SplitFile(file) if isinstance(file, str) else file
            line = {"package": of.package, "version": "1", "language": of.language, "text": of.text}
            lines.write(json.dumps(line | {"path": of.path or f"file_{number}"}) + "\n")
