"""What a person's own server runs: JupyterLab for JupyterHub, which can gain no rights beyond its account's."""

import os
import sys

from agent_analytics.serving.kernel_start import confine

IDLE_SECONDS = 4 * 3600
OPTIONS = (
    "--HubOAuth.cache_max_age=10",
    f"--ServerApp.shutdown_no_activity_timeout={IDLE_SECONDS}",
    f"--MappingKernelManager.cull_idle_timeout={IDLE_SECONDS}",
    f"--TerminalManager.cull_inactive_timeout={IDLE_SECONDS}",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)


def log_at_home() -> None:
    """What a server says is the person's own: in the hub's log it could pass for the hub's words."""
    log = os.open("server.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())


if __name__ == "__main__":
    confine(own_account=True, memory=None)
    log_at_home()
    sys.argv += OPTIONS
    from jupyterhub.singleuser.app import main

    main()
