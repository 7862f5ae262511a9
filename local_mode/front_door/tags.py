"""AddTags, ListTags, DeleteTags of every resource that is kept."""

import threading
from collections.abc import Callable, Mapping

from local_mode.front_door.resources import Document
from local_mode.front_door.shapes import invalid
from local_mode.front_door.store import Store


class Tags:
    """The tags of resources, which the requests that made them may have begun."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def add(self, request: Document) -> Document:
        """Adds tags in place of those of the same keys."""
        with self._lock:
            kind, name, document = self._resource(request["ResourceArn"])
            tags = {tag["Key"]: tag for tag in [*(document.get("Tags") or []), *request["Tags"]]}
            self._store.change(kind, name, Tags=list(tags.values()))
        return {"Tags": list(tags.values())}

    def list(self, request: Document) -> Document:
        """The tags of a resource."""
        return {"Tags": self._resource(request["ResourceArn"])[2].get("Tags") or []}

    def delete(self, request: Document) -> Document:
        """Takes tags away."""
        with self._lock:
            kind, name, document = self._resource(request["ResourceArn"])
            kept = [tag for tag in document.get("Tags") or [] if tag["Key"] not in request["TagKeys"]]
            self._store.change(kind, name, Tags=kept)
        return {}

    def _resource(self, arn: str) -> tuple[str, str, Document]:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        for own, document in self._store.all(kind).items():
            if own.lower() == name.lower():
                return kind, own, document
        raise invalid(f'Could not find resource "{arn}".')
