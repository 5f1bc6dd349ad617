"""What the server and a site of an unfinished run leave in its folder, made by the code that makes it in a run."""

from pathlib import Path

from fedmed.core.names import SERVER, SITES, STATE
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.server.checkpoint import BestFile, Checkpoints
from fedmed.site.site_state import SiteState


def keep(run: RunFolder, experiment: Experiment) -> dict[str, Path]:
    """Leave the checkpoint after two rounds, the first one's model being the best, and a site's state; the files."""
    server, site = run.path / SITES / SERVER, run.path / SITES / "site-1"
    made, model = Checkpoints(server), run.path / "made.pt"
    save_weights(experiment.task.build_model().state_dict(), model)
    made.hold()
    made.begin(None)
    for number in range(2):
        made.add({"round": number, "seconds": 1.0, "best": number == 1, "sites": {}})
    made.save(1, model, BestFile(model, 0.5, 1), run.path / "events")
    made.save(2, model, BestFile(model, 0.5, 1), run.path / "events", {"steps": 7})
    made.release()
    model.unlink()
    SiteState(site / STATE).save(2, {"steps": 3})
    return {
        "checkpoint": server / "checkpoint.json",
        "records": server / "rounds.jsonl",
        "last model": server / "after-2.pt",
        "best model": server / "best-1.pt",
        "algorithm": server / "algorithm-2.pt",
        "site's state": site / STATE / "after-2.pt",
    }
