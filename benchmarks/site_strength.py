"""The effect of a phantom's site strength: models trained at one site alone, scored at every site.

python benchmarks/site_strength.py        minutes on two cores; the result is in benchmarks/README.md
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import torch

from fedmed.command_line import read_experiment
from fedmed.core.cli import Parser, echo, run_script
from fedmed.data.datalist import ALL_SITES, datalist_path, load_datalist
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.data.phantoms.smooth_noise import Size
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite, autocast

SIZE: Size = (64, 64, 56)
CROP = 48
STRENGTHS = (0.0, 1.0)


def main(arguments: Sequence[str]) -> None:
    """Print a table for each strength."""
    parser = Parser(description="The effect of site strength on models trained at one site alone.")
    for name, default, what in (
        ("sites", 3, "sites"),
        ("cases", 16, "training cases at each site"),
        ("validation", 4, "validation cases of each site"),
        ("epochs", 12, "epochs at one site; the model of all sites takes as many steps"),
        ("seed", 0, "of the data and of the training"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    args = parser.parse_args(arguments)
    for strength in STRENGTHS:
        with TemporaryDirectory(prefix="site-strength-") as folder:
            data = Path(folder) / "phantom"
            make_phantom(
                data, data / "datalist", args.sites, args.cases, args.validation, SIZE, args.seed,
                site_strength=strength, validation_lists="per_site",
            )  # fmt: skip
            echo(f"\n{table(strength, measure(data, args))}")


def measure(data: Path, args: argparse.Namespace) -> np.ndarray:
    """Mean Dice (sites + 1, sites): a row for each site that trains alone and one for all together."""
    sites = [f"site-{i + 1}" for i in range(args.sites)]
    alone = experiment(data, args.epochs, args.seed)
    together = experiment(data, args.epochs // args.sites, args.seed)
    rows = [trained_at(alone, site, sites) for site in sites]
    return np.array([*rows, trained_at(together, ALL_SITES, sites)])


def experiment(data: Path, epochs: int, seed: int) -> Experiment:
    """The demonstration's settings on small crops; one round of ``epochs``."""
    paths = ["--dataset_base_dir", str(data), "--datalist_json_path", str(data / "datalist")]
    crop = ["--roi_size", *[str(CROP)] * 3]
    once = ["--n_clients", "1", "--aggregation_epochs", str(epochs), "--seed", str(seed)]
    return read_experiment(["--preset", "demo", *paths, *crop, *once])


def trained_at(experiment: Experiment, site: str, scored: Sequence[str]) -> list[float]:
    """Train a new model on a site's cases and give its mean Dice at every site."""
    torch.manual_seed(experiment.training.seed)
    local = LocalSite(experiment, site, keep_state=False)
    local.train(0)
    local.model.eval()
    dataset, lists = experiment.data.resolved()
    dice = []
    with torch.inference_mode(), autocast(experiment.training.precision, local.device):
        for other in scored:
            datalist = load_datalist(datalist_path(lists, other), dataset)
            cases = local.task.eval_set(datalist.validation, datalist.label_scheme, Caching())
            metrics = local.task.metrics(local.task.evaluate(local.model, cases, local.device))
            dice.append(metrics[local.task.KEY_METRIC])
    echo(f"{site}: " + " ".join(f"{value:.3f}" for value in dice), sys.stderr)
    return dice


def table(strength: float, dice: np.ndarray) -> str:
    """Markdown: trained at x scored at, with the means at home and away and their difference."""
    count = dice.shape[1]
    alone = dice[:count]
    home = np.diag(alone)
    away = (alone.sum(axis=1) - home) / (count - 1)
    lines = [
        f"Site strength {strength:g}, mean Dice at",
        "",
        "| trained at | " + " | ".join(f"site-{i + 1}" for i in range(count)) + " | home | away | gap |",
        "|---" * (count + 4) + "|",
    ]
    for i, row in enumerate(alone):
        cells = " | ".join(f"{value:.3f}" for value in row)
        lines.append(f"| site-{i + 1} alone | {cells} | {home[i]:.3f} | {away[i]:.3f} | {home[i] - away[i]:+.3f} |")
    lines.append("| all together | " + " | ".join(f"{value:.3f}" for value in dice[count]) + " | | | |")
    gap = f"{home.mean():.3f} | {away.mean():.3f} | {home.mean() - away.mean():+.3f} |"
    return "\n".join([*lines, "| mean alone |" + " |" * count + f" {gap}"])


if __name__ == "__main__":
    sys.exit(run_script(main))
