"""TensorBoard values at the server: numbers of known curves of known sites, so many of each, and nothing else."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import EventScope, FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.workspace import Workspace
from nvflare.app_common.widgets.streaming import create_analytic_dxo
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedmed.core.entries import Entries
from fedmed.environments.flare.curves_receiver import CurvesReceiver, curves_receiver
from fedmed.experiment import Experiment
from fedmed.server.plan import ServerPlan

RANGES = {"val_dice": (0.0, 1.0), "train_loss": (-1e9, 1e9)}
MOST = 5


class Server:
    """FLARE's server as its receiver sees it."""

    def __init__(self, place: Path) -> None:
        for name in ("startup", "local", "job-1"):
            (place / name).mkdir()
        self.events = place / "job-1" / "tb_events"
        self.receiver = CurvesReceiver(["site-1", "site-2"], RANGES, MOST)
        engine = SimpleNamespace(get_workspace=lambda: Workspace(str(place), "server"))
        self.context = FLContext()
        self.context.set_prop(ReservedKey.ENGINE, engine)
        self.context.set_prop(ReservedKey.RUN_NUM, "job-1")
        self.receiver.handle_event(EventType.START_RUN, self.context)

    def gets(self, tag: Any, value: Any, step: Any = 1, kind: AnalyticsDataType = AnalyticsDataType.SCALAR) -> None:
        dxo = create_analytic_dxo("tag", 0.0, AnalyticsDataType.SCALAR, global_step=1)
        dxo.data |= {"track_key": tag, "track_value": value, "global_step": step, "analytics_kwargs": {}}
        dxo.set_meta_prop("analytics_data_type", kind)
        self.hands_over(dxo.to_shareable(), "site-1")

    def hands_over(self, data: Shareable, sender: str) -> None:
        data.set_peer_props({ReservedKey.IDENTITY_NAME: sender})
        self.context.set_prop(FLContextKey.EVENT_DATA, data)
        self.context.set_prop(FLContextKey.EVENT_SCOPE, EventScope.FEDERATION)
        self.receiver.handle_event(self.receiver.events[0], self.context)

    def written(self) -> dict[str, dict[str, list[tuple[int, float]]]]:
        self.receiver.handle_event(EventType.END_RUN, self.context)
        found = {}
        for folder in sorted(self.events.iterdir()):
            events = EventAccumulator(str(folder)).Reload()
            tags = events.Tags()
            assert not tags["images"] + tags["histograms"] + tags["tensors"]
            found[folder.name] = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
        return found


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_a_sites_curve_is_written(server: Server) -> None:
    for step in range(3):
        server.gets("val_dice", 0.25 * step, step)
    assert server.written() == {"site-1": {"val_dice": [(0, 0.0), (1, 0.25), (2, 0.5)]}}


@pytest.mark.parametrize(
    ("tag", "value", "step"),
    [
        ("val_dice", 9e9, 1), ("val_dice", math.nan, 1), ("train_loss", math.inf, 1), ("train_loss", "1", 1),
        ("train_loss", True, 1), ("unknown", 0.5, 1), (1, 0.5, 1), ("val_dice", 0.5, -1), ("val_dice", 0.5, 10**12),
        ("val_dice", 0.5, None), ("val_dice", 0.5, "1"), ("val_dice", {"x": 0.5}, 1), ("val_dice", [0.5], 1),
    ],
)  # fmt: skip
def test_what_is_no_value_of_a_known_curve_is_dropped(tag: Any, value: Any, step: Any, server: Server) -> None:
    server.gets(tag, value, step)
    assert server.written() == {}


@pytest.mark.parametrize("kind", [kind for kind in AnalyticsDataType if kind.name not in ("SCALAR", "METRIC")])
def test_texts_images_and_groups_are_dropped(kind: AnalyticsDataType, server: Server) -> None:
    for value in (0.5, "text", {"val_dice": 0.5}):
        server.gets("val_dice", value, kind=kind)
    assert server.written() == {}


@pytest.mark.parametrize("sender", ["site-3", "../../elsewhere", "", "server"])
def test_who_is_no_site_of_the_run_writes_nothing(sender: str, server: Server) -> None:
    dxo = create_analytic_dxo("val_dice", 0.5, AnalyticsDataType.SCALAR, global_step=1)
    server.hands_over(dxo.to_shareable(), sender)
    assert server.written() == {}


def test_of_each_curve_only_so_many_values_are_kept(server: Server) -> None:
    for step in range(3 * MOST):
        server.gets("val_dice", 0.5, step)
    server.gets("train_loss", 2.0, 1)
    found = server.written()["site-1"]
    assert (len(found["val_dice"]), len(found["train_loss"])) == (MOST, 1)


def test_a_runs_receiver_takes_all_that_its_sites_draw(toy_experiment: Callable[..., Experiment]) -> None:
    experiment = toy_experiment("--num_rounds", "4", "--aggregation_epochs", "2")
    plan = ServerPlan.of(experiment, Entries.of(experiment.task.build_model()))
    made = curves_receiver(plan)
    assert set(made.ranges) >= {"val_auroc", "val_accuracy", "epoch_val_auroc", "train_loss", "privacy_epsilon"}
    assert made.ranges["epoch_val_auroc"] == made.ranges["train_accuracy"] == [0.0, 1.0]
    assert made.ranges["val_auroc"] == [0.0, 1.0]
    assert made.ranges["learning_rate"] == [0.0, experiment.training.learning_rate]
    assert made.sites == ["site-1", "site-2"]
    assert made.most >= 2 * 4
