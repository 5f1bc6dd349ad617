"""The command line: the published one runs unchanged, and what would have no effect is refused."""

import shlex
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from fedmed.command_line import DEFAULTS, SECTIONS, read_experiment
from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.options import option_names, to_plain
from fedmed.core.settings import Data
from fedmed.data.windows import Size
from fedmed.experiment import Experiment
from fedmed.tasks.base import Preset, Task
from fedmed.tasks.brats18 import Brats18
from tests import scripts

PRESETS = Brats18.PRESETS

DATA = '--dataset_base_dir "/data set/brats" --datalist_json_path "/data set/lists"'

# research/brats18/README.md of NVIDIA FLARE
PUBLISHED = {
    "central": "--n_clients 1 --num_rounds 600 --gpu 0",
    "four GPUs": "--n_clients 4 --num_rounds 600 --gpu 0,1,2,3",
    "one GPU": "--n_clients 4 --num_rounds 600 --gpu 0 --threads 4",
    "private": "--n_clients 4 --num_rounds 600 --gpu 0 --threads 4 --enable_dp",
    "tuned": "--n_clients 4 --num_rounds 100 --learning_rate 5e-5 --aggregation_epochs 2 --cache_dataset 0.5",
    "tuned private": "--n_clients 4 --enable_dp --dp_epsilon 0.01 --dp_fraction 0.8 --dp_noise_var 0.5",
    "named": "--job_name my_experiment --n_clients 4",
}


@pytest.fixture(autouse=True)
def _four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers must not depend on the machine that runs the tests."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)


def read(line: str) -> Experiment:
    return read_experiment(shlex.split(line))


def facts(experiment: Experiment) -> dict[str, Any]:
    """Every option's value, and the four choices by name."""
    parts = (*experiment.choices().values(), experiment.training, experiment.performance, experiment.data)
    values = {name: value for part in parts for name, value in to_plain(part).items()}
    names = {kind: choice.name for kind, choice in experiment.choices().items()}
    return {**values, **names, "job_name": experiment.job_name}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("central", {"n_clients": 1, "num_rounds": 600, "gpu": "0", "threads": None, "privacy": "none"}),
        ("four GPUs", {"n_clients": 4, "gpu": "0,1,2,3", "threads": None, "algorithm": "fedavg"}),
        ("one GPU", {"n_clients": 4, "num_rounds": 600, "gpu": "0", "threads": 4, "privacy": "none"}),
        ("private", {"privacy": "svt", "dp_epsilon": 1e-3, "dp_fraction": 0.9, "dp_noise_var": 1, "dp_gamma": 1e-4}),
        ("tuned", {"num_rounds": 100, "learning_rate": 5e-5, "aggregation_epochs": 2, "cache_dataset": 0.5}),
        ("tuned private", {"privacy": "svt", "dp_epsilon": 0.01, "dp_fraction": 0.8, "dp_noise_var": 0.5}),
        ("named", {"job_name": "my_experiment", "n_clients": 4, "num_rounds": 600}),
    ],
)
def test_the_published_command_lines_mean_what_they_say(line: str, expected: dict[str, Any]) -> None:
    found = facts(read(f"{PUBLISHED[line]} {DATA}"))
    assert {name: found[name] for name in expected} == expected
    assert found["dataset_base_dir"] == "/data set/brats"
    assert found["datalist_json_path"] == "/data set/lists"


def test_the_other_published_options_are_read() -> None:
    options = "--fedproxloss_mu 0.02 --roi_size 128 128 64 --infer_roi_size 160 160 96 --workspace ws --job_name j"
    experiment = read(f"{options} {DATA}")
    found = facts(experiment)
    assert found["algorithm"] == "fedprox"
    assert found["fedproxloss_mu"] == 0.02
    assert found["roi_size"] == [128, 128, 64]
    assert found["infer_roi_size"] == [160, 160, 96]
    assert found["workspace"] == str(Path("ws").absolute())


def test_with_a_dataset_the_published_hyper_parameters_hold() -> None:
    expected = {
        "task": "brats18", "algorithm": "fedavg", "privacy": "none", "env": "sim", "n_clients": 4, "num_rounds": 600,
        "aggregation_epochs": 1, "learning_rate": 1e-4, "weight_decay": 1e-5, "batch_size": 1,
        "cache_dataset": 0.0, "roi_size": None, "infer_roi_size": [240, 240, 160], "foreground_crops": 0.0,
    }  # fmt: skip
    found = facts(read(DATA))
    assert {name: found[name] for name in expected} == expected


