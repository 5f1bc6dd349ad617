"""Membership inference on a network that learnt its cases by heart, and on one that was kept from it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fedmed.analysis.attacks.membership import (
    EVERY_SITE,
    AttackResult,
    CaseFit,
    attack,
    by_patient,
    case_fits,
    case_losses,
    scores,
    table_of,
)
from fedmed.analysis.attacks.membership_cases import Subject, subjects
from fedmed.analysis.attacks.membership_report import as_json, as_text, limit_of
from fedmed.analysis.attacks.stated_privacy import SiteSpending, StatedPrivacy
from fedmed.analysis.inversion.exposure import attacked_image
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites with four training cases each, and eight cases on which both validate."""
    out = tmp_path_factory.mktemp("members") / "set"
    make_phantom(out, out / "datalist", sites=2, cases=4, validation=8, size=(32, 32, 32))
    return out


def experiment_on(folder: Path) -> Experiment:
    data = ["--dataset_base_dir", str(folder), "--datalist_json_path", str(folder / "datalist")]
    return read_experiment([*data, "--n_clients", "2", "--num_rounds", "1", "--precision", "fp32"])


@pytest.fixture(scope="module")
def people(folder: Path) -> tuple[Subject, ...]:
    experiment = experiment_on(folder)
    return subjects(experiment, experiment.data)[0]


@pytest.fixture(scope="module")
def cases(folder: Path, people: Sequence[Subject]) -> list[dict[str, Any]]:
    """The tumours and what is around them, small enough to be learnt by heart within seconds."""
    experiment = experiment_on(folder)
    crops = [attacked_image(experiment, each.case, "brats2018", Caching(), 16) for each in people]
    return [{"image": crop.image[0], "label": crop.label[0], "case": "a"} for crop in crops]


def fresh() -> BratsSegResNet:
    torch.manual_seed(0)
    return BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1)).eval()


def step_loss(model: nn.Module, item: dict[str, Any]) -> torch.Tensor:
    loss: torch.Tensor = Brats18().loss()(model(item["image"][None]), item["label"][None])
    return loss


def by_heart(members: Sequence[dict[str, Any]], epochs: int = 30) -> nn.Module:
    """Trained without random transforms or dropout, until the cases are known."""
    model = fresh()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for item in members:
            optimizer.zero_grad()
            step_loss(model, item).backward()
            optimizer.step()
    return model


def by_dp_sgd(members: Sequence[dict[str, Any]], steps: int = 12, clip: float = 1.0, noise: float = 4.0) -> nn.Module:
    """Abadi et al. 2016, algorithm 1, with all patients in every step: each one's gradient clipped, then noise."""
    model, generator = fresh(), torch.Generator().manual_seed(0)
    parameters = list(model.parameters())
    for _ in range(steps):
        total = [noise * clip * torch.randn(p.shape, generator=generator) for p in parameters]
        for item in members:
            gradient = torch.autograd.grad(step_loss(model, item), parameters)
            norm = torch.sqrt(sum((g**2).sum() for g in gradient))
            total = [t + g * min(1.0, clip / float(norm)) for t, g in zip(total, gradient, strict=True)]
        with torch.no_grad():
            for parameter, each in zip(parameters, total, strict=True):
                parameter -= 0.05 * each / len(members)
    return model


@pytest.fixture(scope="module")
def found(people: Sequence[Subject], cases: list[dict[str, Any]]) -> Callable[..., dict[str, AttackResult]]:
    """Attacks a model; by attack and group."""

    def of(model: nn.Module) -> dict[str, AttackResult]:
        fits = case_fits(Brats18(), model.eval(), cases, CPU, "fp32")
        table = table_of(Brats18(), people, fits, case_losses(Brats18(), fresh(), cases, CPU, "fp32"))
        return {f"{each.attack} {each.site}": each for each in attack(table)}

    return of


def members_of(people: Sequence[Subject], cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for each, item in zip(people, cases, strict=True) if each.member]


def test_cases_learnt_by_heart_are_told_from_others(
    people: Sequence[Subject], cases: list[dict[str, Any]], found: Callable[..., dict[str, AttackResult]]
) -> None:
    known = found(by_heart(members_of(people, cases)))
    assert {each.site for each in known.values()} == {EVERY_SITE, "site-1", "site-2"}
    for name in ("loss", "dice", "calibrated loss"):
        each = known[f"{name} {EVERY_SITE}"]
        assert each.auc.value >= 0.8, name
        assert each.auc.low > 0.5, name
        assert (each.members, each.others) == (8, 8)
    assert known["loss site-1"].members == 4
    assert known[f"loss {EVERY_SITE}"].tpr[0.1].value > 0


def test_cases_behind_dp_sgd_with_much_noise_are_not(
    people: Sequence[Subject], cases: list[dict[str, Any]], found: Callable[..., dict[str, AttackResult]]
) -> None:
    hidden = found(by_dp_sgd(members_of(people, cases)))
    each = hidden[f"calibrated loss {EVERY_SITE}"]
    assert each.auc.low <= 0.5 <= each.auc.high


