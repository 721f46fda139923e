"""Which licences the corpus may stand under, and what a package says of its own. Knows no list of packages."""

import re
from email.message import Message
from typing import Any

ALLOWED_LICENCES = frozenset(
    {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "ISC", "0BSD", "Unlicense"}
)


class LicenceError(ValueError):
    """A package's own metadata does not say what the list says."""


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression without parentheses leaves a choice of only allowed licences."""
    return any(ALLOWED_LICENCES.issuperset(choice.split(" AND ")) for choice in expression.split(" OR "))


def check_licence(project: str, listed: str, found: str) -> None:
    """Raise LicenceError, which names `project`, unless what it states, `found`, is the licence on the list."""
    is_same_family = found == "BSD" and listed in {"BSD-2-Clause", "BSD-3-Clause"}
    if found != listed and not is_same_family:
        raise LicenceError(
            f"{project}: the list says {listed}, the package itself says {found}; "
            "correct the list, or take the package off it"
        )


def metadata_licence(metadata: Message) -> str:
    """The SPDX expression that METADATA states, "BSD" where it does not say which, "unknown" where it says nothing."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = " ".join(text for text in metadata.get_all("Classifier", []) if text.startswith("License"))
    stated = f"{metadata.get('License', '')} {classifiers}"
    if COPYLEFT.search(stated):
        return "copyleft"
    return next((licence for pattern, licence in _STATED_LICENCES if re.search(pattern, stated)), "unknown")


def package_json_licence(content: dict[str, Any]) -> str:
    """The SPDX expression that a package.json states, "unknown" where it states none that can be read."""
    stated = content.get("license") or content.get("licenses")
    choices = stated if isinstance(stated, list) else [stated]
    names = [choice.get("type") if isinstance(choice, dict) else choice for choice in choices]
    texts = [name.strip().removeprefix("(").removesuffix(")") for name in names if isinstance(name, str)]
    return " OR ".join(texts) if len(texts) == len(names) and all(texts) else "unknown"


_STATED_LICENCES = (
    (r"Apache", "Apache-2.0"),
    (r"BSD-3-Clause|BSD 3-Clause", "BSD-3-Clause"),
    (r"BSD-2-Clause", "BSD-2-Clause"),
    (r"BSD|Redistribution and use in source", "BSD"),
    (r"\bMIT\b|Permission is hereby granted, free of charge", "MIT"),
    (r"\bISC\b", "ISC"),
    (r"Python Software Foundation|PSF-2\.0", "PSF-2.0"),
)
COPYLEFT = re.compile(
    r"\b[AL]?GPL|GNU (?:Lesser|Library|Affero|General)|\bMPL\b|Mozilla Public|\bEUPL\b|\bCDDL\b|\bEPL-|Eclipse Public"
    r"|CeCILL|Creative Commons|\bCC[- ]BY|\bSSPL\b|Business Source Licen[sc]e"
)
