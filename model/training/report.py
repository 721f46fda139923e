"""What a corpus consists of, for people: `report.json` and the split files as one page of Markdown."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.measuring.languages import FAMILIES
from midfill.model.training.packages import SPLITS
from midfill.model.wire.errors import MidfillModelError

REASONS = {
    "project cap": "past the share that one project may have; not looked at further",
    "tests cap": "past the share that tests may have in a project; not looked at further",
    "generated": "says that it is generated, or its name does",
    "too small": "nearly empty",
    "too large": "more bytes than a file may have",
    "built": "compiled, bundled or minified, by its path or its text",
    "vendored": "another project's code in this one's folders",
    "long line": "a line longer than allowed",
    "data table": "mostly literals",
    "does not parse": "not valid in its language, or in this version of Python",
    "not UTF-8": "bytes that are no text",
    "licence header": "its own header names another licence, or a place it was copied from",
    "duplicate": "the same text as a file taken before",
    "near duplicate": "nearly the same text as a file taken before",
    "copies held-out": "repeats a part of a validation or test file",
    "benchmark": "shares a window of 20 tokens with a public benchmark",
}
"""What the reasons mean that a build gives for dropping a file."""

_BATCH = 64


class ReportError(MidfillModelError):
    """The corpus folder is not what `midfill train corpus` writes."""

    title = "The corpus cannot be reported on"


@dataclass(slots=True)
class Size:
    """files, characters (code points) and tokens (0 without a tokenizer) of what was kept."""

    files: int = 0
    characters: int = 0
    tokens: int = 0

    def add(self, other: Size) -> None:
        self.files += other.files
        self.characters += other.characters
        self.tokens += other.tokens


def corpus_report(corpus: Path, tokenizer: CodeTokenizer | None = None) -> str:
    """The Markdown page on a corpus folder; with a tokenizer it counts tokens too.

    Raises ReportError if a file is missing, or if the split files are not those that report.json is about."""
    try:
        report: dict[str, Any] = json.loads((corpus / "report.json").read_text(encoding="utf-8"))
        sizes = measure(corpus, tokenizer)
    except (OSError, ValueError) as error:
        raise ReportError(
            f"The corpus {corpus} cannot be read ({error}); make it with `midfill train corpus`."
        ) from error
    packages: dict[str, dict[str, Any]] = report["packages"]
    stated = {name: package["files_out"] for name, package in packages.items() if package["files_out"]}
    found = {name: size.files for name, size in sizes.items()}
    if differing := [name for name in stated | found if stated.get(name) != found.get(name)]:
        raise ReportError(
            f"In {corpus}, report.json and the split files differ in {', '.join(sorted(differing))}; "
            "make the corpus again with `midfill train corpus`."
        )
    limits = ", ".join(f"{name} {value:,}" for name, value in _flat(report["limits"]).items())
    lines = [
        "# Corpus",
        "",
        f"{len(packages)} projects, read with Python {report['python']} in {report['seconds']:.0f} s.",
        f"Limits: {limits}.",
        *_splits(packages, sizes, tokenizer is not None),
        *_dropped(report["dropped"]),
        *_projects(packages, sizes, tokenizer is not None),
    ]
    return "\n".join(lines) + "\n"


def _language(package: dict[str, Any]) -> str:
    """The language of a project; corpora that record none are all Python."""
    return str(package.get("language", "python"))


def _flat(limits: dict[str, Any]) -> dict[str, Any]:
    """The limits with those of each language under a name of their own."""
    flat: dict[str, Any] = {}
    for name, value in limits.items():
        parts = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name} {part}".strip(): number for part, number in parts.items()}
    return flat


def measure(corpus: Path, tokenizer: CodeTokenizer | None) -> dict[str, Size]:
    """The size of what each project has in the split files."""
    sizes: dict[str, Size] = {}
    for split in SPLITS:
        with gzip.open(corpus / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            while batch := [json.loads(line) for line in itertools.islice(lines, _BATCH)]:
                texts = [file["text"] for file in batch]
                ids = tokenizer.encode_batch(texts) if tokenizer else [()] * len(texts)
                for file, text, of_text in zip(batch, texts, ids, strict=True):
                    sizes.setdefault(file["package"], Size()).add(Size(1, len(text), len(of_text)))
    return sizes


def _splits(packages: dict[str, dict[str, Any]], sizes: dict[str, Size], with_tokens: bool) -> Iterable[str]:
    rows = []
    for split, language in itertools.product(SPLITS, FAMILIES):
        names = [name for name, p in packages.items() if (p["split"], _language(p)) == (split, language)]
        if not names:
            continue
        total = Size()
        for name in names:
            total.add(sizes.get(name, Size()))
        found = sum(packages[name]["files_in"] for name in names)
        per_token = f"{total.characters / total.tokens:.2f}" if total.tokens else "-"
        tokens = [f"{total.tokens:,}", per_token] if with_tokens else []
        rows.append(
            [split, language, f"{len(names)}", f"{total.files:,} of {found:,}", f"{total.characters:,}", *tokens]
        )
    head = ["split", "language", "projects", "files kept of found", "characters"]
    return _section("Splits", [*head, *(["tokens", "characters a token"] if with_tokens else [])], rows)


def _dropped(dropped: dict[str, int]) -> Iterable[str]:
    rows = [[reason, f"{count:,}", REASONS.get(reason, "")] for reason, count in Counter(dropped).most_common()]
    return _section("Files dropped", ["reason", "files", "what it means"], rows)


def _projects(packages: dict[str, dict[str, Any]], sizes: dict[str, Size], with_tokens: bool) -> Iterable[str]:
    of_split = Counter({split: 0 for split in SPLITS})
    for name, package in packages.items():
        of_split[package["split"]] += sizes.get(name, Size()).characters
    rows = []
    for name, package in packages.items():
        size = sizes.get(name, Size())
        rows.append(
            [
                name,
                package["version"],
                _language(package),
                package.get("licence", "not recorded"),
                package["split"],
                f"{size.files:,} of {package['files_in']:,}",
                f"{size.characters:,}",
                *([f"{size.tokens:,}"] if with_tokens else []),
                f"{size.characters / max(of_split[package['split']], 1):.1%}",
                ", ".join(f"{count:,} {reason}" for reason, count in Counter(package["dropped"]).most_common()),
            ]
        )
    head = ["project", "version", "language", "licence", "split", "files kept of found", "characters"]
    return _section("Projects", [*head, *(["tokens"] if with_tokens else []), "of its split", "dropped"], rows)


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    table = [head, ["---"] * len(head), *rows]
    return ["", f"## {title}", "", *(f"| {' | '.join(row)} |" for row in table)]
