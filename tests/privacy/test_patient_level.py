"""DP-SGD at a site: a patient is one unit, its gradient is clipped, noise is as stated, and the ledger outlives all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmed.core.errors import InputError
from fedmed.core.names import RUN_VARIABLE, STATE_VARIABLE
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.experiment import Experiment
from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.ledger import read_ledger, site_ledger
from fedmed.privacy.patient_level import PatientLevelTraining, _optimizer_with_noise_of
from fedmed.site.local_training import LocalSite
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

Make = Callable[..., LocalSite]
QUIET = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1e-6", "--insecure_seeded_noise")


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tiny = {"init_filters": 8, "blocks_down": (1, 1, 1, 1), "dropout_prob": None}
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(**tiny))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "sites"))
    monkeypatch.setenv(RUN_VARIABLE, "run-001")


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with five cases of four patients: the first two cases are visits of one."""
    out = tmp_path_factory.mktemp("patients") / "set"
    make_phantom(out, out / "datalist", sites=2, cases=5, validation=1, size=(32, 32, 32))
    path = out / "datalist" / "site-1.json"
    document = json.loads(path.read_text())
    for number, case in enumerate(document["training"]):
        case["patient"] = f"patient {max(1, number)}"
    path.write_text(json.dumps(document))
    return out


@pytest.fixture
def make(small_experiment: Callable[..., Experiment], patients: Path) -> Make:
    def made(*arguments: str) -> LocalSite:
        data = ("--dataset_base_dir", str(patients), "--datalist_json_path", str(patients / "datalist"))
        more = ("--roi_size", "16", "16", "16", "--precision", "fp32", "--learning_rate", "1e-3", "--num_rounds", "3")
        torch.manual_seed(0)
        return LocalSite(small_experiment(*data, *more, *arguments), "site-1", "job")

    return made


def private(site: LocalSite) -> PatientLevelTraining:
    assert isinstance(site.private, PatientLevelTraining)
    return site.private


def train(site: LocalSite, number: int = 0) -> dict[str, torch.Tensor]:
    trained = site.train(number)
    assert trained.entry is not None
    return site.weights()


def test_all_cases_of_a_patient_are_one_unit(make: Make) -> None:
    training = private(make(*QUIET, "--batch_size", "2"))
    assert sorted(map(sorted, training.items)) == [[0, 1], [2], [3], [4]]
    assert (training.rate, training.steps) == (0.5, 2)


def test_every_patient_is_sampled_independently_at_the_stated_rate(make: Make) -> None:
    training = private(make(*QUIET, "--batch_size", "1", "--aggregation_epochs", "1"))
    training.steps = 20_000
    samples = training._samples(np.random.default_rng(0))
    sizes = np.array([len(sample) for sample in samples])
    each = np.bincount([patient for sample in samples for patient in sample], minlength=4) / len(samples)
    np.testing.assert_allclose(each, 0.25, atol=6 * np.sqrt(0.25 * 0.75 / len(samples)))
    assert sizes.mean() == pytest.approx(1.0, abs=0.05)
    assert sizes.var() == pytest.approx(4 * 0.25 * 0.75, rel=0.1)  # binomial, not a fixed number
    assert (sizes == 0).any()


def test_a_step_moves_by_the_mean_of_the_clipped_gradients_of_its_patients(make: Make) -> None:
    """Against gradients made one by one here: SGD, all four patients in the one step, hardly any noise."""
    clip = 0.05
    arguments = (*QUIET, "--batch_size", "4", "--dp_max_grad_norm", str(clip))
    site = make(*arguments)
    site.optimizer = torch.optim.SGD(site.model.parameters(), lr=1.0)
    before = site.weights()
    after = train(site)

    other = make(*arguments)
    other.load(before)
    other._restart(0)
    seed = other.training.seed
    places = [place for of in private(other)._places(seed, 1, 0, [0, 1, 2, 3]) for place in of]
    other.order.follow(places)
    gradients = []
    for batch in other.batches:
        other.model.zero_grad()
        other.loss_of(batch).backward()
        gradients.append({name: p.grad.clone() for name, p in other.model.named_parameters() if p.grad is not None})
    units = [{n: (gradients[0][n] + gradients[1][n]) / 2 for n in gradients[0]}, *gradients[2:]]
    norms = [float(torch.stack([g.norm() for g in unit.values()]).norm()) for unit in units]
    assert max(norms) > clip  # else nothing is clipped here
    for name in units[0]:
        mean = sum(unit[name] * min(1.0, clip / norm) for unit, norm in zip(units, norms, strict=True)) / 4
        assert isinstance(mean, torch.Tensor)
        torch.testing.assert_close(before[name] - after[name], mean, atol=2e-6, rtol=1e-2)


def test_the_noise_of_a_step_has_the_stated_deviation(make: Make) -> None:
    site = make("--privacy", "dpsgd", "--dp_noise_multiplier", "3", "--insecure_seeded_noise", "--batch_size", "4")
    site.optimizer = torch.optim.SGD(site.model.parameters(), lr=1.0)
    private(site)._samples = lambda source: [[]]  # type: ignore[method-assign]
    before = site.weights()
    after = train(site)
    moved = torch.cat([(before[n] - after[n]).flatten() for n in before])
    assert float(moved.std()) == pytest.approx(3 / 4, rel=0.02)  # multiplier times the norm of 1 over the lot of 4


