"""A resident with a scripted model behind the real app and the real server: fills are known beforehand.

`python tests/wire/scripted_resident.py --model embedded [--socket PATH] [--step-ms 5] [--steps 4] [--verbs a,b]
[--instructions] [--unsure]`

Every hole is filled with `filled_<id>`, or with TEXT where the hole's line has a comment `# expect: TEXT` (`//` works
too; `\\n` in TEXT is a line break). A rewriting by the verb or the instruction "make it shorter" gets
`did_make_it_shorter`. Candidates after the first get `filled_<id>_2`, `filled_<id>_3`, ...; a seed skips as many.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from midfill.model.engine.engine import ReportProgress
from midfill.model.engine.family import Job
from midfill.model.serving.listening import AlreadyServed
from midfill.model.serving.serve import run
from midfill.model.wire.api import (
    Candidate,
    ConfidenceSpan,
    ContextBudget,
    DraftPiece,
    Fill,
    HoleDraft,
    Infill,
    InfillRequest,
    ModelInfo,
    Step,
    StopReason,
    TextPart,
    Usage,
)
from midfill.model.wire.errors import CheckpointError, RequestError

_LANGUAGES = ("python", "javascript", "typescript", "go", "rust", "java", "c", "cpp", "lua")


@dataclass
class ScriptedModel:
    """Fills holes by script. step_s: how long each unit takes; num_steps: denoising steps per candidate."""

    name: str = "embedded"
    step_s: float = 0.005
    num_steps: int = 4
    verbs: tuple[str, ...] = ()
    follows_instructions: bool = False
    is_unsure: bool = False
    context: str = field(default="", init=False)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=self.name,
            family="scripted",
            revision="scripted",
            licence="Apache-2.0",
            languages=_LANGUAGES,
            capabilities=("infill", "joint", "draft", *(("instructions",) if self.follows_instructions else ())),
            max_holes=16,
            max_canvas_tokens=256,
            context=ContextBudget(prefix_chars=2400, suffix_chars=1000, snippet_chars=1000, joint_chars=500),
            num_parameters=1,
            device="cpu",
            precision="float32",
            verbs=self.verbs,
        )

    def infill(self, request: InfillRequest, received_at_s: float) -> Job:
        if len(request.holes) > self.info.max_holes:
            raise RequestError(f"{len(request.holes)} holes are too many for {self.name}: ask for at most 16 at once.")
        if not self.follows_instructions and request.instruction not in (None, *self.verbs):
            raise RequestError(f"{self.name} does not follow instructions.")
        return self._steps(request, received_at_s)

    def _steps(self, request: InfillRequest, received_at_s: float) -> Job:
        context = "".join(part.text if isinstance(part, TextPart) else "\0" for part in request.parts)
        differences = (at for at, pair in enumerate(zip(context, self.context, strict=False)) if pair[0] != pair[1])
        num_cached = next(differences, min(len(context), len(self.context))) // 4
        encode_started_s = time.monotonic()
        for _ in range(0, len(context) // 4 - num_cached, 128):
            time.sleep(self.step_s)
            yield None
        self.context = context
        encoded_s = time.monotonic()
        answers, num_passes, stopped = [], 0, False
        for index in range(request.candidates):
            texts = _texts(request, index)
            for step in range(1, self.num_steps + 1):
                if request.deadline_ms is not None and time.monotonic() > received_at_s + request.deadline_ms / 1000:
                    stopped = True
                    break
                time.sleep(self.step_s)
                num_passes += 1
                yield Step(index, step, tuple(_draft(id_, text, step / self.num_steps) for id_, text in texts.items()))
            if stopped:
                break
            confidence = max(0.9 - 0.1 * index, 0.1)
            of_tokens = 0.3 if self.is_unsure else confidence
            fills = tuple(_fill(id_, text, confidence, of_tokens) for id_, text in texts.items())
            answers.append(Candidate(fills, confidence))
        reason: StopReason = "deadline" if stopped else "closed" if request.candidates else "primed"
        canvas_tokens = sum(hole.max_tokens for hole in request.holes) * request.candidates
        fill_tokens = sum(len(fill.text) // 4 + 1 for answer in answers for fill in answer.fills)
        usage = Usage(
            context_tokens=len(context) // 4,
            cached_tokens=num_cached,
            canvas_tokens=max(canvas_tokens, fill_tokens),
            fill_tokens=fill_tokens,
            forward_passes=num_passes,
            encode_ms=(encoded_s - encode_started_s) * 1000,
            denoise_ms=(time.monotonic() - encoded_s) * 1000,
        )
        yield Infill(tuple(answers), reason, usage, self.name)


def _texts(request: InfillRequest, index: int) -> dict[str, str]:
    texts = {}
    for position, part in enumerate(request.parts):
        if isinstance(part, TextPart):
            continue
        after = "".join(later.text for later in request.parts[position + 1 :] if isinstance(later, TextPart))
        expected = re.search(r"(?:#|//|--)\s*expect: (.*)", after.partition("\n")[0])
        name = f"filled_{part.hole.id}"
        if request.instruction is not None:
            name = "_".join(["did", *re.findall(r"\w+", request.instruction)])
        text = expected[1].rstrip().replace("\\n", "\n") if expected else name
        number = index + (request.seed or 0)
        texts[part.hole.id] = text if number == 0 else f"{name}_{number + 1}"
    return texts


def _draft(id_: str, text: str, share: float) -> HoleDraft:
    settled = round(len(text) * share)
    pieces = (DraftPiece(text[:settled], True), DraftPiece("?" * (len(text) - settled), False))
    return HoleDraft(id_, tuple(piece for piece in pieces if piece.text))


def _fill(id_: str, text: str, confidence: float, of_tokens: float) -> Fill:
    return Fill(id_, text, confidence, (ConfidenceSpan(0, len(text), of_tokens),))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--step-ms", type=float, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--idle-exit-s", type=float, default=900)
    parser.add_argument("--load-s", type=float, default=0, help="how long loading takes")
    parser.add_argument("--verbs", default="", help="what it knows, with commas between")
    parser.add_argument("--instructions", action="store_true", help="follow free instructions")
    parser.add_argument("--unsure", action="store_true", help="say 0.3 of every token")
    parser.add_argument("--fail", metavar="SENTENCE", help="fail to load, with this sentence")
    options = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stderr, level=logging.INFO)

    def load(report: ReportProgress) -> ScriptedModel:
        for step in range(10):
            report(step / 10, "Reading the script.")
            time.sleep(options.load_s / 10)
        if options.fail:
            raise CheckpointError(options.fail)
        verbs = tuple(verb for verb in options.verbs.split(",") if verb)
        step_s, follows = options.step_ms / 1000, options.instructions
        return ScriptedModel(options.model, step_s, options.steps, verbs, follows, options.unsure)

    try:
        return run(load, model_name=options.model, idle_exit_s=options.idle_exit_s, socket_path=options.socket)
    except AlreadyServed as already:
        print(f"{options.model} is {already}.", file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(main())