def test_the_published_preset_has_the_published_arithmetic_too() -> None:
    standard, published = facts(read(DATA)), facts(read(f"{DATA} --preset published"))
    different = {name: value for name, value in published.items() if standard[name] != value}
    assert different == {"precision": "fp32", "normalize": "crop", "windows": "padded", "validation": "every"}


def test_without_arguments_it_is_the_demonstration() -> None:
    experiment = read("")
    found = facts(experiment)
    plain = {n: list(v) if isinstance(v, tuple) else v for n, v in PRESETS["demo"].values.items()}
    assert {name: found[name] for name in plain} == plain
    assert experiment.data == Data()
    assert found["num_rounds"] < 600


@pytest.mark.parametrize("variable", ["DATASET_ROOT", "DATALIST_ROOT"])
def test_an_environment_variable_counts_as_a_dataset(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/data set")
    assert facts(read(""))["num_rounds"] == 600


def test_a_cache_folder_is_no_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert facts(read("--cache_dir /c"))["num_rounds"] < 600
    monkeypatch.setenv("CACHE_ROOT", "/my cache")
    experiment = read("")
    assert facts(experiment)["num_rounds"] < 600
    assert experiment.data == Data(cache_dir=Path("/my cache"))
    assert not experiment.data.names_a_dataset
    assert read("--cache_dir /c").data == Data(cache_dir=Path("/c"))


def test_an_argument_comes_before_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ROOT", "/old")
    monkeypatch.setenv("DATALIST_ROOT", "/lists")
    assert read("--dataset_base_dir /new").data == Data(Path("/new"), Path("/lists"))


def test_an_argument_comes_before_the_preset() -> None:
    found = facts(read("--preset demo --num_rounds 3 --roi_size 32 32 32"))
    assert found["num_rounds"] == 3
    assert found["roi_size"] == [32, 32, 32]
    assert found["aggregation_epochs"] == PRESETS["demo"].values["aggregation_epochs"]


def test_a_preset_can_be_chosen_against_the_data() -> None:
    assert facts(read("--preset published"))["num_rounds"] == 600
    assert facts(read(f"--preset demo {DATA}"))["num_rounds"] == PRESETS["demo"].values["num_rounds"]


NOISE = {"dp_noise_multiplier", "dp_target_epsilon"}
"""One of these must be given where a mechanism has them, and only one may."""

SIZES = ("roi_size", "infer_roi_size", "window_size")


def numeric_options() -> list[tuple[str, str]]:
    """Every option that is a number, or three, and the choice that it belongs to, as a command line's beginning."""
    parts = [("", cls) for cls in SECTIONS.values()]
    for kind in DEFAULTS:
        parts += [(f"--{kind} {name}", registry.find(kind, name)) for name in registry.names(kind)]
    return [
        (f"{line} --dp_noise_multiplier 1" if option_names(cls) >= NOISE and name not in NOISE else line, name)
        for line, cls in parts
        for name, kind in typing.get_type_hints(cls).items()
        if name in option_names(cls) and {int, float, Size} & {kind, *typing.get_args(kind)}
    ]


@pytest.mark.parametrize(("line", "name"), numeric_options())
def test_every_number_has_bounds_that_a_slip_of_the_keyboard_does_not_pass(line: str, name: str) -> None:
    """Twenty digits are no number of rounds, seconds, voxels, processes or anything else that a run has."""
    for value in ("9" * 20, "-" + "9" * 20):
        values = " ".join([value] * (3 if name in SIZES else 1))
        with pytest.raises(InputError, match=f"^--{name} is .*; expected "):
            read(f"{line} --{name}={values}" if name not in SIZES else f"{line} --{name} {values}")


def test_the_sweep_over_numbers_has_found_them() -> None:
    names = {name for _, name in numeric_options()}
    assert {
        "num_rounds",
        "seed",
        "cache_gb",
        "round_timeout",
        "dp_delta",
        "port",
        "workers",
        "state_gb",
        *SIZES,
    } <= names


def test_models_are_not_scored_more_rarely_than_there_are_rounds() -> None:
    with pytest.raises(InputError, match="--validate_every is 100; expected 1 to 1, the number of rounds"):
        read("--num_rounds 1 --validate_every 100")
    assert read("--num_rounds 2 --validate_every 2").training.validate_every == 2


def test_a_gpu_that_no_machine_has_is_refused_without_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for env in ("sim", "poc", "pool"):
        with pytest.raises(InputError, match="--gpu is '99'; expected GPU numbers from 0 to 15"):
            read(f"--env {env} --gpu 99")


def known_options() -> set[str]:
    plugins = [registry.find(kind, name) for kind in DEFAULTS for name in registry.names(kind)]
    return set().union(*(option_names(cls) for cls in (*plugins, *SECTIONS.values(), Experiment)))


@pytest.mark.parametrize("task", registry.names("task"))
def test_a_tasks_own_defaults_are_of_options_that_exist(task: str) -> None:
    cls: type[Task] = registry.find("task", task)
    assert set(cls.DEFAULTS) <= known_options()
    assert "standard" in cls.PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_only_options_that_exist(preset: str) -> None:
    assert set(PRESETS[preset].values) <= known_options()
    read_experiment(["--preset", preset])


def test_enable_dp_is_the_published_name_of_svt() -> None:
    assert read("--enable_dp") == read("--privacy svt") == read("--enable_dp --privacy svt")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--dp_epsilon 1", ["--dp_epsilon", "--privacy svt", "--privacy is none"]),
        ("--enable_dp --privacy none", ["--enable_dp", "--privacy svt", "--privacy none"]),
        ("--fedproxloss_mu 0.1 --algorithm fedavg", ["--fedproxloss_mu", "--algorithm fedprox", "is fedavg"]),
        ("--threads 2", ["--threads 2", "4 sites", "every site's process anew", "--threads 4", "--allow_restart"]),
        ("--threads 8", ["--threads 8", "4 sites", "at most 4"]),
        ("--threads 0", ["--threads is 0"]),
        ("--gpu 0;1", ["--gpu", "'0;1'"]),
        ("--gpu ''", ["--gpu", "''"]),
        ("--gpu 0,", ["--gpu", "'0,'"]),
        ("--gpu=-1", ["--gpu", "'-1'"]),
        ("--gpu 4", ["--gpu", "GPU 4", "0 to 3"]),
        ("--no_such_thing", ["--no_such_thing", "--help"]),
        ("--num_round 3", ["--num_round"]),
        ("--n_clients four", ["--n_clients", "four"]),
        ("--roi_size 32 32", ["--roi_size"]),
        ("--precision fp16", ["--precision", "fp16", "bf16"]),
        ("--privacy magic", ["--privacy", "magic", "svt"]),
        ("--num_rounds 0", ["--num_rounds is 0"]),
        ("stray", ["stray"]),
        ("--cross_site --enable_dp", ["--cross_site", "own model whole", "--privacy svt", "drop one"]),
        ("--cross_site --privacy percentile", ["--cross_site", "--privacy percentile"]),
        (
            "--cross_site --privacy dpsgd --dp_noise_multiplier 1 --dp_release_metrics",
            ["--cross_site", "--privacy dpsgd"],
        ),
        ("--cross_site --n_clients 1", ["--cross_site", "--n_clients is 1"]),
        ("--cross_site --threads 2 --allow_restart", ["--threads 2", "4 sites", "its own model", "--threads 4"]),
        ("--algorithm local --threads 2 --allow_restart", ["--threads 2", "4 sites", "its own model"]),
    ],
)
def test_a_mistake_is_refused_in_words(line: str, said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(line)
    assert all(words in str(caught.value) for words in said), str(caught.value)


def test_fewer_threads_are_accepted_where_restarts_are_wanted() -> None:
    found = facts(read("--threads 2 --allow_restart"))
    assert found["threads"] == 2
    assert found["allow_restart"] is True


def test_a_path_keeps_its_spaces_and_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    data = read_experiment(["--dataset_base_dir", "my data/x y", "--datalist_json_path", "/l s"]).data
    assert data == Data(tmp_path / "my data" / "x y", Path("/l s"))


def test_equal_command_lines_give_equal_experiments_whatever_the_order() -> None:
    assert read("--seed 3 --roi_size 32 32 32") == read("--roi_size 32 32 32 --seed 3")
    assert read("--seed 3") != read("--seed 4")


HEAVY = ("torch", "monai", "pandas", "matplotlib", "nvflare", "opacus", "scipy.stats", "sklearn")
"""Libraries whose import takes a good part of a second, or several."""


@pytest.mark.parametrize(
    "mistake", [["--help"], ["--no_such_option"], ["--num_rounds", "0"], ["--privacy", "gaussian"]]
)
def test_nothing_heavy_is_imported_before_the_options_are_known_to_be_good(mistake: list[str]) -> None:
    """So that help and refusals come within a second."""
    program = (
        "import atexit, sys, job; from fedmed.core.cli import run_script;"
        f"atexit.register(lambda: print('imported:', *(name for name in {HEAVY} if name in sys.modules)));"
        "run_script(job.main, sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", program, *mistake], cwd=scripts.ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].split() == ["imported:"], done.stderr


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read("--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(f"--{name}" in text for name in (*facts(read("--enable_dp --fedproxloss_mu 1")), "preset", "enable_dp"))


def test_data_of_this_machine_have_no_place_where_every_site_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ROOT", "/mine")
    experiment = read("--env prod --startup_kit /kit")
    assert experiment.data == Data()
    assert experiment.training.num_rounds == 600  # no demonstration
    with pytest.raises(InputError, match="every site has its own"):
        read("--env prod --startup_kit /kit --dataset_base_dir /mine")


@pytest.mark.parametrize(
    ("line", "sites"),
    [
        ("--n_clients 2", ("site-1", "site-2")),
        ("--n_clients 1", ("site-All",)),
        ("--site_names a,b,c", ("a", "b", "c")),
        ("--site_names alone", ("alone",)),
        ("--n_clients 2 --site_names a,b", ("a", "b")),
    ],
)
def test_sites_are_named_or_numbered(line: str, sites: tuple[str, ...]) -> None:
    training = read(f"{DATA} {line}").training
    assert training.sites == sites
    assert training.n_clients == len(sites)


@pytest.mark.parametrize("line", ["--n_clients 3 --site_names a,b", "--site_names a,a", "--site_names a,,b",
                                  "--site_names a,server", "--site_names 'a b,c'"])  # fmt: skip
def test_names_that_cannot_be_sites_are_refused(line: str) -> None:
    with pytest.raises(InputError, match="--site_names is"):
        read(f"{DATA} {line}")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--force", "belongs to --export"),
        ("--export /x --check_site a", "give one of them"),
        ("--resume /x --export /y", "--resume and --export are two different things"),
        ("--resume /x --check_site a", "--resume and --check_site are two different things"),
        ("--resume /x --force", "belongs to --export"),
        ("--resume /nowhere", "/nowhere holds no experiment.json"),
        ("--export /x --env sim", "drop one of them"),
        ("--export /x --dataset_base_dir /y", "every site has its own"),
        ("--startup_kit /kit", "belongs to --env prod"),
    ],
)
def test_what_is_done_instead_of_a_run_fits_the_rest(line: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(line)


def test_by_default_every_site_must_answer_and_faults_are_options_like_others() -> None:
    faults = read("").faults
    assert (faults.min_clients, faults.round_timeout) == (None, None)
    faults = read("--min_clients 2 --round_timeout 60 --site_silence 20 --max_update_ratio 0").faults
    assert (faults.min_clients, faults.round_timeout, faults.site_silence, faults.max_update_ratio) == (2, 60, 20, 0)
    with pytest.raises(InputError, match="--min_clients is 5; expected at most the 4 sites"):
        read("--min_clients 5 --n_clients 4")


def test_a_cross_site_evaluation_without_a_time_limit_waits_for_sites_that_a_round_would_spare() -> None:
    with pytest.raises(InputError, match="give --round_timeout"):
        read("--cross_site --min_clients 1")
    assert read("--cross_site --min_clients 1 --round_timeout 60").training.cross_site


def test_a_network_is_chosen_by_name_and_an_unknown_one_is_refused_with_the_names() -> None:
    assert facts(read(DATA))["network"] is None
    assert facts(read(f"{DATA} --network unet"))["network"] == "unet"
    with pytest.raises(InputError, match="--network is vnet; expected one of segresnet, unet"):
        read(f"{DATA} --network vnet")


def test_an_unknown_preset_is_refused_with_the_tasks_own() -> None:
    with pytest.raises(InputError, match="--preset is fast; expected one of demo, published, standard"):
        read("--preset fast")


def test_help_lists_the_presets_and_the_networks_of_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    text = " ".join(capsys.readouterr().out.split()).replace("- ", "-")  # a word may be broken at its hyphen
    assert all(f"{name}: {preset.purpose}" in text for name, preset in PRESETS.items())
    assert "segresnet, unet" in text


def test_of_several_tasks_help_says_whose_presets_and_networks_they_are(
    toy_task: type[Task], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert all(listed in text for listed in ("brats18: segresnet, unet |", "| toy_task: tiny, small"))
    assert f"toy_task: demo: {toy_task.PRESETS['demo'].purpose}" in text


def test_what_is_given_comes_before_the_preset_the_tasks_own_and_the_defaults(
    toy_task: type[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy_task, "PRESETS", {"standard": Preset(""), "quick": Preset("", {"num_rounds": 4})})
    line = f"{DATA} --task toy_task"
    training = read(line).training
    assert (training.num_rounds, training.batch_size, training.aggregation_epochs) == (3, 4, 1)
    training = read(f"{line} --preset quick --batch_size 2").training
    assert (training.num_rounds, training.batch_size, training.aggregation_epochs) == (4, 2, 1)
    assert read("--task toy_task").training.num_rounds == 3  # it has no demonstration of its own
