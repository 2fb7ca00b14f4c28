"""Our settings for `jupyterhub -f`, which runs this file with its configuration as `c`; importing it does nothing."""

from agent_analytics import settings
from agent_analytics.serving.hub import configure

configuration = globals().get("c")
if configuration is not None:
    configure(configuration, settings.read())
