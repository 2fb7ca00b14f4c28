"""That the search through what is left behind would find something."""

from pathlib import Path

import pytest

from left_behind import told


@pytest.mark.parametrize("place", ["logs/api.log", "kernels/1/out.ipynb", "run/keys.txt", "x"])
def test_a_canary_or_a_secret_anywhere_but_where_it_belongs_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "token-key").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "runs.duckdb").write_text("canary-of-globex")
    assert told(tmp_path) == []
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a run of canary-of-globex, asked with 0123456789abcdef0123456789abcdef")
    assert told(tmp_path) == [f"{path} holds a canary", f"{path} holds the secret token-key"]
