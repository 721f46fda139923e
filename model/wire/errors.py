"""The failures a person can act on. Each message says what happened, to what, and what to do."""

from __future__ import annotations


class MidfillModelError(Exception):
    """Any failure of the model side; `status` is the HTTP status it becomes."""

    status = 500
    title = "The model failed"


class RequestError(MidfillModelError):
    """The request cannot be served by this model: too many holes, a hole too long, an unknown capability."""

    status = 422
    title = "The request cannot be served"


class CheckpointError(MidfillModelError):
    """A checkpoint is missing, truncated, or does not match its configuration."""

    title = "The checkpoint cannot be loaded"
