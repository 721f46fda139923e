"""What people complain of in completion tools, and the tests that keep midfill from it: none may lose its name unseen.

Keys are a client's business: the complaints about them are answered by the tests of the clients, in `tests/editors`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

COMPLAINTS = {
    "the suffix is duplicated": ("lsp_server/features/test_inline_completion.py::test_duplicated_suffix",),
    "wrong indentation": ("lsp_server/features/test_inline_completion.py::test_wrong_indentation",),
    "the Tab key is taken": ("editors/neovim/test_ghost_text.py::test_a_key_without_ghost_text_is_itself",),
    "flicker, and ghost text that is lost while it is typed through": (
        "lsp_server/features/test_inline_completion.py::test_typing_through_keeps_the_suggestion",
        "editors/neovim/test_ghost_text.py::test_it_is_typed_through",
    ),
    "stale ghost text": ("lsp_server/features/test_inline_completion.py::test_stale_requests_do_not_queue",),
    "no partial accept": (
        "lsp_server/features/test_inline_completion.py::test_partial_accept_leaves_the_rest",
        "editors/neovim/test_ghost_text.py::test_it_is_taken_by_word_and_by_line",
    ),
    "remote machines and containers": (
        "lsp_server/lsp/test_transports.py::test_7_tcp_serves_several_clients_at_once_and_goes_on_after_one_leaves",
        "lsp_server/resident/test_resident.py::test_the_environment_names_an_endpoint",
    ),
    "no exclusion by language": ("lsp_server/features/test_inline_completion.py::test_languages_can_be_excluded",),
    "secret files are sent": (
        "lsp_server/features/test_inline_completion.py::test_secret_files_are_excluded",
        "lsp_server/workspace/test_related.py::test_open_documents_of_the_language_are_context_and_excluded_files_are_not",
    ),
    "no manual trigger": ("lsp_server/features/test_inline_completion.py::test_a_manual_trigger_suffices",),
    "latency and queued stale requests": (
        "lsp_server/features/test_inline_completion.py::test_stale_requests_do_not_queue",
        "lsp_server/test_typing_files.py::test_the_models_cache_holds_the_context_while_a_file_is_typed",
    ),
    "one model for each window": ("lsp_server/resident/test_resident.py::test_several_fronts_start_one_resident",),
    "idle memory": ("wire/test_resident_process.py::test_it_ends_when_idle_and_health_checks_do_not_keep_it",),
    "notebooks": (
        "lsp_server/workspace/test_notebooks.py::test_the_model_sees_the_notebook_and_the_edit_lands_in_the_cell",
    ),
    "Windows line ends": ("lsp_server/features/test_inline_completion.py::test_crlf",),
    "TLS, proxies, and no network": (
        "wire/test_tls.py::test_a_certificate_that_is_trusted_here_is_used",
        "wire/test_tls.py::test_a_certificate_that_nobody_vouches_for_is_refused",
        "model/families/test_hub.py::test_behind_a_proxy_and_an_authority_of_its_own",
        "lsp_server/resident/test_resident.py::test_a_proxy_is_not_asked_for_this_machine",
    ),
    "all or nothing: no accepting hole by hole": (
        "lsp_server/test_server_scopes.py::test_several_holes_are_confirmed_one_by_one_where_the_client_can",
        "editors/neovim/test_review.py::test_each_hole_is_decided_and_one_undo_takes_all_back",
    ),
    "a clash with the completion popup": (
        "lsp_server/features/test_inline_completion.py::test_no_clash_with_the_completion_popup",
    ),
}


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_every_complaint_has_its_tests(complaint: str) -> None:
    for test in COMPLAINTS[complaint]:
        path, _, name = test.partition("::")
        tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert name in found, f"{test} is gone; name the test that answers this complaint now"
