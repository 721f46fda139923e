"""What of a request every family reads alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from midfill.model.families.diffusion_gemma.prompt import Document, chat_prompt, clamped_prompt, document_of
from midfill.model.families.request_text import short_path, texts_around
from midfill.model.families.vllm.prompt import fill_prompt, rewrite_prompt
from midfill.model.wire.api import Hole, HolePart, InfillRequest, Snippet, TextPart


def test_texts_next_to_each_other_are_one() -> None:
    parts = (TextPart("a"), TextPart("b"), HolePart(Hole("1")), HolePart(Hole("2")), TextPart("c"))
    assert texts_around(InfillRequest(parts)) == ["ab", "", "c"]


@pytest.mark.parametrize(
    ("path", "short"), [("/home/ada/shop/cart.py", "shop/cart.py"), ("cart.py", "cart.py"), ("", "")]
)
def test_a_file_is_called_by_its_name_and_folder(path: str, short: str) -> None:
    assert short_path(path) == short


def chat(document: Document) -> tuple[str, ...]:
    return (chat_prompt(document, (Hole("1"),), None)[0],)


def rewriting(document: Document) -> tuple[str, ...]:
    return rewrite_prompt(document, "old", None)


@pytest.mark.parametrize("prompt", [clamped_prompt, chat, fill_prompt, rewriting])
def test_no_model_is_told_where_files_lie_on_the_disk(prompt: Callable[[Document], tuple[str, ...]]) -> None:
    request = InfillRequest(
        (HolePart(Hole("1")),), path="/home/ada/shop/cart.py", context=(Snippet("/home/ada/shop/price.py", "VAT = 19"),)
    )
    told = "".join(prompt(document_of(request)))
    assert "shop/cart.py" in told
    assert "shop/price.py" in told
    assert "ada" not in told
