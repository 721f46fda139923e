"""The arguments of a call as a changed signature wants them: what can be told from the two signatures alone.

Removed, renamed, reordered parameters and those whose default went away leave nothing open. Only the value of a new
parameter without a default is not known: it is a hole. Knows arguments and signatures, no text of the file.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from midfill.lsp_server.calls.call_sites import Argument
from midfill.lsp_server.text.signatures import Signature

_KIND = inspect.Parameter
_POSITIONAL = (_KIND.POSITIONAL_ONLY, _KIND.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class NewArgument:
    """old: the argument of the call that it is; where there is none, `value` is its text, None a hole. keyword: "" for
    an argument by position or with stars."""

    keyword: str = ""
    old: Argument | None = None
    value: str | None = None


def fits(arguments: Sequence[Argument], signature: Signature) -> bool:
    return _bound(arguments, signature) is not None


def rebound(arguments: Sequence[Argument], before: Signature, now: Signature) -> tuple[NewArgument, ...] | None:
    """The arguments of a call that fitted `before`, as `now` wants them; None where that cannot be told."""
    if any(one.star for one in arguments):
        return _rebound_with_stars(arguments, before, now)
    bound = _bound(arguments, before)
    if bound is None:
        return None
    new_names = _new_names(before, now)
    parameters = now.parameters.parameters
    values: dict[str, Argument] = {}
    rest: Sequence[Argument] = ()
    named: dict[str, Argument] = {}
    for name, value in bound.items():
        match before.parameters.parameters[name].kind:
            case _KIND.VAR_POSITIONAL:
                rest = value
            case _KIND.VAR_KEYWORD:
                named = value
            case _ if name in new_names:
                values[new_names[name]] = value
    values |= {name: value for name, value in named.items() if name in parameters}
    others = [NewArgument(name, value) for name, value in named.items() if name not in parameters]
    kinds = {parameter.kind for parameter in parameters.values()}
    if (rest and _KIND.VAR_POSITIONAL not in kinds) or (others and _KIND.VAR_KEYWORD not in kinds):
        return None
    defaults = {new: before.parameters.parameters[old].default for old, new in new_names.items()}
    by_position, by_keyword = _laid_out(now, values, defaults, num_rest=len(rest))
    kept = [one for one in (*by_keyword, *others) if one.old is not None]
    kept.sort(key=_place)
    added = [one for one in by_keyword if one.old is None]
    return (*by_position, *(NewArgument(old=one) for one in rest), *kept, *added)


def _place(argument: NewArgument) -> int:
    return argument.old.span.start if argument.old else 0


def _laid_out(
    now: Signature, values: Mapping[str, Argument], defaults: Mapping[str, object], *, num_rest: int
) -> tuple[list[NewArgument], list[NewArgument]]:
    """What goes by position and what by keyword. A parameter that is left out ends what can go by position, unless
    something behind it can go in no other way. defaults: what each parameter was when it was left out, by its name."""
    parameters = now.parameters.parameters.values()
    positional = [one for one in parameters if one.kind in _POSITIONAL]
    needed = [at for at, one in enumerate(positional, 1) if one.kind is _KIND.POSITIONAL_ONLY and _must_be(one, values)]
    num_needed = len(positional) if num_rest else max(needed, default=0)
    by_position: list[NewArgument] = []
    by_keyword: list[NewArgument] = []
    is_open = True
    for at, parameter in enumerate(positional):
        value = values.get(parameter.name)
        if at < num_needed:
            by_position.append(NewArgument(old=value, value=_text(parameter, defaults)))
        elif not _must_be(parameter, values):
            is_open = False
        elif is_open and (value is None or value.keyword is None):
            by_position.append(NewArgument(old=value, value=_text(parameter, defaults)))
        else:
            is_open = False
            by_keyword.append(NewArgument(parameter.name, value, _text(parameter, defaults)))
    by_keyword += [
        NewArgument(one.name, values.get(one.name), _text(one, defaults))
        for one in parameters
        if one.kind is _KIND.KEYWORD_ONLY and _must_be(one, values)
    ]
    return by_position, by_keyword


def _must_be(parameter: inspect.Parameter, values: Mapping[str, Argument]) -> bool:
    """Whether a call has to have an argument for it: it has one, or there is no default."""
    return parameter.name in values or parameter.default is _KIND.empty


def _text(parameter: inspect.Parameter, defaults: Mapping[str, object]) -> str | None:
    """What a call that says nothing means: the default that is, or was."""
    known = (parameter.default, defaults.get(parameter.name, _KIND.empty))
    return next((str(default) for default in known if default is not _KIND.empty), None)


def _new_names(before: Signature, now: Signature) -> dict[str, str]:
    """Parameters that are still there, under the name they have now. One is renamed when another name stands in its
    place with the same kind, annotation and default; else it is another parameter."""
    old, new = before.parameters.parameters, now.parameters.parameters
    names = {name: name for name in old if name in new}
    for tag, start, end, new_start, new_end in SequenceMatcher(None, [*old], [*new], autojunk=False).get_opcodes():
        if tag != "replace" or end - start != new_end - new_start:
            continue
        for one, other in zip([*old.values()][start:end], [*new.values()][new_start:new_end], strict=True):
            if one.name not in new and other.name not in old and one.replace(name=other.name) == other:
                names[one.name] = other.name
    return names


def _bound(arguments: Sequence[Argument], signature: Signature) -> Mapping[str, Any] | None:
    """What each parameter gets; None where the call does not fit."""
    keywords = {one.keyword: one for one in arguments if one.keyword is not None}
    by_position = [one for one in arguments if one.keyword is None]
    if len(keywords) + len(by_position) != len(arguments) or any(one.star for one in arguments):
        return None
    try:
        return signature.parameters.bind(*by_position, **keywords).arguments
    except TypeError:
        return None


def _rebound_with_stars(
    arguments: Sequence[Argument], before: Signature, now: Signature
) -> tuple[NewArgument, ...] | None:
    """What is unpacked could fill any parameter: told only as far as the names of keywords, and only where what goes
    by position is what it was."""
    new_names = _new_names(before, now)
    old = [one for one in before.parameters.parameters.values() if one.kind in (*_POSITIONAL, _KIND.VAR_POSITIONAL)]
    new = [one for one in now.parameters.parameters.values() if one.kind in (*_POSITIONAL, _KIND.VAR_POSITIONAL)]
    if [(new_names.get(one.name), one.kind) for one in old] != [(one.name, one.kind) for one in new]:
        return None
    kept = []
    for one in arguments:
        keyword = one.keyword or ""
        if keyword in before.parameters.parameters and keyword not in new_names:
            continue  # its parameter was removed
        kept.append(NewArgument(new_names.get(keyword, keyword), one))
    given = {one.keyword for one in kept} | set(new_names.values())
    has_all = any(one.star == "**" for one in arguments)
    missing = [
        NewArgument(one.name)
        for one in now.parameters.parameters.values()
        if one.kind is _KIND.KEYWORD_ONLY and one.default is _KIND.empty and one.name not in given and not has_all
    ]
    return (*kept, *missing)
