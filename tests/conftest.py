"""What every test stands on: an empty working folder, a clean environment, examples that never vary."""

import os

import hypothesis
import pytest
from places import SHARED_DATA

hypothesis.settings.register_profile("masklet", derandomize=True, deadline=None, max_examples=100)
hypothesis.settings.load_profile("masklet")


@pytest.fixture(autouse=True)
def empty_desk(monkeypatch, tmp_path):
    """No test sees the repository as its working folder, nor the caller's settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("MASKLET_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real pictures, films and models that lies beside the repository, where it does."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data beside the repository: real pictures that are not part of it")
    return SHARED_DATA
