"""What converters make of a real model, run on real images."""

import keras
import numpy as np
import pytest

from pipeline.export import convert, runtimes

CALIBRATION, SEEN = slice(6000, 6100), slice(6100, 6400)  # of the images


@pytest.fixture(scope="module")
def files(tiny, images, tmp_path_factory):
    """A file of each variant."""
    folder = tmp_path_factory.mktemp("exported")
    made = {variant: folder / variant.file for variant in convert.VARIANTS}
    for variant, path in made.items():
        convert.convert(tiny, variant, path, images[0][CALIBRATION])
    return made


@pytest.mark.parametrize("variant", convert.VARIANTS, ids=lambda variant: f"{variant.format}-{variant.precision}")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_gives_keras_probabilities_an_image_at_a_time(variant, threads, files, tiny, images):
    seen = images[0][SEEN]
    expected, predict = tiny.predict(seen, verbose=0), runtimes.load(files[variant], threads)
    found = np.concatenate([predict(image[None]) for image in seen])
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    assert found == pytest.approx(expected, abs={"float32": 1e-5, "float16": 0.01, "int8": 0.3}[variant.precision])
    agreement = (found.argmax(axis=1) == expected.argmax(axis=1)).mean()
    assert agreement >= {"float32": 1, "float16": 0.99, "int8": 0.9}[variant.precision]


def test_a_narrower_number_format_is_a_smaller_file(files):
    sizes = [files[variant].stat().st_size for variant in convert.VARIANTS if variant.format == "litert"]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2
    assert len({path.name for path in files.values()}) == len(files)


def test_int8_is_a_network_of_int8_that_takes_bytes(files):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(files[convert.Variant("litert", "int8")]))
    tensors = interpreter.get_tensor_details()
    kernels = [tensor for tensor in tensors if len(tensor["shape"]) == 4 and tensor["shape"][1] in (3, 5)]
    assert {tensor["dtype"] for tensor in kernels} == {np.int8}
    (source,) = interpreter.get_input_details()
    assert (source["dtype"], source["shape"].tolist()) == (np.uint8, [1, 32, 32, 3])


def test_onnx_takes_as_many_images_as_it_is_given(files, tiny, images):
    predict = runtimes.load(files[convert.Variant("onnx", "float32")], 1)
    for count in (1, 7, 300):
        seen = images[0][:count]
        assert predict(seen) == pytest.approx(tiny.predict(seen, verbose=0), abs=1e-5)


def test_what_a_converter_does_not_take_is_said_and_leaves_no_file(images, tmp_path):
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    angles = keras.ops.arccosh(keras.ops.cast(inputs, "float32"))  # no LiteRT operation
    odd = keras.Model(inputs, keras.ops.mean(angles, axis=(1, 2)))
    with pytest.raises(convert.Unconverted, match="Acosh"):
        convert.convert(odd, convert.VARIANTS[0], tmp_path / "odd.tflite", images[0][CALIBRATION])
    assert not list(tmp_path.iterdir())


def test_converting_says_nothing_and_gives_the_streams_back(tiny, images, tmp_path, capfd):
    convert.convert(tiny, convert.VARIANTS[0], tmp_path / "quiet.tflite", images[0][CALIBRATION])
    runtimes.load(tmp_path / "quiet.tflite", 1)(images[0][:1])
    print("heard")
    assert capfd.readouterr() == ("heard\n", "")
