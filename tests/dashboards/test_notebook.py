"""The page's notebook elsewhere than on its page: under nbval and Papermill, and in JupyterLab."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dashboards.conftest import wait
from dashboards.house import ADMIN, House, answers, free_ports, wait_for
from playwright.sync_api import Page

from agent_analytics.serving import tokens
from agent_analytics.serving.dashboards import notebooks

NOTEBOOK = notebooks() / "organization.ipynb"


@pytest.fixture
def environment(house: House, tmp_path: Path) -> dict[str, str]:
    """As the service starts a kernel for acme's admin."""
    token = tmp_path / "token"
    token.write_text(tokens.issue(house.home, ADMIN, datetime.now(UTC)))
    ours = {"AGENT_ANALYTICS_API_URL": house.api_url, "AGENT_ANALYTICS_TOKEN_FILE": str(token)}
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), **ours}


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, env=environment, cwd=environment["HOME"], capture_output=True, text=True)


def papermill(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return run(environment, "papermill", str(NOTEBOOK), "out.ipynb", "--no-progress-bar", *words)


def test_nbval_runs_every_cell(environment: dict[str, str]) -> None:
    done = run(environment, "pytest", "--nbval-lax", "-p", "no:cacheprovider", "--rootdir=/", str(NOTEBOOK))
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout


def test_papermill_chooses_the_period_and_leaves_no_secret(environment: dict[str, str]) -> None:
    done = papermill(environment, "-p", "days", "7")
    assert done.returncode == 0, done.stderr
    output = (Path(environment["HOME"]) / "out.ipynb").read_text()
    assert Path(environment["AGENT_ANALYTICS_TOKEN_FILE"]).read_text() not in output
    assert json.loads(output)["metadata"]["papermill"]["parameters"] == {"days": 7}


def test_a_period_that_is_not_offered_is_one_clear_line(environment: dict[str, str]) -> None:
    done = papermill(environment, "-p", "days", "31")
    assert done.returncode != 0
    assert "PeriodError: This page does not show the last 31 days. It has: 7, 30, 90." in done.stderr


def test_without_a_session_it_says_what_is_missing(environment: dict[str, str]) -> None:
    del environment["AGENT_ANALYTICS_TOKEN_FILE"]
    done = papermill(environment)
    assert done.returncode != 0
    assert "ServiceError: This kernel was not started by Agent Analytics" in done.stderr


def test_an_api_that_does_not_answer_is_one_clear_line(environment: dict[str, str]) -> None:
    environment["AGENT_ANALYTICS_API_URL"] = f"http://127.0.0.1:{free_ports(1)}/services/api"
    done = papermill(environment)
    assert done.returncode != 0
    assert "PanelFailed: Panel 'Period' failed, reference" in done.stderr
    assert "does not answer" in done.stderr


def test_the_notebook_holds_short_cells_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert all(len(cell["source"]) <= 4 for cell in cells)
    assert all(not cell.get("outputs") for cell in cells)


@pytest.fixture
def laboratory(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """JupyterLab, beside a copy of the notebook."""
    (tmp_path / "organization.ipynb").write_text(NOTEBOOK.read_text())
    port = free_ports(1)
    options = ["--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, "--expose-app-in-browser"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    wait_for(lambda: answers(f"http://127.0.0.1:{port}/api", 200), tmp_path / "log", 90)
    yield f"http://127.0.0.1:{port}/lab/tree/organization.ipynb"
    server.terminate()
    server.wait(30)


def test_the_very_notebook_works_in_jupyterlab(laboratory: str, page: Page) -> None:
    page.set_viewport_size({"width": 1400, "height": 2600})
    page.goto(laboratory, timeout=120_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    wait(lambda: page.locator(".aa-chart svg").count() == 5, "charts were not drawn", 90)
    month = page.get_attribute("[data-measure=runs]", "data-value")
    page.get_by_role("button", name="7 days").click()
    wait(lambda: page.get_attribute("[data-measure=runs]", "data-value") not in (month, None), "not redrawn")
