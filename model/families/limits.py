"""What every family that denoises here refuses before it plans: more holes, or longer ones, than it says it fills."""

from __future__ import annotations

from midfill.model.wire.api import InfillRequest, ModelInfo
from midfill.model.wire.errors import RequestError


def check_holes(request: InfillRequest, info: ModelInfo) -> None:
    """Raises RequestError."""
    if len(request.holes) > info.max_holes:
        raise RequestError(
            f"The request has {len(request.holes)} holes, {info.name} fills at most {info.max_holes} together; send "
            "them in groups."
        )
    for hole in request.holes:
        if hole.max_tokens > info.max_canvas_tokens:
            raise RequestError(
                f"Hole {hole.id} asks for {hole.max_tokens} tokens, {info.name} fills at most "
                f"{info.max_canvas_tokens} in one hole; lower max_tokens or split the hole."
            )
