"""The classes of this package that a job without code of its own may name: FLARE builds no other ones for it.

Each is listed by its full name, as FLARE calls whatever it finds under an allowed prefix with arguments of the job.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST

SERVERS_CLASSES = (
    "fedmed.environments.flare.controller.FederationController",
    "fedmed.environments.flare.cross_site_workflow.GlobalModels",
    "fedmed.environments.flare.curves_receiver.CurvesReceiver",
    "fedmed.environments.flare.first_weights.FirstWeights",
)
SITES_CLASSES = (
    "fedmed.environments.flare.heartbeat.Heartbeat",
    "fedmed.environments.flare.site_script.SiteScript",
)


def allow(kit: Path, classes: Sequence[str]) -> None:
    """Add classes to those that the server or a site allows, by ``local/resources.json`` of its startup kit."""
    local = kit / "local"
    own = local / "resources.json"
    resources = json.loads((own if own.is_file() else local / "resources.json.default").read_text(encoding="utf-8"))
    resources["class_allow_list"] = [*resources.get("class_allow_list", DEFAULT_CLASS_ALLOW_LIST), *classes]
    own.write_text(json.dumps(resources, indent=2) + "\n", encoding="utf-8")
