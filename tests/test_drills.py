"""The drill on a whole workspace: what it compares is there, and a difference is named."""

import shutil

import numpy as np

from drills import kills


def test_a_workspace_is_as_it_is_itself_and_a_changed_result_is_named(small, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(small.folder, copy, ignore=shutil.ignore_patterns("data", "cache", ".git"))
    assert kills.differences(small.folder, copy) == []
    array = copy / "predictions/custom_cnn/test.npy"
    array.unlink()  # it may be a link to what DVC keeps
    np.save(array, np.zeros((3, 10), "float32"))
    assert kills.differences(small.folder, copy) == ["predictions/custom_cnn/test"]
