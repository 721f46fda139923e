"""What of a request every family reads alike: the texts around its holes, and how it calls a file."""

from __future__ import annotations

from pathlib import PurePath

from midfill.model.wire.api import InfillRequest, TextPart


def texts_around(request: InfillRequest) -> list[str]:
    """The text before the first hole, between the holes, and behind the last one."""
    texts = [""]
    for part in request.parts:
        if isinstance(part, TextPart):
            texts[-1] += part.text
        else:
            texts.append("")
    return texts


def short_path(path: str) -> str:
    """A file's name with its folder, for what that says; where that lies on the disk is not the model's matter."""
    return "/".join(PurePath(path).parts[-2:])
