"""Folders are listed and made anew; what only looks like a merge conflict is read."""

import tempfile
from pathlib import Path

import pytest

from pipeline.core import files
from tests.refusing import as_nobody


def test_a_link_in_place_of_a_fresh_folder_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/theirs").touch()
    (tmp_path / "models").symlink_to("elsewhere")
    files.fresh_folder(tmp_path / "models")
    assert not (tmp_path / "models").is_symlink() and [*(tmp_path / "models").iterdir()] == []
    assert (tmp_path / "elsewhere/theirs").exists()


def test_a_folder_that_is_missing_or_closed_is_not_an_empty_one():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "reports")
        with pytest.raises(FileNotFoundError):
            files.list_files(folder)
        folder.mkdir()
        assert files.list_files(folder) == []
        folder.chmod(0)
        with as_nobody(), pytest.raises(PermissionError):
            files.list_files(folder, "*.csv")


def test_a_value_that_looks_like_the_mark_of_a_conflict_is_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text('note: "first\n<<<<<<< second"\n')
    assert files.read_yaml(path) == {"note": "first <<<<<<< second"}
