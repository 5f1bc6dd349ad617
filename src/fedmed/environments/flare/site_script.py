"""FLARE's executor for the one client script, wherever it lies at a site."""

from urllib.parse import quote

from nvflare.app_common.executors.client_api_executor import ClientAPIExecutor, ExecutionMode

from fedmed.core.code_version import script


class SiteScript(ClientAPIExecutor):
    """Runs ``client.py``, the job's or the one that is installed at the site, and nothing else.

    FLARE's own executor takes any command from a job, so that a site which lets no job bring code must not allow it.

    Args:
        experiment: the path of the experiment's file at the site.
        code: the fingerprint of the code that the job was made with.
        params_exchange_format: of the model's parameters in the script, as FLARE calls it.
    """

    def __init__(self, experiment: str, code: str, params_exchange_format: str) -> None:
        super().__init__(
            ExecutionMode.IN_PROCESS,
            task_script_path=str(script("client")),
            task_script_args=f"{quote(experiment)} {code}",  # FLARE splits them at white space
            params_exchange_format=params_exchange_format,
        )
