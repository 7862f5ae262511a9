"""The documents of one kind of resource: made once, described, listed, changed and deleted."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from local_mode.front_door.resources import Document, arn, exists, not_found, now, page
from local_mode.front_door.shapes import Fault
from local_mode.front_door.store import Store

SortKeys = Mapping[str, Callable[[Document], Any]]


class Documents:
    """Resources of a kind. what: as SageMaker's sentences call one; name, own_arn: the members that hold these."""

    def __init__(self, store: Store, kind: str, what: str, name: str, own_arn: str) -> None:
        self._store, self._kind, self._what, self._name, self._arn = store, kind, what, name, own_arn
        self._lock = threading.Lock()

    def create(self, request: Mapping[str, Any], **members: Any) -> Document:
        """Keeps a new one; the answer to its request. Fault where its name is taken."""
        name = request[self._name]
        document = {**request, self._arn: arn(self._kind, name), "CreationTime": now(), "LastModifiedTime": now()}
        with self._lock:
            if self._store.get(self._kind, name) is not None:
                raise self.taken(name)
            self._store.put(self._kind, name, document | members)
        return {self._arn: document[self._arn]}

    def taken(self, name: str) -> Fault:
        """SageMaker's error for a name that is taken."""
        return exists(self._what, name, self._kind)

    def missing(self, name: str) -> Fault:
        """SageMaker's error for a name that there is not."""
        return not_found(self._what, name, self._kind)

    def get(self, name: str) -> Document:
        """The one of a name; Fault without it."""
        document = self._store.get(self._kind, name)
        if document is None:
            raise self.missing(name)
        return document

    def describe(self, request: Document) -> Document:
        """The one that a request names."""
        return self.get(request[self._name])

    def all(self) -> list[Document]:
        """All, by their names."""
        return list(self._store.all(self._kind).values())

    def change(self, name: str, **members: Any) -> Document:
        """Some members in place of those of one."""
        return self._store.change(self._kind, name, LastModifiedTime=now(), **members)

    def list(
        self,
        answer: str,
        request: Document,
        found: "list[Document] | None" = None,
        default_sort: str = "CreationTime",
        default_order: str = "Descending",
    ) -> Document:
        """A page of those that a request asks for, of all or of those found, as the member `answer`."""
        keys: SortKeys = {
            "Name": lambda each: each[self._name],
            "CreationTime": lambda each: each["CreationTime"],
            "LastModifiedTime": lambda each: each["LastModifiedTime"],
            "Status": lambda each: next(value for member, value in each.items() if member.endswith("Status")),
        }
        documents, token = page(
            self.all() if found is None else found, request, self._name, keys, default_sort, default_order
        )
        return {answer: documents, "NextToken": token}

    def drop(self, name: str) -> Document:
        """Forgets one; Fault without it."""
        self.get(name)
        self._store.drop(self._kind, name)
        return {}

    def delete(self, request: Document) -> Document:
        """Forgets the one that a request names."""
        return self.drop(request[self._name])
