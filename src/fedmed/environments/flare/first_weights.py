"""FLARE's persistor for PyTorch models, beginning with the weights that came with the job's configuration."""

from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_opt.pt.file_model_persistor import PTFileModelPersistor

from fedmed.core.code_version import expect_code

CONFIG, FIRST_WEIGHTS = "config", "init.pt"
"""FLARE's folder of a job's configuration, and the file of weights in it."""


class FirstWeights(PTFileModelPersistor):
    """FLARE's persistor for the models that the server keeps itself; no job can have it unpickle anything.

    Args:
        code: the fingerprint of the code that the job was made with; with other code the server ends it.
    """

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def first_weights(self, fl_ctx: FLContext) -> Path:
        """The file of the weights with which a run begins.

        Raises:
            InputError: the server has other code than the job was made with.
        """
        expect_code(self.code)
        return Path(fl_ctx.get_prop(FLContextKey.APP_ROOT), CONFIG, FIRST_WEIGHTS)

    def load_model(self, fl_ctx: FLContext) -> Any:
        """FLARE's own way to the first model, for workflows other than this project's."""
        self.ckpt_preload_path = str(self.first_weights(fl_ctx))
        return super().load_model(fl_ctx)
