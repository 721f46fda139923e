"""What a person has paused: everything, languages, workspace folders. Lasts as long as the session does.

While paused, nothing of a file reaches a model, neither unasked nor on demand nor as another file's context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Literal

Scope = Literal["global", "language", "workspace"]


@dataclass(frozen=True)
class PauseTarget:
    """What to pause or resume. name: the language's identifier, or the folder's path; empty for everything."""

    scope: Scope
    name: str = ""


class PauseArgumentError(ValueError):
    """Arguments that name nothing to pause; the message says what is missing."""


@dataclass(frozen=True)
class Pauses:
    everything: bool = False
    languages: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()

    def paused(self, target: PauseTarget) -> Pauses:
        match target.scope:
            case "global":
                return replace(self, everything=True)
            case "language":
                return replace(self, languages=self.languages | {target.name})
        return replace(self, folders=self.folders | {target.name})

    def resumed(self, target: PauseTarget) -> Pauses:
        """Resuming everything ends every pause: nobody should have to find out which one still holds."""
        match target.scope:
            case "global":
                return Pauses()
            case "language":
                return replace(self, languages=self.languages - {target.name})
        return replace(self, folders=self.folders - {target.name})

    def reason(self, language_id: str, path: str | None) -> str | None:
        """Why a file is paused, as a sentence; None if it is not."""
        if self.everything:
            return "midfill is paused; run midfill.resume to go on."
        if language_id in self.languages:
            return f"midfill is paused for {language_id}; run midfill.resume for it to go on."
        for folder in self.folders:
            if path is not None and PurePath(path).is_relative_to(folder):
                return f"midfill is paused in {folder}; run midfill.resume for it to go on."
        return None

    def to_json(self) -> dict[str, Any]:
        return {"global": self.everything, "languages": sorted(self.languages), "folders": sorted(self.folders)}


def read_target(scope: object, language: object, folder: str | None, roots: tuple[str, ...]) -> PauseTarget:
    """The target that a command names; without a folder the workspace's only one. Raises PauseArgumentError."""
    if scope == "global":
        return PauseTarget("global")
    if scope == "language":
        if not isinstance(language, str) or not language:
            raise PauseArgumentError("To pause or resume a language, give its identifier as `language`.")
        return PauseTarget("language", language)
    if scope != "workspace":
        raise PauseArgumentError(f"The `scope` must be global, workspace or language, got {scope!r}.")
    if folder is not None:
        return PauseTarget("workspace", folder)
    if len(roots) != 1:
        choices = ", ".join(roots) or "there is none here"
        raise PauseArgumentError(f"Give the workspace's `folder` (as a URI); the folders: {choices}.")
    return PauseTarget("workspace", roots[0])
