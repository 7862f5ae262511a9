"""A training job's life as its description tells it: status, transitions, times."""

import threading
from typing import Any

from local_mode.front_door.resources import Document, now
from local_mode.front_door.shapes import invalid
from local_mode.front_door.store import Store

KIND = "training-job"
ENDED = ("Completed", "Failed", "Stopped")
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Interrupted": "Training job interrupted: it goes on from its checkpoints",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job runtime exceeded MaxWaitTimeInSeconds provided",
}


class Life:
    """The document of one job, and its steps."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store, self._lock = store, threading.Lock()

    @property
    def document(self) -> Document:
        """The job as it is now; Fault where there is none of its name."""
        document = self._store.get(KIND, self.name)
        if document is None:
            raise invalid("Requested resource not found.")
        return document

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.document["TrainingJobStatus"] in ENDED

    def begin(self, document: Document) -> None:
        """The first step."""
        moment = now()
        born = {
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [_transition("Starting", moment)],
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }
        self._store.put(KIND, self.name, document | born)

    def move(self, secondary: str, **members: Any) -> None:
        """A step."""
        with self._lock:
            transitions, moment = self._closed_transitions()
            transitions.append(_transition(secondary, moment))
            self._change(moment, SecondaryStatus=secondary, SecondaryStatusTransitions=transitions, **members)

    def begin_stopping(self) -> bool:
        """The step to its stop; False where it has ended. One that is stopping goes on with it."""
        with self._lock:
            status = self.document["TrainingJobStatus"]
            if status == "InProgress":
                transitions, moment = self._closed_transitions()
                transitions.append(_transition("Stopping", moment))
                self._change(
                    moment,
                    TrainingJobStatus="Stopping",
                    SecondaryStatus="Stopping",
                    SecondaryStatusTransitions=transitions,
                )
            return status not in ENDED

    def end(self, status: str, secondary: str, **members: Any) -> None:
        """The last step."""
        with self._lock:
            document = self.document
            transitions, moment = self._closed_transitions()
            transitions.append(_transition(secondary, moment) | {"EndTime": moment})
            # Of a job that a kill ended, the time after it was nobody's.
            last = document["LastModifiedTime"] if secondary == "Failed" else moment
            began, ended = document.get("TrainingStartTime", moment), document.get("TrainingEndTime", last)
            seconds = max(1, round(ended - began))
            self._change(
                moment,
                TrainingJobStatus=status,
                SecondaryStatus=secondary,
                SecondaryStatusTransitions=transitions,
                TrainingStartTime=began,
                TrainingEndTime=ended,
                TrainingTimeInSeconds=seconds,
                BillableTimeInSeconds=seconds,
                **members,
            )

    def _closed_transitions(self) -> tuple[list[Document], float]:
        moment, transitions = now(), self.document["SecondaryStatusTransitions"]
        if transitions and "EndTime" not in transitions[-1]:
            transitions[-1]["EndTime"] = moment
        return transitions, moment

    def _change(self, moment: float, **members: Any) -> None:
        self._store.change(KIND, self.name, LastModifiedTime=moment, **members)


def _transition(status: str, moment: float) -> Document:
    return {"Status": status, "StartTime": moment, "StatusMessage": MESSAGES[status]}
