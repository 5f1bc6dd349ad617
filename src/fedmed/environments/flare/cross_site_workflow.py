"""FLARE's cross-site evaluation after the rounds: every site's own model and the global ones, at every site."""

from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.app_opt.pt.file_model_locator import PTFileModelLocator
from nvflare.recipe.utils import add_cross_site_evaluation

from fedmed.core.names import BEST_FILE, LAST_FILE

NEVER = 0
"""FLARE's word for no time limit: how long a site scores depends on its cases."""


class GlobalModels(PTFileModelLocator):
    """FLARE's locator for some of the server's models; FLARE's own adds the untrained one.

    Args:
        names: the file names of those that are wanted.
    """

    def __init__(self, pt_persistor_id: str, names: list[str]) -> None:
        super().__init__(pt_persistor_id)
        self.names = names

    def get_model_names(self, fl_ctx: FLContext) -> list[str]:
        there = super().get_model_names(fl_ctx)
        return [name for name in self.names if name in there]


def add_cross_site(recipe: Any, *, global_model: bool, timeout_s: int | None) -> None:
    """Let a recipe end with FLARE's cross-site evaluation, of the global models too where there are any.

    Args:
        timeout_s: how long the server waits for each answer; None is no limit.
    """
    limit = timeout_s or NEVER
    add_cross_site_evaluation(recipe, submit_model_timeout=limit, validation_timeout=limit)
    components = recipe._job._deploy_map["server"].app_config.components  # no argument takes another locator
    for name, part in components.items():
        if isinstance(part, PTFileModelLocator):
            components[name] = GlobalModels(part.pt_persistor_id, [LAST_FILE, BEST_FILE] if global_model else [])
