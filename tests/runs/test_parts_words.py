"""The screen says what a run shares: entries, parameters, bytes and their share of the model."""

from collections.abc import Callable

import torch

from fedmed.experiment import Experiment
from fedmed.runs.console import settings
from fedmed.runs.parts_words import parts_words


def test_what_the_names_come_to_is_counted(toy_experiment: Callable[..., Experiment]) -> None:
    made = toy_experiment(
        "--batch_norm", "--algorithm", "partial", "--share", "layers.4,layers.8", "--private", "layers.8"
    )
    found = dict(parts_words(made))
    convolution, head, rest = 8 * 4 * 9 + 8, 2 * 8 + 2, 4 * 9 + 4 + 8
    whole = 4 * (convolution + head + rest + 8) + 8  # running statistics, and a counter of 8 bytes
    assert found["shared"] == (
        f"2 of 11 entries (layers.4.weight, layers.4.bias), {convolution} parameters, {4 * convolution / 1e6:.4g} MB "
        f"a message, {4 * convolution / whole:.1%} of {whole / 1e6:.4g} MB"
    )
    assert found["private"].startswith(f"2 of 11 entries (layers.8.weight, layers.8.bias), {head} parameters")
    assert found["frozen"].startswith(
        f"7 of 11 entries (layers.0.weight, layers.0.bias, layers.1.weight, ...), {rest} "
    )
    screen = settings(made, {}, "the toy's")
    assert all(f"{title:<10} {text}" in screen for title, text in found.items())


def test_of_a_model_that_is_shared_whole_nothing_is_said(toy_experiment: Callable[..., Experiment]) -> None:
    assert parts_words(toy_experiment()) == []


def test_no_random_number_is_drawn_for_it(toy_experiment: Callable[..., Experiment]) -> None:
    made, before = toy_experiment(), torch.get_rng_state()
    parts_words(made)
    assert torch.equal(torch.get_rng_state(), before)
