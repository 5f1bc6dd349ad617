"""The fixtures of the privacy mechanisms' tests, for FLARE's filter round them."""

from tests.privacy.conftest import send, site_state, update  # noqa: F401