def test_noise_is_added_in_double_precision() -> None:
    """In single precision a gradient beside the noise shows in the last bits of their sum."""
    values = torch.nn.Parameter(torch.zeros(1000))
    drawn = np.random.default_rng(0).normal(size=1000)
    kind = _optimizer_with_noise_of(lambda shape: drawn.reshape(shape))
    optimizer = kind(torch.optim.SGD([values], lr=1.0), noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=1)
    summed = torch.linspace(-1.0, 1.0, 1000)
    values.summed_grad = summed.clone()  # type: ignore[attr-defined]
    optimizer.add_noise()
    assert values.grad is not None
    assert values.grad.dtype == torch.float32
    exact = summed.numpy().astype(np.float64) + drawn
    assert np.array_equal(values.grad.numpy(), exact.astype(np.float32))
    assert (values.grad.numpy() != summed.numpy() + drawn.astype(np.float32)).any()


@pytest.mark.parametrize("secure", [False, True])
def test_noise_repeats_only_where_that_is_asked_for(secure: bool, make: Make) -> None:
    def weights(*arguments: str) -> torch.Tensor:
        site_ledger("site-1", "job").unlink(missing_ok=True)
        site = make("--privacy", "dpsgd", "--dp_noise_multiplier", "1", *arguments)
        return torch.cat([values.flatten() for values in train(site).values()])

    if not secure:
        seeded = ("--insecure_seeded_noise",)
        assert torch.equal(weights(*seeded), weights(*seeded))
    unseeded = ("--dp_secure_noise",) if secure else ()
    assert not torch.equal(weights(*unseeded), weights(*unseeded))


def test_one_accountant_counts_all_rounds_and_a_restarted_site_goes_on(make: Make) -> None:
    arguments = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--batch_size", "2")
    site = make(*arguments)
    train(site, 0)
    train(make(*arguments), 1)  # a new process
    ledger = read_ledger(site_ledger("site-1", "job"))
    assert [entry.round for entry in ledger.entries] == [1, 2]
    assert ledger.history == [(1.0, 0.5, 4)]
    assert ledger.total == epsilon_of([(1.0, 0.5, 4)], 1e-5)
    assert ledger.entries[0].epsilon_next == pytest.approx(ledger.total)
    assert set(ledger.entries[0].diagnostics or {}) == {"clip_fraction", "signal_to_noise", "cosine", "not_finite"}


def test_a_calibrated_run_ends_at_its_target(make: Make) -> None:
    arguments = ("--privacy", "dpsgd", "--dp_target_epsilon", "30", "--batch_size", "2")
    for number in range(3):
        train(make(*arguments), number)
    assert 0.99 * 30 <= read_ledger(site_ledger("site-1", "job")).total <= 30


def test_a_round_beyond_the_budget_is_not_trained_to_be_sent(make: Make) -> None:
    arguments = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--batch_size", "2", "--dp_max_epsilon", "9")
    site = make(*arguments)
    train(site, 0)
    while (read_ledger(site_ledger("site-1", "job")).entries[-1].epsilon_next or 0) <= 9:
        train(site, 1)
    with pytest.raises(InputError, match=r"Round 3 would bring epsilon to .* nothing is sent"):
        train(site, 2)
    assert read_ledger(site_ledger("site-1", "job")).total <= 9


@pytest.mark.parametrize("left_out", [0, 3])
@pytest.mark.parametrize("clip", [0.01, 1.0])
def test_one_patients_presence_changes_a_step_by_no_more_than_the_clip(
    left_out: int, clip: float, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sensitivity, with random transforms and dropout on: what is random for one must not depend on another."""
    tiny = {"init_filters": 8, "blocks_down": (1, 1, 1, 1), "dropout_prob": 0.2}
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(**tiny))

    def moved(sample: list[int]) -> dict[str, torch.Tensor]:
        site_ledger("site-1", "job").unlink(missing_ok=True)
        site = make(*QUIET, "--batch_size", "4", "--dp_max_grad_norm", str(clip))
        site.optimizer = torch.optim.SGD(site.model.parameters(), lr=4.0)  # undoes the division by the batch
        private(site)._samples = lambda source: [sample]  # type: ignore[method-assign]
        before = site.weights()
        return {name: before[name] - values for name, values in train(site).items()}

    everybody = [0, 1, 2, 3]
    all_of_them, others = moved(everybody), moved([p for p in everybody if p != left_out])
    change = torch.stack([(all_of_them[name] - others[name]).norm() for name in others]).norm()
    assert 0 < float(change) <= clip * 1.001


def test_a_gradient_that_is_not_finite_counts_as_none(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make(*QUIET, "--batch_size", "4")
    usual = site.loss_of
    monkeypatch.setattr(site, "loss_of", lambda batch: usual(batch) * torch.nan)
    before = site.weights()
    after = train(site)
    assert all(torch.isfinite(values).all() for values in after.values())
    assert max(float((after[n] - before[n]).abs().max()) for n in after) < 2e-3  # an Adam step on noise alone
    diagnostics = read_ledger(site_ledger("site-1", "job")).entries[0].diagnostics or {}
    assert diagnostics["not_finite"] == 4


def test_another_mechanisms_ledger_is_not_gone_on_with(make: Make) -> None:
    train(make("--privacy", "dpsgd", "--dp_noise_multiplier", "1"))
    with pytest.raises(InputError, match="other privacy settings"):
        make("--privacy", "dpsgd", "--dp_noise_multiplier", "2")
