"""Who refused a job is told by name and in the refusal's own words."""

from fedmed.environments.flare.deployment_refusals import in_one_sentence, refusals


def test_a_job_that_all_took_was_refused_by_nobody() -> None:
    assert refusals(["server: OK", "north: OK"]) == {}
    assert in_one_sentence({}) == ""


def test_sites_are_named_with_their_reason_and_flares_conclusions_left_out() -> None:
    detail = [
        "server: OK",
        "north: NVFLARE_ERROR: BYOC not permitted",
        "south: OK",
        "west: NVFLARE_ERROR: BYOC not permitted",
        "east: no reply (deployment timeout)",
        "num_ok_sites 1 < required_min_sites 4",
        "failed to deploy to required client north",
    ]
    found = refusals(detail)
    assert found == {"BYOC not permitted": ["north", "west"], "no reply (deployment timeout)": ["east"]}
    told = in_one_sentence(found)
    assert "refused by north and west (BYOC not permitted)" in told
    assert "refused by east (no reply (deployment timeout))" in told
    assert "--code installed" in told


def test_what_is_no_question_of_code_is_not_answered_with_installed_code() -> None:
    assert in_one_sentence({"privacy scope 'x' is not allowed": ["north"]}) == (
        "refused by north (privacy scope 'x' is not allowed)."
    )
