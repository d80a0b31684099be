"""What params.yaml may hold: names, types and ranges, strict and frozen."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, lt=1)]  # not all of it
Place = Annotated[str, Field(pattern=r"^[^\x00]+$")]
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
Url = Annotated[str, Field(pattern="^https?://")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Shift = Annotated[int, Field(ge=0, le=8)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class LocalSource(Section):
    type: Literal["local"]
    path: Place


class ArchiveSource(Section):
    type: Literal["archive"]
    url: Url


class NpmSource(Section):
    type: Literal["npm"]
    package: str


class ParquetFile(Section):
    url: Url
    sha256: Sha256


class ParquetSource(Section):
    type: Literal["parquet"]
    train: ParquetFile
    test: ParquetFile


Source = Annotated[LocalSource | ArchiveSource | NpmSource | ParquetSource, Field(discriminator="type")]


class Subset(Section):
    train: Count | None
    test: Count | None


class Data(Section):
    sources: Annotated[list[Source], Field(min_length=1)]
    validation_images: Annotated[int, Field(ge=10, le=25_000)]
    subset: Subset


class Duplicates(Section):
    outlines: Fraction
    outlines_and_pixels: Fraction
    pixels: Fraction


class Http(Section):
    connect_timeout: Positive
    read_timeout: Positive
    retries: Annotated[int, Field(ge=0, le=100)]
    backoff: Annotated[float, Field(ge=0, le=3600)]


class Weights(Section):
    folder: Place
    mirrors: list[Url]
    on_unreachable: Literal["skip", "fail"]


class Compute(Section):
    precision: Literal["auto", "float32", "bfloat16"]
    xla: bool


class WeightsFile(Section):
    """A file of ImageNet weights that the project knows by its checksum."""

    file: FileName
    origin: str
    official: bool
    sha256: Sha256 | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    url: Url | None = None
    wheel: Annotated[str, Field(pattern="^[^=]+==[^=]+$")] | None = None

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        if (self.sha256 is None) == (self.md5 is None):
            raise ValueError("give one checksum, sha256 or md5")
        return self

    @property
    def checksum(self) -> tuple[str, str]:
        """Return the algorithm, as hashlib calls it, and the hexadecimal digest."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5 or "")


class Training(Section):
    """What each method has."""

    epochs: Count
    batch_size: Count
    optimizer: Literal["sgd", "adamw"]
    learning_rate: Positive
    start: Fraction
    peak_at: Annotated[float, Field(gt=0, lt=1)]
    end: Fraction
    momentum: Share
    weight_decay: Annotated[float, Field(ge=0, le=1e6)]
    label_smoothing: Share
    patience: Count
    views: Literal[1, 2, 6]


class AugmentedTraining(Training):
    """What training on images has, rather than on cached activations."""

    shift: Shift
    cutmix: Fraction
    small: Annotated[int, Field(ge=16, le=512)]
    small_share: Share


class ScratchTraining(AugmentedTraining):
    bias_factor: Positive


class TransferTraining(Training):
    dropout: Share


class FinetuneTraining(AugmentedTraining):
    dropout: Share
    first_layer: Annotated[float, Field(gt=0, le=1)]
    ema: Share


class TransferNetwork(Section):
    resolution: Annotated[int, Field(ge=32, le=512)]
    cut: Annotated[str, Field(min_length=1)]
    views: Annotated[int, Field(ge=1, le=16)]
    shift: Shift


class FinetuneNetwork(Section):
    resolution: Annotated[int, Field(ge=32, le=512, multiple_of=32)]


class Scratch(Section):
    """An architecture that is trained from scratch; its module checks `network`."""

    method: Literal["scratch"]
    network: dict[str, Any]
    training: ScratchTraining
    weights: ClassVar[list[WeightsFile]] = []  # none, and no key of params.yaml

    @model_validator(mode="after")
    def _small_images(self) -> Self:
        return _at_most(self, 32)


class Transfer(Section):
    method: Literal["transfer"]
    weights: Annotated[list[WeightsFile], Field(min_length=1)]
    network: TransferNetwork
    training: TransferTraining


class Finetune(Section):
    method: Literal["finetune"]
    weights: Annotated[list[WeightsFile], Field(min_length=1)]
    network: FinetuneNetwork
    training: FinetuneTraining

    @model_validator(mode="after")
    def _small_images(self) -> Self:
        if self.training.small % 32:
            raise ValueError("training.small must be a multiple of 32 pixels")
        return _at_most(self, self.network.resolution)


def _at_most(model: Any, side: int) -> Any:
    if model.training.small > side:
        raise ValueError(f"training.small is {model.training.small}: more than the {side} pixels of whole images")
    return model


def _without_null(entry: object) -> object:
    """Return an entry without the keys that are null, which is how a profile takes away a key of another method."""
    if not isinstance(entry, dict):
        return entry
    return {key: _without_null(value) for key, value in entry.items() if value is not None}


Model = Annotated[Scratch | Transfer | Finetune, Field(discriminator="method"), BeforeValidator(_without_null)]


class Evaluation(Section):
    batch_size: Count
    ece_bins: Annotated[int, Field(ge=1, le=1000)]


class Ensemble(Section):
    rounds: Count


class Tracking(Section):
    experiment: Annotated[str, Field(min_length=1)]
    system_metrics_interval: Positive
    timeout: Positive


class Registry(Section):
    model: Annotated[str, Field(pattern=r"^[\w.-][\w. -]*$")]  # MLflow takes no slash and no colon
    metric: Literal["accuracy", "nll"]


class Gate(Section):
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    minimum_effect: Fraction
    class_margin: Fraction
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=100, le=10_000_000)]
    ece_limit: Positive | None
    size_limit_mb: Positive | None
    latency_limit: Positive | None


class Limits(Section):
    """What an exported model must keep to, measured on validation images that did not calibrate it."""

    agreement: Fraction
    accuracy_drop: Fraction
    size_mb: Positive | None
    latency_ms: Positive | None


class Export(Section):
    margin: Fraction
    calibration_images: Annotated[int, Field(ge=10)]
    latency_images: Annotated[int, Field(ge=10)]
    limits: Limits


class Params(Section):
    profile: Annotated[str, Field(pattern=r"^\w[\w-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    data: Data
    duplicates: Duplicates
    http: Http
    weights: Weights
    compute: Compute
    models: Annotated[dict[str, Model], Field(min_length=1)]
    evaluation: Evaluation
    ensemble: Ensemble
    tracking: Tracking
    registry: Registry
    gate: Gate
    export: Export

    @model_validator(mode="after")
    def _images_that_did_not_calibrate(self) -> Self:
        if self.export.calibration_images >= self.data.validation_images:
            raise ValueError("export.calibration_images must be less than data.validation_images: the others measure")
        return self
