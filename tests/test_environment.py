"""environment.yml and pyproject.toml ask for the same."""

import re
import tomllib
from pathlib import Path

import yaml

from agent_analytics.serving.proxy import OLDEST_NODE

CHECKOUT = Path(__file__).parent.parent
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((CHECKOUT / "environment.yml").read_text())["dependencies"]


def test_the_same_packages_in_the_same_versions() -> None:
    (packages,) = [each["pip"] for each in CONDA if isinstance(each, dict)]
    assert packages == PROJECT["dependencies"]


def test_the_same_python_and_node() -> None:
    assert f"python{PROJECT['requires-python']}" in CONDA
    assert f"nodejs>={OLDEST_NODE}" in CONDA


def test_dependencies_are_in_order() -> None:
    for names in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        assert names == sorted(names, key=lambda line: re.split(r"[^\w-]", line)[0])
