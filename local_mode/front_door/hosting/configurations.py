"""Endpoint configurations: variants, their shadow, and what is captured or answered later."""

from collections.abc import Callable, Mapping, Sequence

from local_mode.front_door.documents import Documents
from local_mode.front_door.hosting.models import Models, has_many_models
from local_mode.front_door.resources import Document, bucket_and_key, now, refuse_not_honoured
from local_mode.front_door.runtime.routes import AsyncSettings, CaptureSettings
from local_mode.front_door.shapes import invalid
from local_mode.front_door.store import Store

KIND = "endpoint-config"
PRODUCTION, SHADOW = "ProductionVariants", "ShadowProductionVariants"
MEMBERS = (
    "EndpointConfigName", PRODUCTION, SHADOW, "DataCaptureConfig", "AsyncInferenceConfig", "Tags", "KmsKeyId",
    "ExecutionRoleArn", "EnableNetworkIsolation", "MetricsConfig",
)  # fmt: skip
VARIANT = (
    "VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight", "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds", "RoutingConfig",
)  # fmt: skip
RETAINED = {"DesiredInstanceCount": "InitialInstanceCount", "DesiredWeight": "InitialVariantWeight"}
CONCURRENT = 4
"""Async requests at once at an instance, where the configuration does not say."""


