"""The failures that an editor is told about, as JSON-RPC errors with a sentence and never a traceback."""

from __future__ import annotations

from pygls.exceptions import JsonRpcException

CONTENT_MODIFIED = -32801
REQUEST_FAILED = -32803
INVALID_PARAMS = -32602
INVALID_REQUEST = -32600
PARSE_ERROR = -32700
SERVER_NOT_INITIALIZED = -32002
INTERNAL_ERROR = -32603


class RefusedError(JsonRpcException):
    """What was asked for cannot be done; the message says why and what to do."""

    CODE = REQUEST_FAILED


class StaleDocumentError(JsonRpcException):
    """The document is not the one the edit was asked for, so there is no edit."""

    CODE = CONTENT_MODIFIED
    MESSAGE = "The document changed meanwhile, so nothing was filled; ask again."


class InvalidArgumentsError(JsonRpcException):
    """A command or a code action came with data that this server never hands out."""

    CODE = INVALID_PARAMS


class NotInitializedError(JsonRpcException):
    """A request came before `initialize`."""

    CODE = SERVER_NOT_INITIALIZED
    MESSAGE = "The first request must be initialize; nothing was done."


class InvalidRequestError(JsonRpcException):
    """A request that may not come now, or that is none."""

    CODE = INVALID_REQUEST


class InternalError(JsonRpcException):
    """A defect of midfill. The details are in the log, without the document's text."""

    CODE = INTERNAL_ERROR
    MESSAGE = "midfill failed inside; the language server's log says where. Nothing was changed."
