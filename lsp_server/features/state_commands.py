"""The commands about midfill itself: pause and resume, status, counters, restarting the model, accepted suggestions.

docs/PROTOCOL.md describes them for people who write clients; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from midfill.lsp_server.lsp.document import path_of
from midfill.lsp_server.lsp.errors import InvalidArgumentsError, RefusedError
from midfill.lsp_server.lsp.protocol import ACCEPTED
from midfill.lsp_server.resident.resident import ResidentError
from midfill.lsp_server.text.verbs import title_of
from midfill.lsp_server.workspace.pauses import PauseArgumentError, PauseTarget, read_target
from midfill.lsp_server.workspace.session import Session
from midfill.lsp_server.workspace.status import RESTART_RESIDENT, RESUME

PAUSE = "midfill.pause"
STATUS = "midfill.status"
STATS = "midfill.stats"

StateCommand = Callable[[Session, dict[str, Any]], Awaitable[Any]]


async def accepted(session: Session, argument: dict[str, Any]) -> None:
    """{id}: the person took this suggestion. An id that was forgotten meanwhile is no error."""
    session.stats.accept(_text(argument, "id"))


async def pause(session: Session, argument: dict[str, Any]) -> dict[str, Any]:
    session.pause(_pause_target(session, argument))
    return session.pauses.to_json()


async def resume(session: Session, argument: dict[str, Any]) -> dict[str, Any]:
    session.resume(_pause_target(session, argument))
    return session.pauses.to_json()


async def status(session: Session, argument: dict[str, Any]) -> dict[str, Any]:
    """{uri?}: what the editor's status line says and why; of a document why it is not sent (None: it may be) and
    where its ghost text comes from."""
    info = session.resident.info_if_ready
    model = info and {
        "name": info.name,
        "device": info.device,
        "precision": info.precision,
        "verbs": [{"name": verb, "title": title_of(verb)} for verb in info.verbs],
        "instructions": "instructions" in info.capabilities,
    }
    answer = {**session.status_board.status.to_json(), "model": model, "paused": session.pauses.to_json()}
    if argument.get("uri") is None:
        return answer
    uri = _text(argument, "uri")
    if uri not in session.documents:
        raise RefusedError(f"{uri} is not open here; open it to ask for its status.")
    snapshot = session.documents.get(uri)
    reason = session.why_not_sent(snapshot)
    source = session.inline_source(snapshot)
    answer["document"] = {"uri": uri, "language": snapshot.language_id, "reason": reason, "inline": source}
    return answer


async def stats(session: Session, argument: dict[str, Any]) -> dict[str, Any]:
    return {**asdict(session.stats.totals()), "counting": session.settings.stats}


async def restart_resident(session: Session, argument: dict[str, Any]) -> dict[str, Any]:
    try:
        await session.resident.restart()
    except ResidentError as error:
        raise RefusedError(str(error)) from None
    return await status(session, {})


STATE_COMMANDS: dict[str, StateCommand] = {
    ACCEPTED: accepted,
    PAUSE: pause,
    RESUME: resume,
    STATUS: status,
    STATS: stats,
    RESTART_RESIDENT: restart_resident,
}


async def run_state_command(session: Session, name: str, arguments: tuple[Any, ...]) -> Any:
    """Raises InvalidArgumentsError unless there is one object, or nothing, as the argument."""
    argument = arguments[0] if arguments else {}
    if len(arguments) > 1 or not isinstance(argument, dict):
        raise InvalidArgumentsError(f"{name} takes one object as its argument.")
    return await STATE_COMMANDS[name](session, argument)


def _pause_target(session: Session, argument: dict[str, Any]) -> PauseTarget:
    folder = argument.get("folder")
    if folder is not None and (not isinstance(folder, str) or (folder := path_of(folder)) is None):
        raise InvalidArgumentsError("The `folder` must be the URI of a workspace folder.")
    try:
        return read_target(argument.get("scope", "global"), argument.get("language"), folder, session.roots)
    except PauseArgumentError as error:
        raise InvalidArgumentsError(str(error)) from None


def _text(argument: dict[str, Any], name: str) -> str:
    value = argument.get(name)
    if not isinstance(value, str):
        raise InvalidArgumentsError(f"The argument needs `{name}`, a string.")
    return value