class Configurations:
    """The endpoint configurations of this machine."""

    def __init__(self, store: Store, models: Models) -> None:
        self._models = models
        self._documents = Documents(store, KIND, "endpoint configuration", "EndpointConfigName", "EndpointConfigArn")

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {
            "CreateEndpointConfig": self.create,
            "DescribeEndpointConfig": self._documents.describe,
            "ListEndpointConfigs": lambda request: self._documents.list("EndpointConfigs", request),
            "DeleteEndpointConfig": self._documents.delete,
        }

    def create(self, request: Document) -> Document:
        """Keeps a configuration: variants, each of a model that is there."""
        refuse_not_honoured(request, MEMBERS)
        document = {**request, PRODUCTION: self._variants(request[PRODUCTION])}
        if request.get(SHADOW):
            document[SHADOW] = self._variants(request[SHADOW])
            if len(request[PRODUCTION]) > 1:
                raise invalid("an endpoint with a shadow variant has one production variant")
        names = [variant["VariantName"] for variant in all_variants(document)]
        if len(set(names)) < len(names):
            raise invalid(f"variant names must differ, and got {', '.join(names)}")
        self._check_async(document)
        capture_of(document)
        return self._documents.create(document)

    def snapshot(self, name: str) -> Document:
        """A configuration with its containers, as they are now: what becomes of them later changes no endpoint."""
        config = self._documents.get(name)
        kept = {
            member: config[member] for member in ("DataCaptureConfig", "AsyncInferenceConfig") if config.get(member)
        }
        for kind in (PRODUCTION, SHADOW):
            kept[kind] = [
                {**variant, "Container": self._models.container(variant["ModelName"])}
                for variant in config.get(kind) or []
            ]
        return {"EndpointConfigName": name, **kept}

    def _variants(self, variants: Sequence[Document]) -> list[Document]:
        for variant in variants:
            refuse_not_honoured(variant, VARIANT, f"variant {variant['VariantName']}: ")
            if "ModelName" not in variant or "InstanceType" not in variant:
                raise invalid(f"variant {variant['VariantName']} lacks its ModelName or its InstanceType")
            self._models.container(variant["ModelName"])
        return [{"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant} for variant in variants]

    def _check_async(self, document: Document) -> None:
        if async_of(document) is None:
            return
        if document.get(SHADOW):
            raise invalid("an endpoint with AsyncInferenceConfig has no shadow variant")
        for variant in document[PRODUCTION]:
            if has_many_models(self._models.container(variant["ModelName"])):
                raise invalid(f"variant {variant['VariantName']}: a MultiModel container is not asked asynchronously")


def all_variants(config: Document) -> list[Document]:
    """The variants of a configuration, its shadow last."""
    return [*config[PRODUCTION], *(config.get(SHADOW) or [])]


def captures(capture: Document) -> bool:
    """Whether a DataCaptureConfig captures: where it does not say it does."""
    return capture.get("EnableCapture") is not False


def capture_of(config: Document) -> CaptureSettings | None:
    """What is captured; None for nothing."""
    capture = config.get("DataCaptureConfig")
    if not capture or not captures(capture):
        return None
    modes = {option["CaptureMode"] for option in capture["CaptureOptions"]}
    types = capture.get("CaptureContentTypeHeader") or {}
    encodings = {each.lower(): "CSV" for each in types.get("CsvContentTypes") or []}
    encodings |= {each.lower(): "JSON" for each in types.get("JsonContentTypes") or []}
    bucket, prefix = folder(capture["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri")
    return CaptureSettings(
        bucket,
        prefix,
        float(capture["InitialSamplingPercentage"]),
        bool(modes & {"Input", "InputAndOutput"}),
        bool(modes & {"Output", "InputAndOutput"}),
        encodings,
    )


def async_of(config: Document) -> AsyncSettings | None:
    """Where async answers go; None where the endpoint answers at once."""
    settings = config.get("AsyncInferenceConfig")
    if not settings:
        return None
    output = settings["OutputConfig"]
    refuse_not_honoured(output, ("S3OutputPath", "S3FailurePath", "KmsKeyId"), "AsyncInferenceConfig.OutputConfig.")
    paths = [
        folder(output[member], member) if output.get(member) else None for member in ("S3OutputPath", "S3FailurePath")
    ]
    concurrent = (settings.get("ClientConfig") or {}).get("MaxConcurrentInvocationsPerInstance") or CONCURRENT
    return AsyncSettings(paths[0], paths[1], concurrent)


def folder(uri: str, member: str) -> tuple[str, str]:
    """The bucket and the prefix of an S3 folder, which ends with a slash or is empty."""
    bucket, prefix = bucket_and_key(uri, member)
    return bucket, prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def retained(config: Document, endpoint: Document, excluded: set[str]) -> Document:
    """A configuration whose variants keep the weights and numbers of instances that those of their names have."""
    known = {variant["VariantName"]: variant for kind in (PRODUCTION, SHADOW) for variant in endpoint.get(kind) or []}
    kept = dict(config)
    for kind in (PRODUCTION, SHADOW):
        kept[kind] = [_with_own(variant, known.get(variant["VariantName"], {}), excluded) for variant in config[kind]]
    if "DataCaptureConfig" not in excluded and "Config" in endpoint:
        kept.pop("DataCaptureConfig", None)
        if endpoint["Config"].get("DataCaptureConfig"):
            kept["DataCaptureConfig"] = endpoint["Config"]["DataCaptureConfig"]
    return kept


def _with_own(variant: Document, own: Document, excluded: set[str]) -> Document:
    kept = {member: own[desired] for desired, member in RETAINED.items() if desired in own and desired not in excluded}
    return {**variant, **kept}


def described(config: Document) -> Document:
    """The members of a running configuration that DescribeEndpoint tells."""
    found: Document = {kind: [_summary(variant) for variant in config.get(kind) or []] for kind in (PRODUCTION, SHADOW)}
    capture = config.get("DataCaptureConfig")
    if capture:
        found["DataCaptureConfig"] = {
            "EnableCapture": captures(capture),
            "CaptureStatus": "Started" if captures(capture) else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId") or "",
        }
    else:
        found["DataCaptureConfig"] = None
    found["AsyncInferenceConfig"] = config.get("AsyncInferenceConfig")
    return found


def _summary(variant: Document) -> Document:
    image = variant["Container"].get("Image")
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": variant["InitialVariantWeight"],
        "DesiredWeight": variant["InitialVariantWeight"],
        "CurrentInstanceCount": variant["InitialInstanceCount"],
        "DesiredInstanceCount": variant["InitialInstanceCount"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now()}] if image else [],
    }
