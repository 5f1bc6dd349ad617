"""The slices of a patient are trained on one by one and scored as one volume."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from fedmed.analysis.attacks.membership_audit import audit_membership
from fedmed.analysis.attacks.membership_cases import subjects
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.evaluation.trained_model import initial_network
from fedmed.analysis.inversion.exposure import attacked_image, expose
from fedmed.analysis.inversion.gradient_inversion import Search
from fedmed.analysis.report import report_sections
from fedmed.analysis.report.report_page import Table
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.data.datalist import Datalist, load_datalist
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs.console import settings
from fedmed.runs.preflight import checked
from fedmed.site.local_training import LocalSite
from fedmed.tasks.lgg import TOGETHER, Lgg
from fedmed.tasks.scoring.slice_catalogue import SLICE_METRICS
from tests.tasks.written_slices import EDGE, write_patient, write_sites

SMALL = ("--image_size", "64", "--network", "unet_16")
SITES = {
    "site-1": {"training": [3, 5], "validation": [4, 2], "testing": [3]},
    "site-2": {"training": [4, 3], "validation": [5], "testing": [2]},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "set"
    write_sites(folder, SITES)
    return folder


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))


@pytest.fixture
def make(heads: Path, tmp_path: Path) -> Callable[..., Experiment]:
    def experiment(*arguments: str) -> Experiment:
        usual = ["--task", "lgg", "--dataset_base_dir", str(heads), "--datalist_json_path", str(heads / "datalist")]
        usual += ["--artifacts", str(tmp_path / "artifacts"), "--n_clients", "2", "--num_rounds", "1", *SMALL]
        return read_experiment([*usual, "--precision", "fp32", "--batch_size", "4", *arguments])

    return experiment


@pytest.fixture
def datalist(heads: Path) -> Datalist:
    return load_datalist(heads / "datalist" / "site-1.json", heads)


class Bright(nn.Module):
    """Logits (B, 1, H, W): tumour where FLAIR is more than so many standard deviations above its mean."""

    def __init__(self, above: float) -> None:
        super().__init__()
        self.above = above
        self.sizes: list[int] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(image))
        return 20 * (image[:, 1:2] - self.above)


def test_training_takes_slices_and_scoring_volumes(datalist: Datalist) -> None:
    task = Lgg(image_size=64)
    training = task.train_set(datalist, Caching())
    assert len(training) == 3 + 5  # type: ignore[arg-type]
    assert {key: tuple(training[0][key].shape) for key in ("image", "label")} == {
        "image": (3, 64, 64),
        "label": (1, 64, 64),
    }
    scored = task.scored(datalist.validation)
    assert [(case.name, len(case.parts)) for case in scored] == [
        ("TCGA_CS_0003_19960909", 4),
        ("TCGA_CS_0004_19960909", 2),
    ]
    assert [task.patient_of(case) for case in scored] == ["TCGA_CS_0003", "TCGA_CS_0004"]
    volumes = task.eval_set(scored, None, Caching())
    assert [tuple(volumes[n]["image"].shape) for n in range(2)] == [(3, 64, 64, 4), (3, 64, 64, 2)]
    assert [volumes[n]["case"] for n in range(2)] == [case.name for case in scored]
    assert volumes[0]["label"].sum(dim=(0, 1, 2)).bool().tolist() == [False, True, True, False]


def test_a_network_that_finds_the_tumour_scores_high_and_one_that_finds_nothing_low(datalist: Datalist) -> None:
    task = Lgg(image_size=64)
    volumes = task.eval_set(task.scored(datalist.validation), None, Caching())
    right, nothing = (task.metrics(task.measure(Bright(above), volumes[0], CPU)) for above in (1.5, 100.0))
    assert right["val_dice"] > 0.9
    assert right["val_slice_dice"] > 0.9
    assert right["val_presence_auroc"] == 1
    assert right["val_slice_hd95"] <= 2
    assert nothing["val_dice"] == nothing["val_slice_dice"] == 0
    assert nothing["val_slice_hd95"] == pytest.approx(64 * 2**0.5)


def test_one_target_is_reported_once(datalist: Datalist) -> None:
    task = Lgg(image_size=64)
    volumes = task.eval_set(task.scored(datalist.validation), None, Caching())
    reported = task.metrics(task.evaluate(Bright(1.5), volumes, CPU))
    assert set(reported) == {f"val_{n}{v}" for n in ("dice", "slice_dice", "presence_auroc") for v in ("", "_values")}
    assert reported["val_dice_values"] == reported["val_presence_auroc_values"] == 2  # patients
    assert set(reported) - {f"{name}_values" for name in reported} <= set(task.figure_forms())
    assert task.key_score.targets == ()
    assert not task.validation_can_be_split


def test_a_round_is_scored_like_an_evaluation_but_for_the_distances(datalist: Datalist) -> None:
    task = Lgg(image_size=64)
    volumes = task.eval_set(task.scored(datalist.validation)[:1], None, Caching())
    quick, whole = task.evaluate(Bright(1.5), volumes, CPU), task.measure(Bright(1.5), volumes[0], CPU)
    assert quick == whole[:-1]
    assert whole[-1].quantity == "slice_hd95"


def test_slices_go_through_the_network_in_batches_and_in_their_order() -> None:
    task, network = Lgg(image_size=64), Bright(0.0)
    image = torch.randn(2, 3, 32, 32, TOGETHER)
    found = task.infer(network, image)
    assert torch.equal(found, 20 * image[:, 1:2])
    assert network.sizes == [TOGETHER, TOGETHER]
    halves = task.probabilities(network, image, flips=True)
    assert torch.allclose(halves, (20 * image[:, 1:2]).sigmoid(), atol=1e-6)


@pytest.mark.parametrize("loss", ["dice_ce", "dice_focal"])
def test_the_loss_falls_where_the_prediction_nears_the_truth(loss: Any) -> None:
    criterion = Lgg(loss_function=loss).loss()
    label = (torch.rand(4, 1, 32, 32) > 0.8).float()
    far, near = (float(criterion(scale * (label - 0.5), label)) for scale in (1.0, 8.0))
    assert near < far
    empty = torch.zeros(1, 1, 32, 32)
    logits = torch.zeros(1, 1, 32, 32, requires_grad=True)
    criterion(logits, empty).backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()  # a slice without tumour teaches that there is none


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--image_size", "100"), "image_size is 100; expected a number from 64 to 512 that 16 divides"),
        (("--image_size", "1024"), "image_size is 1024"),
    ],
)
def test_options_out_of_range_are_refused(arguments: tuple[str, ...], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        read_experiment(["--task", "lgg", *arguments])


@pytest.mark.parametrize("network", ["unet_16", "transunet"])
def test_a_site_trains_on_slices_and_scores_patients(make: Callable[..., Experiment], network: str) -> None:
    torch.manual_seed(0)
    local = LocalSite(make("--network", network, "--aggregation_epochs", "2"), "site-1", "run")
    assert not local.audit.errors
    local.begin(local.weights(), 0)
    losses = local.train(0).epoch_losses
    scores = local.evaluate()
    assert losses[-1] < losses[0]
    assert scores["val_cases"] == 2
    assert len(local.batches) == 2  # eight slices by four


def test_the_screen_and_the_facts_count_slices_and_patients(
    make: Callable[..., Experiment], capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked(make(), None)
    assert "site-1: 8 training + 6 validation + 3 test slices of 5 patients: 0 errors" in capsys.readouterr().out
    facts = found.summaries["site-1"]
    assert (facts["training"], facts["validation"], facts["test"]) == (8, 6, 3)
    assert facts["patients"] == {"training": 2, "validation": 2, "test": 1}
    told = settings(found.experiment, found.summaries, "heads")
    assert (
        "site-1 8+6+3 of 2+2+1 patients, site-2 7+5+2 of 2+1+1 patients (training + validation + test slices)" in told
    )


@pytest.mark.parametrize(("split", "level"), [("training", "error"), ("validation", "warning")])
def test_a_split_without_tumour_is_told_once_and_a_slice_without_not_at_all(
    tmp_path: Path, split: str, level: str
) -> None:
    tumours = {"training": 2, "validation": 2, split: 0}
    names = ("TCGA_CS_0001", "TCGA_CS_0002")
    lists = {of: write_patient(tmp_path, name, 5, tumours[of], 1) for name, of in zip(names, tumours, strict=True)}
    (tmp_path / "site-1.json").write_text(json.dumps(lists))
    audit = Lgg().audit("site-1", load_datalist(tmp_path / "site-1.json", tmp_path), allow_overlap=False)
    (found,) = [finding for finding in audit.findings if "tumour" in finding.check]
    assert found.level == level
    assert f"site-1 has 5 {split} slices, none of which shows a tumour" in found.sentence


def test_an_evaluation_has_a_row_set_a_patient_and_every_figure_once(
    heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(Lgg().first_model(0).state_dict(), weights)  # of the usual size, as no run says otherwise
    lists = heads / "datalist"
    done = evaluate(
        weights, "heads", EvaluationRequest(task="lgg", dataset_base_dir=heads, datalist=lists, split="test")
    )
    assert set(done.table["target"]) == {"overall"}
    assert list(dict.fromkeys(done.table["metric"])) == [metric.name for metric in SLICE_METRICS]
    pooled = done.table[done.table["site"] == "pooled"].set_index("metric")
    assert set(pooled["patients"]) == {2}
    assert set(done.table["site"]) == {"pooled", "site-1", "site-2"}
    cases = pd.read_csv(tmp_path / "evaluation" / "weights-test" / "cases.csv")
    assert cases["case"].nunique() == 2
    assert (cases["quantity"] == "score").sum() == 3 + 2  # slices
    shown = capsys.readouterr().out
    assert "on 2 test cases" in shown
    assert "HD95 by slice (pixels)" in shown
    assert "slice 1" not in shown
    page = report_sections.scores(EvaluationFolder(tmp_path / "evaluation" / "weights-test"), Lgg())
    tables = [part for part in page.parts if isinstance(part, Table)]
    assert [list(table.columns)[1:] for table in tables] == [["overall"], ["overall"]]


def test_the_membership_audit_judges_patients(make: Callable[..., Experiment]) -> None:
    experiment = make()
    people, scheme = subjects(experiment, experiment.data)
    assert [each.member for each in people] == [True] * 4 + [False] * 5
    models = (Bright(1.5), Bright(1.0))
    audit = audit_membership(experiment, models, people, scheme, Caching(), None, 0)
    assert list(audit.table["case"]) == [each.case.name for each in people]
    assert audit.table[["loss", "dice", "reference_loss"]].notna().all(axis=None)
    assert (audit.table["loss"] < audit.table["reference_loss"]).all()  # of the network that finds the tumours


def test_the_inversion_attacks_the_slice_with_most_tumour(make: Callable[..., Experiment]) -> None:
    experiment = make("--norm", "group")
    people, scheme = subjects(experiment, experiment.data)
    attacked = attacked_image(experiment, people[0].case, scheme, Caching(), 32)
    assert (tuple(attacked.image.shape), tuple(attacked.label.shape)) == ((1, 3, 32, 32), (1, 1, 32, 32))
    assert attacked.size == "32 x 32 pixels"
    item = experiment.task.eval_set([people[0].case], scheme, Caching())[0]
    assert float(attacked.label.sum()) == float(item["label"].sum(dim=(0, 1, 2)).max())  # all of it is in the crop
    exposure = expose(experiment, attacked, {"no privacy": None}, Search(steps=2))
    assert {tuple(each.image.shape) for each in exposure.attempts} == {(1, 3, 32, 32)}


def test_a_picture_outlines_truth_and_prediction(datalist: Datalist) -> None:
    task = Lgg(image_size=64)
    item = task.eval_set(task.scored(datalist.validation)[:1], None, Caching())[0]
    picture = Image.open(BytesIO(task.picture(Bright(1.5), item, CPU))).convert("RGB")
    colours = {pixel for _, pixel in picture.getcolors(1 << 24) or []}
    assert (0x00, 0x9E, 0x73) in colours
    assert (0xE6, 0x9F, 0x00) in colours


def test_a_prediction_that_is_not_a_number_names_the_patient(datalist: Datalist) -> None:
    task = Lgg(image_size=64)
    item = task.eval_set(task.scored(datalist.validation)[:1], None, Caching())[0]
    with pytest.raises(InputError, match="TCGA_CS_0003_19960909: The network's prediction holds NaN"):
        task.measure(Bright(float("nan")), item, CPU)


def test_a_run_begins_with_the_network_of_its_options(make: Callable[..., Experiment]) -> None:
    network = initial_network(make("--norm", "group"))
    assert network(torch.zeros(1, 3, EDGE, EDGE)).shape == (1, 1, EDGE, EDGE)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize("network", ["unet", "unet_16", "transunet", "transunet_r50_b16"])
def test_the_demonstration_takes_every_network(network: str) -> None:
    assert read_experiment(["--task", "lgg", "--network", network]).task.network == network


def test_slices_are_not_drawn_by_their_labels_where_patients_are_drawn() -> None:
    options = ["--task", "lgg", "--tumour_slices", "0.5"]
    assert read_experiment(options).task.tumour_slices == 0.5
    with pytest.raises(InputError, match="--tumour_slices draws slices by their labels"):
        read_experiment([*options, "--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--norm", "group"])
    with pytest.raises(InputError, match="tumour_slices"):
        read_experiment(["--task", "lgg", "--tumour_slices", "1.5"])
