"""Models: a container, and where what it serves lies in S3; by itself or by a package of the registry."""

from collections.abc import Callable, Mapping

from local_mode.front_door.documents import Documents
from local_mode.front_door.registry import Registry
from local_mode.front_door.resources import Document, bucket_and_key, refuse_not_honoured
from local_mode.front_door.shapes import invalid
from local_mode.front_door.store import Store

KIND = "model"
MEMBERS = ("ModelName", "PrimaryContainer", "Containers", "ExecutionRoleArn", "Tags", "EnableNetworkIsolation")
CONTAINER = (
    "Image", "ImageConfig", "ModelDataUrl", "ModelDataSource", "Environment", "Mode", "ContainerHostname",
    "ModelPackageName", "MultiModelConfig",
)  # fmt: skip
NAMED = ("ModelPackageName", "Environment", "ContainerHostname")


class Models:
    """The models of this machine."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._registry = registry
        self._documents = Documents(store, KIND, "model", "ModelName", "ModelArn")

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {
            "CreateModel": self.create,
            "DescribeModel": self._documents.describe,
            "ListModels": lambda request: self._documents.list("Models", request),
            "DeleteModel": self._documents.delete,
        }

    def create(self, request: Document) -> Document:
        """Keeps a model: one container, whose archive or archives are in S3."""
        refuse_not_honoured(request, MEMBERS)
        containers = request.get("Containers") or [request.get("PrimaryContainer")]
        if len(containers) != 1 or containers[0] is None:
            raise invalid("give one container, as PrimaryContainer: pipelines of containers are not honoured here")
        refuse_not_honoured(containers[0], CONTAINER, "PrimaryContainer.")
        self._whole(containers[0])
        return self._documents.create(request)

    def container(self, name: str) -> Document:
        """The container of a model, whole: what a package says of it is in it."""
        document = self._documents.get(name)
        return self._whole(document.get("PrimaryContainer") or document["Containers"][0])

    def _whole(self, container: Document) -> Document:
        package = container.get("ModelPackageName")
        if package is not None:
            refuse_not_honoured(container, NAMED, "a container of a ModelPackageName: ")
            own = self._registry.container(package)
            environment = {**(own.get("Environment") or {}), **(container.get("Environment") or {})}
            container = {**own, "Environment": environment}
        if has_many_models(container):
            if "ModelDataUrl" not in container:
                raise invalid("PrimaryContainer.Mode MultiModel needs a ModelDataUrl: the prefix of its archives")
            prefix_of(container)
        else:
            archive_of(container)
        return container


def has_many_models(container: Document) -> bool:
    """Whether a container serves many models."""
    return bool(container.get("Mode") == "MultiModel")


def prefix_of(container: Document) -> tuple[str, str]:
    """Where the archives of many models lie: bucket and prefix, which ends with a slash."""
    bucket, prefix = bucket_and_key(container["ModelDataUrl"], "ModelDataUrl")
    return bucket, prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def archive_of(container: Document) -> tuple[str, str] | None:
    """Where a container's model.tar.gz is, as bucket and key; None where it has none."""
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is not None and (source.get("S3DataType") != "S3Object" or source.get("CompressionType") != "Gzip"):
        raise invalid(
            "ModelDataSource: S3DataType S3Object with CompressionType Gzip alone is honoured on this machine"
        )
    uri = source["S3Uri"] if source is not None else container.get("ModelDataUrl")
    return None if uri is None else bucket_and_key(uri, "ModelDataUrl")
