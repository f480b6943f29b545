"""The layers of `chalicelib` hold; the rules stand in pyproject.toml."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

CONFIG = Path(__file__).parents[2] / "pyproject.toml"


def test_each_module_imports_only_from_the_layers_below_it() -> None:
    assert lint_imports(config_filename=str(CONFIG), no_cache=True) == EXIT_STATUS_SUCCESS
