"""The registry: groups of model packages, their versions, and who may be deployed."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence

from local_mode.front_door.documents import Documents
from local_mode.front_door.resources import Document, arn, now, page, refuse_not_honoured
from local_mode.front_door.shapes import Fault, invalid
from local_mode.front_door.store import Store

GROUP, PACKAGE = "model-package-group", "model-package"
NOT_HONOURED = (
    "ValidationSpecification",
    "SourceAlgorithmSpecification",
    "CertifyForMarketplace",
    "ManagedStorageType",
)
CHANGED = (
    "ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri", "ModelCard", "ModelLifeCycle",
)  # fmt: skip
COLLECTED = (
    "CustomerMetadataProperties", "CustomerMetadataPropertiesToRemove", "AdditionalInferenceSpecificationsToAdd",
)  # fmt: skip
APPROVED, PENDING = "Approved", "PendingManualApproval"


class _Groups(Documents):
    """Groups, whose sentence is their own."""

    def missing(self, name: str) -> Fault:
        return invalid(f"ModelPackageGroup {arn(GROUP, name)} does not exist.")


class Registry:
    """The packages of this machine, by their ARNs; a version of a group has the ARN GROUP/NUMBER."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._groups = _Groups(store, GROUP, "model package group", "ModelPackageGroupName", "ModelPackageGroupArn")

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": lambda request: self._group(request["ModelPackageGroupName"]),
            "ListModelPackageGroups": lambda request: self._groups.list(
                "ModelPackageGroupSummaryList", request, default_order="Ascending"
            ),
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create,
            "DescribeModelPackage": lambda request: self._get(request["ModelPackageName"]),
            "ListModelPackages": self.list,
            "UpdateModelPackage": self.update,
            "DeleteModelPackage": self.delete,
        }

    def create_group(self, request: Document) -> Document:
        """Keeps a group, which has no version yet."""
        return self._groups.create(request, ModelPackageGroupStatus="Completed", CreatedBy={}, Versions=0)

    def delete_group(self, request: Document) -> Document:
        """Forgets a group that has no versions."""
        group = self._group(request["ModelPackageGroupName"])
        versions = self._versions(group["ModelPackageGroupName"])
        if versions:
            count = f"{len(versions)} model packages"
            raise Fault("ConflictException", f"{group['ModelPackageGroupArn']} has {count}: delete them first")
        return self._groups.drop(group["ModelPackageGroupName"])

    def create(self, request: Document) -> Document:
        """Keeps a package: a new version of a group, or one by its own name."""
        for member in NOT_HONOURED:
            if request.get(member):
                raise invalid(f"{member} is not honoured on this machine: leave it out, or run this on SageMaker")
        group, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
        if group is not None and name is not None:
            raise invalid(
                "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
                "Cannot determine which one to use."
            )
        if group is None and name is None:
            raise invalid("Give ModelPackageGroupName for a version of a group, or ModelPackageName.")
        document = {
            "ModelApprovalStatus": PENDING if group is not None else None,
            **request,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "CreatedBy": {},
        }
        with self._lock:
            token = request.get("ClientToken")
            for other in self._store.all(PACKAGE).values() if token else ():
                if other.get("ClientToken") == token:
                    return {"ModelPackageArn": other["ModelPackageArn"]}
            if group is not None:
                name = self._next_version(group, document)
            elif self._store.get(PACKAGE, str(name)) is not None:
                raise Fault("ConflictException", f"Model package {arn(PACKAGE, str(name))} already exists")
            document |= {"ModelPackageName": group or name, "ModelPackageArn": arn(PACKAGE, str(name))}
            self._store.put(PACKAGE, str(name), document)
        return {"ModelPackageArn": document["ModelPackageArn"]}

    def list(self, request: Document) -> Document:
        """Packages by their own names, or the versions of a group."""
        group = request.get("ModelPackageGroupName")
        kind = request.get("ModelPackageType") or ("Versioned" if group else "Unversioned")
        status = request.get("ModelApprovalStatus")
        if group is not None:
            group = self._group(group)["ModelPackageGroupName"]
        found = [
            package
            for package in self._store.all(PACKAGE).values()
            if kind in ("Both", "Versioned" if "ModelPackageVersion" in package else "Unversioned")
            and group in (None, package.get("ModelPackageGroupName"))
            and status in (None, package.get("ModelApprovalStatus"))
        ]
        keys: dict[str, Callable[[Document], object]] = {
            "Name": lambda package: package["ModelPackageName"],
            "CreationTime": lambda package: (package["CreationTime"], package.get("ModelPackageVersion", 0)),
        }
        packages, token = page(found, request, "ModelPackageName", keys, "CreationTime", "Ascending")
        return {"ModelPackageSummaryList": packages, "NextToken": token}

    def update(self, request: Document) -> Document:
        """Approves or rejects a package, or changes what describes it."""
        name, package = self._find(request["ModelPackageArn"])
        refuse_not_honoured(request, ("ModelPackageArn", "ClientToken", *CHANGED, *COLLECTED))
        self._store.change(PACKAGE, name, **_changes(request, package), LastModifiedTime=now(), LastModifiedBy={})
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def delete(self, request: Document) -> Document:
        """Forgets a package; the numbers of other versions stay."""
        self._store.drop(PACKAGE, self._find(request["ModelPackageName"])[0])
        return {}

    def container(self, package: str) -> Document:
        """The container of a package, as a model has it; Fault for a version that is not approved."""
        document = self._get(package)
        status = document.get("ModelApprovalStatus")
        if status not in (None, APPROVED):
            raise invalid(
                f"Model package {document['ModelPackageArn']} is {status}: it must be {APPROVED} before a model is "
                "made of it (UpdateModelPackage)"
            )
        if not document.get("InferenceSpecification"):
            raise invalid(
                f"Model package {document['ModelPackageArn']} has no InferenceSpecification: "
                "nothing says what serves it"
            )
        container: Document = document["InferenceSpecification"]["Containers"][0]
        return {
            member: container[member]
            for member in ("Image", "ModelDataUrl", "ModelDataSource", "Environment", "ContainerHostname")
            if member in container
        }

    def _next_version(self, group: str, document: Document) -> str:
        """The name of a new version; a group's numbers are never given twice."""
        known = self._group(group)
        name, version = known["ModelPackageGroupName"], known["Versions"] + 1
        self._groups.change(name, Versions=version)
        document |= {"ModelPackageGroupName": name, "ModelPackageVersion": version}
        return f"{name}/{version}"

    def _group(self, name_or_arn: str) -> Document:
        wanted = re.sub(rf"^arn:.*:{GROUP}/", "", name_or_arn)
        by_arn = (name for name in self._store.all(GROUP) if wanted != name_or_arn and name.lower() == wanted)
        return self._groups.get(next(by_arn, wanted))

    def _versions(self, group: str) -> Sequence[Document]:
        return [each for each in self._store.all(PACKAGE).values() if each.get("ModelPackageGroupName") == group]

    def _get(self, name_or_arn: str) -> Document:
        return self._find(name_or_arn)[1]

    def _find(self, name_or_arn: str) -> tuple[str, Document]:
        wanted = re.sub(rf"^arn:.*:{PACKAGE}/", "", name_or_arn).lower()
        for name, document in self._store.all(PACKAGE).items():
            if name.lower() == wanted:
                return name, document
        raise invalid(f"ModelPackage {name_or_arn} does not exist.")


def _changes(request: Document, package: Document) -> Document:
    """The members of a package that a request changes."""
    changes = {member: request[member] for member in CHANGED if member in request}
    gone = request.get("CustomerMetadataPropertiesToRemove") or []
    properties = (package.get("CustomerMetadataProperties") or {}) | (request.get("CustomerMetadataProperties") or {})
    changes["CustomerMetadataProperties"] = {key: value for key, value in properties.items() if key not in gone}
    more = request.get("AdditionalInferenceSpecificationsToAdd") or []
    if more:
        known = package.get("AdditionalInferenceSpecifications") or []
        changes["AdditionalInferenceSpecifications"] = [*known, *more]
    return changes
