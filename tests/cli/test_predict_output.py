"""Where `pipeline predict` writes, in which form, and which pictures of a folder it takes."""

import os
import stat
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import predict
from pipeline.serving import pictures
from tests import tiny
from tests.console import ENVIRONMENT, PROGRAM


@pytest.fixture(scope="module")
def place(images, tmp_path_factory) -> Path:
    """A folder with a model that loads at once, and a folder `photos` with 2 pictures."""
    return tiny.with_photos(tmp_path_factory.mktemp("place"), images[0][:2])


def predicted(place: Path, *arguments: str | Path, photos: Path | None = None) -> Result:
    command = [photos or place / "photos", "--model", place / "tiny.onnx", *arguments]
    return CliRunner().invoke(predict.command, [str(argument) for argument in command])


@pytest.mark.parametrize(("name", "begin"), [("x.CSV", "file,class,"), ("x.Json", "[\n{"), ("x.TXT", "class ")])
def test_the_case_of_the_suffix_does_not_matter(name, begin, place, tmp_path):
    assert predicted(place, "--output", tmp_path / name).exit_code == 0
    assert (tmp_path / name).read_text().startswith(begin)


def test_a_link_stays_and_its_file_is_written_in_the_form_of_the_links_suffix(place, tmp_path):
    (tmp_path / "results").write_text("stale")
    (tmp_path / "results").chmod(0o600)
    (tmp_path / "x.csv").symlink_to("results")
    assert predicted(place, "--output", tmp_path / "x.csv").exit_code == 0
    assert (tmp_path / "x.csv").is_symlink()
    assert (tmp_path / "results").read_text().startswith("file,class,")
    assert stat.S_IMODE((tmp_path / "results").stat().st_mode) == 0o600


def test_a_pipe_is_written_to(place, tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "x.csv").read_text()))
    reader.start()
    assert predicted(place, "--output", tmp_path / "x.csv").exit_code == 0
    reader.join(30)
    assert read[0].count("\n") == 3 and stat.S_ISFIFO((tmp_path / "x.csv").stat().st_mode)


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_has_names(name, place, tmp_path):
    command = [*PROGRAM, "predict", place / "photos", "--model", place / "tiny.onnx", "--format", "csv"]
    with (tmp_path / "log").open("w") as log:
        log.write("a line before\n")
        log.flush()
        subprocess.run([*command, "--output", name], cwd=tmp_path, env=ENVIRONMENT, stdout=log, check=True)
        log.write("a line after\n")
    lines = (tmp_path / "log").read_text().splitlines()
    assert (lines[0], lines[1].split(",")[0], len(lines), lines[-1]) == ("a line before", "file", 5, "a line after")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_standard_error_keeps_what_is_said_there(place, tmp_path):
    (tmp_path / "x.png").touch()
    command = [*PROGRAM, "predict", place / "photos", tmp_path / "x.png", "--model", place / "tiny.onnx"]
    with (tmp_path / "log").open("w") as log:
        subprocess.run([*command, "--output", "/dev/stderr"], cwd=tmp_path, env=ENVIRONMENT, stderr=log)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].startswith("model: ") and lines[-1] == "1 of 3 could not be read"
    assert sum("photos/" in line for line in lines) == 2


def missing(folder: Path) -> Path:
    return folder / "reslts" / "x.csv"


def loop(folder: Path) -> Path:
    (folder / "x.csv").symlink_to("x.csv")
    return folder / "x.csv"


def below_a_file(folder: Path) -> Path:
    (folder / "x").touch()
    return folder / "x" / "y.csv"


NOWHERE = {
    "a folder that is missing": (missing, "make the folder"),
    "a link to itself": (loop, "too many levels of symbolic links"),
    "a folder": (lambda folder: folder, "is a directory"),
    "a file in place of the folder": (below_a_file, "not a directory"),
}


@pytest.mark.fault("as place for predictions:")
@pytest.mark.parametrize("kind", NOWHERE)
def test_a_place_that_takes_no_file_is_said_before_the_work(kind, place, tmp_path, record_property):
    make, expected = NOWHERE[kind]
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = predicted(place, "--output", path)
    assert (result.exit_code, result.stdout, "model:" in result.stderr) == (2, "", False)
    assert expected in result.stderr
    assert sorted(tmp_path.rglob("*")) == before
    record_property("seen", " ".join(result.stderr.splitlines()[-1].replace(f"{tmp_path}/", "").split()))


def test_a_model_file_named_in_capitals_is_renamed_by_the_user(place, tmp_path):
    (tmp_path / "TINY.ONNX").touch()
    result = CliRunner().invoke(predict.command, [str(place / "photos"), "--model", str(tmp_path / "TINY.ONNX")])
    assert result.exit_code == 2 and "rename it to" in result.stderr and "TINY.onnx" in result.stderr


def test_thumbnails_and_resource_forks_in_a_folder_are_no_pictures(place, tmp_path):
    for name in ("cat.png", "._cat.png", ".ipynb_checkpoints/cat.png", "@eaDir/cat.png/small.jpg", "Thumbs.db"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((place / "photos/00.png").read_bytes() if name == "cat.png" else b"no picture")
    result = predicted(place, "--format", "csv", photos=tmp_path / "album")
    assert (result.exit_code, result.stdout.count("\n"), "left out" in result.stderr) == (0, 2, False)
    named = predicted(place, "--format", "csv", photos=tmp_path / "album" / "._cat.png")
    assert named.exit_code == 3 and "unreadable:" in named.stderr


INSTALLED = [form for form in pictures.PLUGINS if form in pictures.FORMATS]
PHONES = {  # by suffix, how the file begins, its format, and the plug-in's package
    ".heic": (b"\0\0\0\x1cftypheic\0\0\0\0", "HEIF", "pillow-heif"),
    ".hif": (b"\0\0\0\x1cftypmif1\0\0\0\0", "HEIF", "pillow-heif"),
    ".jxl": (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL", "pillow-jxl-plugin"),
    ".JXL": (b"\xff\x0a\xfa\x1f", "JXL", "pillow-jxl-plugin"),
}


@pytest.mark.fault("in a folder, a picture that needs a plug-in of Pillow's:")
@pytest.mark.parametrize("suffix", [suffix for suffix, (_, form, _) in PHONES.items() if form not in INSTALLED])
def test_a_picture_for_which_pillow_lacks_the_plug_in_names_the_package(suffix, place, tmp_path, record_property):
    content, _, package = PHONES[suffix]
    (tmp_path / f"x{suffix}").write_bytes(content + bytes(50))
    result = predicted(place, photos=tmp_path)
    assert result.exit_code == 3 and f"`pip install --upgrade {package}`" in result.stderr
    assert result.stderr.endswith("1 of 1 could not be read\n")
    record_property("seen", result.stderr.splitlines()[0].replace(f"{tmp_path}/", ""))


@pytest.mark.parametrize("form", INSTALLED)
def test_where_the_plug_in_is_installed_such_pictures_are_read(form, place, tmp_path):
    corners = np.random.default_rng(0).integers(0, 256, (3, 4, 3), "uint8")
    photo = Image.fromarray(corners).resize((320, 240), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    expected = np.asarray(photo.transpose(Image.Transpose.ROTATE_270).resize((32, 32), Image.Resampling.BICUBIC))
    path = tmp_path / f"x{pictures.PLUGINS[form][2][0]}"
    photo.save(path, form, exif=exif.tobytes(), quality=95)
    assert np.abs(pictures.read(path).astype(int) - expected).max() < 10
    assert predicted(place, photos=tmp_path).exit_code == 0
