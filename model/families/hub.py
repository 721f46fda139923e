"""Checkpoints by the name that they have on a model hub: downloaded with progress, resumed, and taken from the cache.

huggingface_hub does the work, so its environment counts: HF_HOME for where the cache is, HF_HUB_OFFLINE, HF_ENDPOINT,
HF_TOKEN, and the proxy variables. Certificates are checked as everywhere in midfill (`certificates`).
What is downloaded are weights, JSON and templates; never code.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from midfill.model.wire.certificates import WHAT_TO_DO, trusted_by_the_system, why_untrusted
from midfill.model.wire.errors import CheckpointError
from midfill.model.wire.install_command import install_command

ReportProgress = Callable[[float, str], None]

PATTERNS = ("*.safetensors", "*.json", "*.jinja", "merges.txt")
_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_IGNORED = ("*/*",)
"""Folders in a repository hold other formats of the same weights."""


def is_hub_id(name: str) -> bool:
    """`owner/model` or `owner/model@revision`, as long as no such folder stands here."""
    return _HUB_ID.fullmatch(name) is not None and not name.startswith((".", "/", "~"))


def checkpoint_folder(name: str, report: ReportProgress) -> Path | None:
    """The folder that `name` means: a folder on this machine, else a download. None if it is neither."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    return download(name, report) if is_hub_id(name) else None


def download(name: str, report: ReportProgress) -> Path:
    """The snapshot of `owner/model[@revision]`, of which only what is missing is fetched. Raises CheckpointError."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise CheckpointError(
            f"{name} is a model of a hub; to download it, run first: {install_command('diffusiongemma')}"
        )
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    found = _HUB_ID.fullmatch(name)
    assert found is not None, "asked by is_hub_id"
    repository, revision = found["repository"], found["revision"]
    report(0.0, f"looking for {name}")
    http_library = _check_certificates_as_the_system_does()
    try:
        snapshot = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(PATTERNS),
            ignore_patterns=list(_IGNORED),
            tqdm_class=_bar(name, report),
        )
    except GatedRepoError as error:
        raise CheckpointError(
            f"The hub gives {name} only to those who accepted its licence; accept it there and set HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is no model {name}: no folder of that name, and the hub does not have it, or shows it to "
            "others only; see `midfill models`, or set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"The hub has {repository}, but no revision {revision}; leave `@{revision}` out."
        ) from error
    except LocalEntryNotFoundError as error:
        if reason := why_untrusted(error):
            raise CheckpointError(
                f"{name} was not downloaded: the certificate of {constants.ENDPOINT} is not trusted ({reason}); "
                f"{WHAT_TO_DO}."
            ) from error
        raise CheckpointError(
            f"{name} is not in the cache of this machine and the hub cannot be reached; connect (a proxy is taken from "
            f"HTTPS_PROXY), or download it elsewhere with `hf download {repository}` and give the folder's path."
        ) from error
    except http_library.ProxyError as error:
        raise CheckpointError(
            f"{name} was not downloaded: the proxy on the way to {constants.ENDPOINT} refused ({error}); correct "
            "HTTPS_PROXY, or list the host in NO_PROXY."
        ) from error
    except (HfHubHTTPError, http_library.HTTPError, OSError) as error:
        raise CheckpointError(
            f"{name} was not downloaded: {str(error).splitlines()[0]} Try again; what is there already is kept."
        ) from error
    return Path(snapshot)


def _check_certificates_as_the_system_does() -> Any:
    """For all that huggingface_hub fetches from now on. Returns its HTTP library, httpx or httpx2 by its version."""
    from huggingface_hub import get_session, set_client_factory

    given = get_session()
    client, hooks = type(given), given.event_hooks
    set_client_factory(
        lambda: client(event_hooks=hooks, follow_redirects=True, timeout=None, verify=trusted_by_the_system())
    )
    return sys.modules[client.__module__.partition(".")[0]]


def _bar(name: str, report: ReportProgress) -> Any:
    """What huggingface_hub tells its progress: instead of being drawn, it is reported."""
    from tqdm.auto import tqdm

    class Reported(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "gui": False, "disable": False})

        def display(self, *args: Any, **options: Any) -> None:
            if self.unit == "B" and self.total:
                done, total = self.n / 1e9, self.total / 1e9
                report(min(1.0, done / total), f"downloading {name}: {done:.1f} of {total:.1f} GB")

        def close(self) -> None:
            self.disable = True

    return Reported
