"""A dvc.lock that DVC was killed in writing is put back."""

import pytest

from pipeline.core import paths
from pipeline.lineage import lock as locked
from pipeline.lineage.lock import Broken
from tests.conftest import ROOT


@pytest.fixture
def lock(tmp_path, monkeypatch) -> bytes:
    """A whole dvc.lock, kept when the last stage began; return its content."""
    monkeypatch.chdir(tmp_path)
    content = (ROOT / "dvc.lock").read_bytes()
    locked.LOCK.write_bytes(content)
    paths.LOCK_KEPT.parent.mkdir()
    paths.LOCK_KEPT.write_bytes(content)
    return content


@pytest.mark.fault("dvc.lock cut off, by bytes")
@pytest.mark.parametrize("length", [0, 10, 1000, 30_000, -1])
def test_what_was_cut_off_is_put_back(length, lock):
    locked.LOCK.write_bytes(lock[:length])
    assert locked.mend()
    assert locked.LOCK.read_bytes() == lock


def test_a_whole_one_and_none_at_all_are_left_alone(lock):
    locked.LOCK.write_bytes(lock + b"# more\n")
    assert not locked.mend()
    assert locked.LOCK.read_bytes() != lock
    locked.LOCK.unlink()
    assert not locked.mend()
    assert not locked.LOCK.exists()


@pytest.mark.fault("DVC killed in writing who runs, of which is left")
@pytest.mark.parametrize("left", ["", '{"read": {'])
def test_a_damaged_list_of_running_commands_is_deleted_and_a_whole_one_is_not(left, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not locked.free()
    locked.RUNNING.parent.mkdir(parents=True)
    locked.RUNNING.write_text('{"read": {}}')
    assert not locked.free()
    locked.RUNNING.write_text(left)
    assert locked.free()
    assert not locked.RUNNING.exists()


def test_without_a_kept_one_the_user_is_told(lock):
    paths.LOCK_KEPT.unlink()
    locked.LOCK.write_bytes(b"stages:\n  x")
    with pytest.raises(Broken, match=r"git checkout dvc\.lock"):
        locked.mend()


def test_a_stage_keeps_the_one_that_it_was_begun_with(run_stage, tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    run_stage("prepare", DVC_STAGE="prepare")
    assert (tmp_path / paths.LOCK_KEPT).read_text() == "stages: {}\n"
