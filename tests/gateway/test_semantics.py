"""The thirteen things a gateway must get right, and which tests hold each of them: none may lose its test."""

import re
from pathlib import Path

import pytest

SEMANTICS = {
    "1 client gone": "client_gone_while_waiting client_gone_in_a_stream client_gone_after_the_canary_failed",
    "2 backpressure": "backpressure_reaches_the_backend memory_stays_flat_before_a_slow_reader",
    "3 SSE accounting": "sse_accounting_asks_for_usage_and_strips_it_again "
    "sse_accounting_end_without_done_is_truncated sse_accounting_error_event_inside_200_is_a_failure",
    "4 fallback": "fallback_to_stable_before_the_first_byte fallback_never_splices_two_models retry_budget_is_a_tenth "
    "retries_what_may_pass_by_itself retry_after_is_honoured",
    "5 sticky": "sticky_and_monotone_over_50000_units_in_any_process missing_unit_policy_reject "
    "missing_unit_policy_random_is_not_sticky missing_unit_policy_stable",
    "6 hot reload": "hot_reload_keeps_the_plan_a_request_started_with hot_reload_refuses_a_bad_plan_whole "
    "reload_of_the_plan_under_load_fails_no_request",
    "7 control plane down": "control_plane_down_also_after_a_restart "
    "control_plane_restarts_under_load_and_no_request_fails",
    "8 SIGTERM": "sigterm_finishes_what_is_in_flight sigterm_drains_every_worker second_signal_means_now "
    "rolling_restart_under_load_fails_no_request",
    "9 no outcome lost": "no_outcome_is_lost_by_kill_9 kill_9_of_workers_loses_no_outcome "
    "journal_that_fails_costs_the_outcome_not_the_answer",
    "10 HTTP safety": "http_safety_of_the_whole_corpus http_safety_of_mutants "
    "http_safety_offer_to_upgrade_hides_no_request oversized_headers_are_431 "
    "clients_key_never_reaches_a_backend pipelining_is_answered_in_order",
    "11 keep-alive race": "upstream_keep_alive_race",
    "12 deadlines": "deadline_of_connecting deadline_of_the_first_byte deadline_idle_between_chunks "
    "deadline_total_of_a_stream deadline_total_is_504",
    "13 limits and models": "body_limit_is_413 unknown_model_is_404_in_openais_shape openai_client_lists_models",
}


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_each_has_its_tests(semantics):
    """Every one of the thirteen is held by the tests named for it."""
    written = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    there = set(re.findall(r"^def test_(\w+)\(", written, re.MULTILINE))
    assert set(SEMANTICS[semantics].split()) - there == set()
