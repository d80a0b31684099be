"""Each network maps pictures to logits, scales pixels as its weights expect, and loads only its own weights."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from pipeline import models
from pipeline.core import params
from pipeline.core.errors import UserError
from pipeline.models import efficientnet_lite0, mobilenetv2
from pipeline.training.transfer import head, settled
from pipeline.training.trunk import split, trunk

MODELS = params.load(Path(__file__).parents[2] / "params.yaml").models
PRETRAINED = [name for name, model in MODELS.items() if model.method == "transfer"]
SCRATCH = [name for name, model in MODELS.items() if model.method == "scratch"]
RESOLUTION = 96  # of the tests of one network only


@pytest.fixture(scope="module")
def backbones():
    """Each pretrained network with random weights, built once."""
    built = {}

    def get(name: str) -> keras.Model:
        if name not in built:
            built[name] = models.get(name).backbone(MODELS[name].network.resolution, None)
        return built[name]

    return get


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")


def weights(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def randomise(model: keras.Model) -> None:
    """Give every weight a value of its own, so that none can be taken for another or for its initial value."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, weight.shape).astype("float32") for weight in model.get_weights()])


def assert_same(first: dict[str, list[np.ndarray]], second: dict[str, list[np.ndarray]]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert len(first[name]) == len(second[name])
        for one, other in zip(first[name], second[name], strict=True):
            assert np.array_equal(one, other), name


@pytest.mark.parametrize("name", SCRATCH)
def test_a_network_trained_from_scratch_maps_pictures_of_each_size_to_logits(name, pictures):
    network = models.get(name).build(pictures, **MODELS[name].network)
    for side in (16, 24, 32):
        logits = keras.ops.convert_to_numpy(network(np.zeros((2, side, side, 3), "float32")))
        assert (logits.shape, logits.dtype) == ((2, 10), "float32"), f"{name} gives {logits.shape} at {side} pixels"
    probabilities = keras.ops.convert_to_numpy(network(pictures.astype("float32"))).sum(axis=1)
    assert not np.allclose(probabilities, 1), f"{name} ends with a softmax: it is to give logits"


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_pretrained_network_cut_as_in_params_maps_pictures_to_logits(name, backbones, pictures):
    settings = MODELS[name]
    backbone = backbones(name)
    lower, upper = split(backbone, settings.network.cut)
    assert lower.layers[-1].name == settings.network.cut
    frozen, top = trunk(lower), head(upper, settings.training.dropout)
    activations = frozen.predict_on_batch(pictures)
    logits = np.asarray(top(activations, training=False))
    assert (logits.shape, logits.dtype) == ((2, 10), "float32")
    assert np.isfinite(logits).all()
    resized = keras.ops.image.resize(pictures.astype("float32"), backbone.input_shape[1:3])
    uncut = np.asarray(backbone(resized, training=False))
    assert np.abs(np.asarray(upper(activations, training=False)) - uncut).max() < 1e-3 * np.abs(uncut).max()


def test_a_network_called_directly_gives_what_predict_gives(lite0_weights, pictures):
    """Keras' preprocessing layers can put all that follows them into training mode."""
    backbone = efficientnet_lite0.backbone(RESOLUTION, lite0_weights)
    lower, upper = split(backbone, MODELS["efficientnet_lite0"].network.cut)
    images = keras.Input((32, 32, 3), dtype="uint8")
    whole = keras.Model(images, head(upper, 0.5)(trunk(lower)(images)))
    assert np.allclose(whole(pictures), whole.predict_on_batch(pictures), atol=0.05)


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_heads_batch_normalisation_is_frozen_and_the_rest_is_trained(name, backbones):
    upper = settled(split(backbones(name), MODELS[name].network.cut)[1])
    trained = {id(weight) for weight in head(upper, 0.3).trainable_weights}
    normalisations = [layer for layer in upper.layers if isinstance(layer, keras.layers.BatchNormalization)]
    others = [layer for layer in upper.layers if layer.weights and layer not in normalisations]
    assert bool(normalisations) == (name == "resnet50v2")  # elsewhere each follows a convolution, and is folded into it
    assert not any(layer.trainable or layer.trainable_weights for layer in normalisations)
    assert not trained & {id(weight) for layer in normalisations for weight in layer.weights}
    kernels = {id(weight) for layer in others for weight in layer.weights}
    assert kernels
    assert kernels <= trained
    assert len(trained) == len(kernels) + 2  # the classifier's


@pytest.mark.parametrize(
    ("name", "layer", "low", "high"),
    [
        ("mobilenetv2", "scale", -1, 1),
        ("resnet50v2", "scale", -1, 1),
        ("efficientnet_lite0", "scale", -127 / 128, 1),
        ("efficientnetb0", "rescaling", 0, 1),
    ],
)
def test_pixels_are_scaled_as_the_published_weights_expect(name, layer, low, high, backbones):
    backbone = backbones(name)
    scaled = keras.Model(backbone.inputs[0], next(x for x in backbone.layers if x.name.startswith(layer)).output)
    black, white = (np.full((1, *backbone.input_shape[1:]), value, "float32") for value in (0, 255))
    assert np.allclose(scaled(black), low, atol=1e-6)
    assert np.allclose(scaled(white), high, atol=1e-6)


def test_efficientnetb0s_release_has_deviations_for_variances_and_is_put_right(tmp_path):
    """As Keras' own release has it, and Keras' own download makes up for it."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    released = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    scale = next(layer for layer in released.layers if isinstance(layer, keras.layers.Normalization))
    scale.set_weights([mean, deviation, np.array(1)])
    released.save_weights(tmp_path / "efficientnetb0_notop.weights.h5")
    loaded = models.get("efficientnetb0").backbone(32, tmp_path / "efficientnetb0_notop.weights.h5")
    scale = next(layer for layer in loaded.layers if isinstance(layer, keras.layers.Normalization))
    white = keras.Model(loaded.inputs[0], scale.output).predict(np.full((1, 32, 32, 3), 255.0), verbose=0)
    assert white[0, 0, 0] == pytest.approx((1 - mean) / deviation, rel=1e-4)


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_backbone_for_any_size_is_that_of_one_size(name):
    """Fine-tuning trains the one and serves the other; with sides that are multiples of 32 they pad alike."""
    anyone, one = (models.get(name).backbone(resolution, None) for resolution in (None, 64))
    one.set_weights(anyone.get_weights())
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    found, expected = (np.asarray(model(pictures, training=False)) for model in (anyone, one))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_first_convolution_sees_the_scaled_pixels(backbones):
    for name, first in (("mobilenetv2", "Conv1"), ("efficientnet_lite0", "stem_conv"), ("resnet50v2", "conv1_pad")):
        backbone = backbones(name)
        assert backbone.get_layer(first).input is backbone.get_layer("scale").output


def test_an_unknown_cut_is_refused(backbones):
    with pytest.raises(UserError, match=r"network\.cut: .*'no_such_layer'") as caught:
        split(backbones("mobilenetv2"), "no_such_layer")
    assert len(str(caught.value).splitlines()) == 1


def test_a_cut_beside_a_shortcut_is_refused(backbones):
    with pytest.raises(UserError, match=r"network\.cut: .*'block_12_project'"):
        split(backbones("mobilenetv2"), "block_12_project")


def test_lite0s_real_weights_change_every_layer(lite0_weights, backbones):
    initial = weights(backbones("efficientnet_lite0"))
    loaded = weights(efficientnet_lite0.backbone(RESOLUTION, lite0_weights))
    assert initial.keys() == loaded.keys()
    for name in initial:
        for before, after in zip(initial[name], loaded[name], strict=True):
            assert not np.array_equal(before, after), name


def test_another_networks_checkpoint_is_refused(lite0_weights, tmp_path):
    content = lite0_weights.read_bytes()
    assert content.count(b"_blocks.7._bn1.weight") == 1
    other = tmp_path / "other.pth"
    other.write_bytes(content.replace(b"_blocks.7._bn1.weight", b"_blocks.7._bnX.weight"))
    with pytest.raises(UserError, match=r"other\.pth does not hold EfficientNet-Lite0") as caught:
        efficientnet_lite0.backbone(RESOLUTION, other)
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def whole_mobilenetv2() -> keras.Model:
    """MobileNetV2 as Keras publishes it, at 224 pixels with the classifier; every weight random."""
    model = keras.applications.MobileNetV2(weights=None)
    randomise(model)
    return model


def test_mobilenetv2_loads_a_file_without_the_classifier(tmp_path):
    bare = keras.applications.MobileNetV2(input_shape=(RESOLUTION, RESOLUTION, 3), include_top=False, weights=None)
    randomise(bare)
    bare.save_weights(tmp_path / "mobilenetv2.weights.h5")
    assert_same(weights(mobilenetv2.backbone(RESOLUTION, tmp_path / "mobilenetv2.weights.h5")), weights(bare))


def test_mobilenetv2_loads_keras_release_with_the_classifier(whole_mobilenetv2, tmp_path):
    path = tmp_path / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, whole_mobilenetv2)
    published = weights(whole_mobilenetv2)
    published.pop("predictions")
    assert_same(weights(mobilenetv2.backbone(RESOLUTION, path)), published)
