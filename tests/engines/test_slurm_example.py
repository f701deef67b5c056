"""The engine of the documentation, installed for real: cells as jobs of submitit's local executor."""

from pathlib import Path

from tests.helpers import install_example, run_installed


def test_the_plugins_own_tests_pass(tmp_path: Path) -> None:
    site = install_example("vaebench-slurm", tmp_path)
    said = run_installed(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "source"))
    assert "3 passed" in said
