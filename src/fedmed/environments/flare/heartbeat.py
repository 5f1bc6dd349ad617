"""The site's side of heartbeats: a message to the server every few seconds, as long as the job runs."""

import contextlib
import threading
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.apis.shareable import Shareable
from nvflare.fuel.data_event.utils import get_scope_property

from fedmed.core.names import HEARTBEAT_TOKEN, HEARTBEAT_TOPIC


class Heartbeat(FLComponent):
    """Sends heartbeats from the start of a job to its end, in a thread of its own, also while the site trains.

    Each holds the token that FLARE's server gave the site when it registered and that no other site has: the sender's
    name, which FLARE sends along, is the sender's own word.

    Args:
        every_s: seconds from one heartbeat to the next.
        spared: True where the job goes on without this site, should its process die.
    """

    def __init__(self, every_s: float, spared: bool) -> None:
        super().__init__()
        self.every_s = every_s
        self.spared = spared
        self._over = threading.Event()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.START_RUN:
            if self.spared:
                self._die_unreported(fl_ctx)
            threading.Thread(target=self._beat, args=(fl_ctx.get_engine(),), daemon=True).start()
        elif event_type == EventType.END_RUN:
            self._over.set()

    def _beat(self, engine: object) -> None:
        while not self._over.is_set():
            with contextlib.suppress(Exception), engine.new_context() as fl_ctx:  # type: ignore[attr-defined]
                sign = Shareable()
                sign.set_header(HEARTBEAT_TOKEN, get_scope_property(fl_ctx.get_identity_name(), FLMetaKey.AUTH_TOKEN))
                engine.send_aux_request(  # type: ignore[attr-defined]
                    targets=None, topic=HEARTBEAT_TOPIC, request=sign, timeout=0.0, fl_ctx=fl_ctx, optional=True
                )
            self._over.wait(self.every_s)

    def _die_unreported(self, fl_ctx: FLContext) -> None:
        """FLARE 2.9's client ends the whole job when a site's process is killed, unless the process left a return code.

        What it reads from this file in place of the real code is reported as an outcome that is not known, and whether
        the job can do without the site is then the server's to say.
        """
        run_dir = Path(fl_ctx.get_engine().get_workspace().get_run_dir(fl_ctx.get_job_id()))
        (run_dir / FLMetaKey.PROCESS_RC_FILE).write_text(f"{JobReturnCode.UNKNOWN}\n", encoding="utf-8")
