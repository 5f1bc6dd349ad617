"""FLARE's persistor for PyTorch models, beginning with the weights that came with the job's configuration."""

from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_opt.pt.file_model_persistor import PTFileModelPersistor

from fedmed.core.code_version import expect_code
from fedmed.core.errors import InputError

CONFIG, FIRST_WEIGHTS = "config", "init.pt"
"""FLARE's folder of a job's configuration, and the file of weights in it."""


class FirstWeights(PTFileModelPersistor):
    """Differs from FLARE's persistor in what it begins with, and in that no job can have it unpickle anything.

    Args:
        code: the fingerprint of the code that the job was made with; with other code the server ends it.

    Attributes:
        checkpoint: the file of a run that goes on; it takes the place of the job's first weights.
    """

    checkpoint: Path | None = None

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def load_model(self, fl_ctx: FLContext) -> Any:
        try:
            expect_code(self.code)
        except InputError as error:
            self.system_panic(str(error), fl_ctx)
            return None
        first = Path(fl_ctx.get_prop(FLContextKey.APP_ROOT), CONFIG, FIRST_WEIGHTS)
        self.ckpt_preload_path = str(self.checkpoint or first)
        return super().load_model(fl_ctx)