def test_a_case_that_several_sites_list_counts_once(folder: Path, people: Sequence[Subject]) -> None:
    assert [each.member for each in people] == [True] * 8 + [False] * 8
    assert len({each.case.name for each in people}) == 16
    assert {each.sites for each in people} == {("site-1",), ("site-2",), ("site-1", "site-2")}


def test_a_case_that_one_site_trains_on_is_a_member_everywhere(folder: Path, tmp_path: Path) -> None:
    lists = {site: json.loads((folder / "datalist" / f"{site}.json").read_text()) for site in ("site-1", "site-2")}
    shared = lists["site-1"]["training"][0]
    lists["site-2"]["validation"].append(shared)
    for site, document in lists.items():
        (tmp_path / f"{site}.json").write_text(json.dumps(document))
    experiment = read_experiment(
        ["--dataset_base_dir", str(folder), "--datalist_json_path", str(tmp_path), "--n_clients", "2"]
    )
    found, scheme = subjects(experiment, experiment.data)
    assert scheme == "brats2018"
    assert [each.member for each in found] == [True] * 8 + [False] * 8


def test_too_few_cases_are_refused(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / "datalist" / "site-All.json").read_text())
    document["validation"] = document["validation"][:1]
    (tmp_path / "site-All.json").write_text(json.dumps(document))
    experiment = read_experiment(
        ["--dataset_base_dir", str(folder), "--datalist_json_path", str(tmp_path), "--n_clients", "1"]
    )
    with pytest.raises(InputError, match="8 members and 1 held-out case"):
        subjects(experiment, experiment.data)


def small_table() -> pd.DataFrame:
    rows = [("site-1", f"a{i}", i < 4, 0.1 * i, 0.9 - 0.1 * i, 1.0 - 0.05 * i) for i in range(8)]
    return pd.DataFrame(rows, columns=["sites", "case", "member", "loss", "dice", "reference_loss"])


def test_scores_are_higher_for_what_is_known_better() -> None:
    each = scores(small_table())
    np.testing.assert_allclose(each["loss"][:2], [0, -0.1])
    np.testing.assert_allclose(each["dice"][:2], [0.9, 0.8])
    np.testing.assert_allclose(each["calibrated loss"][:2], [1.0, 0.85])


def test_what_was_promised_stands_beside_what_was_found() -> None:
    spent = (SiteSpending("site-1", 3, 1.0, 1e-5), SiteSpending("site-2", 3, 0.5, 1e-5))
    promised = StatedPrivacy("dpsgd", "patient", "formal", spent)
    pooled = attack(small_table())[0]
    limit = limit_of(pooled, 0.1, promised)
    assert limit == pytest.approx(np.e / 4 + 1e-5)  # four held-out cases resolve no FPR below 1/4
    assert limit_of(pooled._replace(site="site-2"), 0.1, promised) == pytest.approx(np.exp(0.5) / 4 + 1e-5)
    assert limit_of(pooled, 0.1, promised._replace(unit="site's update")) is None
    assert (
        limit_of(pooled, 0.1, StatedPrivacy("svt", "patient", "heuristic", (SiteSpending("site-1", 3, None, None),)))
        is None
    )
    assert f"<= {limit:.2f}" in as_text([pooled], promised)
    assert "resolve no FPR below 25.0%" in as_text([pooled], None)
    assert json.loads(json.dumps(as_json(pooled, promised)))["tpr"][1]["promised_at_most"] == pytest.approx(limit)


def test_a_case_without_any_region_has_the_challenges_dice() -> None:
    class Silent(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 3, *x.shape[2:]), -9.0)

    empty = [{"image": torch.zeros(4, 8, 8, 8), "label": torch.zeros(3, 8, 8, 8, dtype=torch.uint8), "case": "a"}]
    assert case_fits(Brats18(), Silent(), empty, CPU, "fp32") == [CaseFit(pytest.approx(1.0), 1.0)]


def test_a_patient_of_several_cases_is_one_member_with_the_mean_of_their_numbers() -> None:
    columns = ["sites", "case", "member", "loss", "dice", "reference_loss"]
    rows = [("a", "p-1", True, 1.0, 0.2, 3.0), ("a b", "p-2", True, 2.0, 0.4, 5.0), ("b", "q-1", False, 4.0, 0.6, 7.0)]
    table = pd.DataFrame(rows, columns=columns)
    found = by_patient(table, ["p", "p", "q"])
    assert list(found.columns) == columns
    assert found.to_numpy().tolist() == [["a b", "p", True, 1.5, pytest.approx(0.3), 4.0], ["b", "q", False, 4, 0.6, 7]]
    assert by_patient(table, ["p", "q", "r"]) is table
