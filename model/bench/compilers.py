"""`python -m midfill.model.bench.compilers FOLDER`: a masked model's forward pass compiled by Torch-TensorRT, beside
PyTorch's own compiler and eager: how far the logits are from eager's, what compiling and what a pass takes.

An experiment: no family is compiled where it serves. docs/TORCH_TENSORRT.md says why, and what of this never ran.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor, nn

from midfill.model.bench.timing import elapsed_ms, median_ms
from midfill.model.families.masked.denoiser import MaskedDenoiser
from midfill.model.families.masked.loading import load_masked
from midfill.model.wire.errors import MidfillModelError

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""How far logits may be from eager's: the root of the mean square of the difference, as a share of the logits' own
deviation. A compiler orders sums anew, and on a GPU float32 products may be TF32; what it gets wrong is far beyond."""
_ROUNDS = 20


class Backend(StrEnum):
    """eager and aot_eager compile nothing: they trace the network, and find what would not compile."""

    EAGER = "eager"
    AOT_EAGER = "aot_eager"
    INDUCTOR = "inductor"
    TENSORRT = "tensorrt"


class CompilersError(MidfillModelError):
    """It cannot be compiled or measured here, or what was compiled is wrong."""


_COMPARED = [Backend.INDUCTOR, Backend.TENSORRT]


@dataclass(frozen=True, slots=True)
class Outcome:
    """difference: as TOLERANCE has it; agreement: the share of places with the same likeliest token; compile_s: what
    the first pass took beyond a later one."""

    backend: str
    difference: float
    agreement: float
    compile_s: float
    pass_ms: float


class FullForward(nn.Module):
    """Logits at every place: ids (B, T) and visible (B, 1, T, T) bool to (B, T, V), float32."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, visible: Tensor) -> Tensor:
        hidden = self.network.model(input_ids=ids, attention_mask=visible, use_cache=False).last_hidden_state
        logits: Tensor = self.network.lm_head(hidden)
        return logits.float()


def compare(folder: Path, backends: list[Backend], rows: int, tokens: int, precision: str) -> list[Outcome]:
    """Eager first, then each backend. Raises CompilersError where one is not here or is further off than TOLERANCE."""
    for backend in backends:
        _check_is_here(backend)
    denoiser = load_masked(folder, lambda share, sentence: None, precision).denoiser
    assert isinstance(denoiser, MaskedDenoiser)
    network, device = FullForward(denoiser.loaded.network), denoiser.device
    ids, visible = _texts(denoiser, rows, min(tokens, denoiser.max_tokens))
    dtype = next(network.parameters()).dtype
    is_text = visible[:, 0, 0]  # (B, T)

    def measured(
        name: str, forward: Callable[[Tensor, Tensor], Tensor], reference: Tensor | None
    ) -> tuple[Outcome, Tensor]:
        first_ms = elapsed_ms(device, lambda: forward(ids, visible))
        logits = forward(ids, visible)[is_text].clone()
        pass_ms = median_ms(device, lambda: forward(ids, visible), _ROUNDS)
        reference = logits if reference is None else reference
        difference = float((logits - reference).square().mean().sqrt() / reference.std())
        agreement = float((logits.argmax(-1) == reference.argmax(-1)).float().mean())
        return Outcome(name, difference, agreement, max(0.0, first_ms - pass_ms) / 1000, pass_ms), logits

    with torch.inference_mode():
        outcome, reference = measured("not compiled", network, None)
        outcomes = [outcome]
        for backend in backends:
            outcome, _ = measured(backend, _compiled(network, backend, device), reference)
            if not outcome.difference <= TOLERANCE[dtype]:
                raise CompilersError(
                    f"{backend} computes other logits: {outcome.difference:.2g} of their deviation from eager's, where "
                    f"{TOLERANCE[dtype]:g} is allowed in {dtype}; its times mean nothing."
                )
            outcomes.append(outcome)
    return outcomes


def _check_is_here(backend: Backend) -> None:
    if backend != Backend.TENSORRT:
        return
    if not torch.cuda.is_available():
        raise CompilersError(
            "TensorRT needs an NVIDIA GPU and a torch with CUDA, and torch finds no GPU here; leave it out with "
            "`--backend inductor`."
        )
    if importlib.util.find_spec("torch_tensorrt") is None:
        raise CompilersError(
            f"torch_tensorrt is not installed; `pip install torch-tensorrt`, the release for torch {torch.__version__}."
        )


def _compiled(network: nn.Module, backend: Backend, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """One graph for one shape; a network that does not compile as a whole raises torch's own error."""
    torch.compiler.reset()
    options: dict[str, Any] = {"backend": backend.value}
    if backend == Backend.TENSORRT:
        import torch_tensorrt  # type: ignore[import-not-found]  # noqa: F401 - makes the backend known

        options = {"backend": "torch_tensorrt", "options": {"truncate_double": True}}
    elif backend == Backend.INDUCTOR and device.type == "cuda":
        options["mode"] = "reduce-overhead"  # CUDA graphs: what TensorRT has to beat
    compiled: Callable[[Tensor, Tensor], Tensor] = torch.compile(network, fullgraph=True, dynamic=False, **options)
    return compiled


def _texts(denoiser: MaskedDenoiser, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Ids and what sees what, of `rows` texts, each a little shorter than the one before, as rows that suppose
    different lengths of a hole are."""
    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(denoiser.loaded.network.config.vocab_size, (rows, tokens), generator=drawn)
    ids[:, tokens // 2 : tokens // 2 + 8] = denoiser.tokenizer.mask_id
    lengths = torch.tensor([max(1, tokens - 2 * row) for row in range(rows)])
    is_text = torch.arange(tokens) < lengths.unsqueeze(-1)  # (B, T)
    visible = is_text[:, None, None, :].expand(rows, 1, tokens, tokens).contiguous()
    return ids.to(denoiser.device), visible.to(denoiser.device)


def compilers(
    folder: Annotated[Path, typer.Argument(help="A masked model's checkpoint, as docs/MASKED_MODELS.md has them.")],
    backend: Annotated[list[Backend], typer.Option(help="Repeat it for several.")] = _COMPARED,
    rows: Annotated[int, typer.Option(min=1, help="Texts in one pass.")] = 4,
    tokens: Annotated[int, typer.Option(min=16, help="Tokens of the longest.")] = 512,
    precision: Annotated[Literal["auto", "bfloat16", "float32"], typer.Option(help="auto: as it is stored.")] = "auto",
) -> None:
    """Logits and times of a masked model, not compiled and compiled."""
    for outcome in compare(folder, backend, rows, tokens, precision):
        print(
            f"{outcome.backend:12} {outcome.pass_ms:9.2f} ms a pass  {outcome.compile_s:7.1f} s more the first time  "
            f"off by {outcome.difference:.1e} of the deviation  {outcome.agreement:.2%} same token"
        )


def main() -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(compilers)
    try:
        app(prog_name="python -m midfill.model.bench.compilers")
    except MidfillModelError as error:
        sys.exit(f"midfill: {error}")


if __name__ == "__main__":
    main()
