"""Hyperparameter tuning: training jobs one after the other, each with what optuna thinks of those before."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from local_mode.front_door.documents import Documents
from local_mode.front_door.jobs.life import ENDED
from local_mode.front_door.jobs.metrics import compiled
from local_mode.front_door.jobs.training import TrainingJobs
from local_mode.front_door.jobs.training_run import INTERRUPTED
from local_mode.front_door.jobs.tuning_search import TuningSearch, resources_of
from local_mode.front_door.resources import Document, now, page, refuse_not_honoured
from local_mode.front_door.shapes import Fault, invalid
from local_mode.front_door.store import Store

if TYPE_CHECKING:
    import optuna

KIND = "hyper-parameter-tuning-job"
LOOK_SECONDS = 0.1
MEMBERS = ("HyperParameterTuningJobName", "HyperParameterTuningJobConfig", "TrainingJobDefinition", "Tags")
CONFIG = (
    "Strategy", "StrategyConfig", "HyperParameterTuningJobObjective", "ResourceLimits", "ParameterRanges",
    "TrainingJobEarlyStoppingType", "TuningJobCompletionCriteria", "RandomSeed",
)  # fmt: skip
TAKEN_OVER = (
    "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining",
    "CheckpointConfig", "RetryStrategy", "Environment",
)  # fmt: skip
TUNED = "TunedHyperParameters"


class _Jobs(Documents):
    """Tuning jobs, whose sentences are their own."""

    def missing(self, name: str) -> Fault:
        return Fault("ResourceNotFound", f"Amazon SageMaker can't find a tuning job with the name {name}.")

    def taken(self, name: str) -> Fault:
        return Fault(
            "ResourceInUse", f"Tuning job names must be unique within an AWS account and region: {name} exists"
        )


class TuningJobs:
    """The tuning jobs of this machine; each runs in a thread and begins training jobs of the machine."""

    def __init__(self, store: Store, jobs: TrainingJobs) -> None:
        self._jobs = jobs
        self._documents = _Jobs(store, KIND, "tuning job", "HyperParameterTuningJobName", "HyperParameterTuningJobArn")
        self._threads: dict[str, threading.Thread] = {}
        self._closing = threading.Event()
        for document in self._documents.all():
            if document["HyperParameterTuningJobStatus"] in ("InProgress", "Stopping"):
                self._end(document["HyperParameterTuningJobName"], "Failed", INTERRUPTED)

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What these jobs answer."""
        return {
            "CreateHyperParameterTuningJob": self.create,
            "DescribeHyperParameterTuningJob": self.describe,
            "ListHyperParameterTuningJobs": self.list,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_training_jobs,
            "StopHyperParameterTuningJob": self.stop,
            "DeleteHyperParameterTuningJob": self.delete,
        }

    def create(self, request: Document) -> Document:
        """Begins a tuning job; what it asks for and cannot have is refused before."""
        _check(request)
        search = TuningSearch(request)
        self._jobs.check(_training_job(request, "checked", {}))
        name = request["HyperParameterTuningJobName"]
        answer = self._documents.create(request, HyperParameterTuningJobStatus="InProgress", Jobs={})
        self._threads[name] = threading.Thread(target=self._run, args=(name, search), name=name, daemon=True)
        self._threads[name].start()
        return answer

    def describe(self, request: Document) -> Document:
        """All that is known of a tuning job."""
        document = self._documents.describe(request)
        jobs = self._children(document)
        best = _best(document, jobs)
        return {**document, **_counters(document, jobs), **({} if best is None else {"BestTrainingJob": best})}

    def list(self, request: Document) -> Document:
        """Summaries of the tuning jobs that the request asks for."""
        summaries = [{**self.describe(each), **_limits(each)} for each in self._documents.all()]
        return self._documents.list("HyperParameterTuningJobSummaries", request, summaries, "Name", "Ascending")

    def list_training_jobs(self, request: Document) -> Document:
        """A page of a tuning job's training jobs."""
        document = self._documents.describe(request)
        keys: dict[str, Callable[[Document], Any]] = {
            "Name": lambda job: job["TrainingJobName"],
            "CreationTime": lambda job: job["CreationTime"],
            "Status": lambda job: job["TrainingJobStatus"],
            "FinalObjectiveMetricValue": lambda job: _value(job) if _value(job) is not None else float("-inf"),
        }
        jobs = self._children(document)
        found, token = page(jobs, request, "TrainingJobName", keys, "Name", "Ascending")
        return {"TrainingJobSummaries": found, "NextToken": token}

    def stop(self, request: Document) -> Document:
        """Tells a tuning job and its training jobs to end."""
        document = self._documents.describe(request)
        if document["HyperParameterTuningJobStatus"] == "InProgress":
            self._documents.change(request["HyperParameterTuningJobName"], HyperParameterTuningJobStatus="Stopping")
        return {}

    def delete(self, request: Document) -> Document:
        """Forgets a tuning job that has ended; its training jobs stay."""
        status = self._documents.describe(request)["HyperParameterTuningJobStatus"]
        if status in ("InProgress", "Stopping"):
            raise Fault("ResourceInUse", f"The tuning job is in status {status}: stop it first.")
        return self._documents.delete(request)

    def close(self) -> None:
        """Ends all tuning jobs, and returns when they have."""
        self._closing.set()
        for thread in self._threads.values():
            thread.join()

    def _run(self, name: str, search: TuningSearch) -> None:
        running: dict[str, optuna.Trial] = {}
        try:
            while running or self._goes_on(name, search):
                while len(running) < search.parallel and self._goes_on(name, search):
                    job, trial = self._begin_job(name, search)
                    running[job] = trial
                time.sleep(LOOK_SECONDS)
                for job, trial in list(running.items()):
                    if self._look(name, search, job, trial):
                        del running[job]
        except Exception as error:  # The thread is a job's: whatever ends it is the job's failure.
            for job in running:
                self._stop_job(job)
            self._end(name, "Failed", f"InternalServerError: {error}")
            return
        if self._closing.is_set():
            self._end(name, "Failed", INTERRUPTED)
        elif self._documents.get(name)["HyperParameterTuningJobStatus"] == "Stopping":
            self._end(name, "Stopped")
        elif search.best is None:
            self._end(name, "Failed", "ClientError: none of the training jobs has told its objective metric")
        else:
            self._end(name, "Completed")

    def _goes_on(self, name: str, search: TuningSearch) -> bool:
        """Whether more training jobs are to begin."""
        status = self._documents.get(name)["HyperParameterTuningJobStatus"]
        return status == "InProgress" and not self._closing.is_set() and not search.is_done

    def _begin_job(self, name: str, search: TuningSearch) -> "tuple[str, optuna.Trial]":
        trial, chosen = search.ask()
        document = self._documents.get(name)
        job = f"{name}-{search.begun:03d}-{uuid.uuid4().hex[:8]}"
        members = {"TuningJobArn": document["HyperParameterTuningJobArn"], TUNED: chosen}
        self._jobs.begin(_training_job(document, job, chosen), **members)
        self._documents.change(name, Jobs={**document["Jobs"], job: {}})
        return job, trial

    def _look(self, name: str, search: TuningSearch, job: str, trial: "optuna.Trial") -> bool:
        """Takes notice of a training job; whether it has ended."""
        try:
            described = self._jobs.get(job)
        except Fault:  # It was deleted.
            search.tell(trial, [])
            return True
        values = self._jobs.values(job, search.metric)
        ended = described["TrainingJobStatus"] in ENDED
        if not ended and (search.should_stop(trial, values) or not self._may_run(name)):
            self._stop_job(job)
        if ended:
            search.tell(trial, values if described["TrainingJobStatus"] != "Failed" else [])
        return ended

    def _may_run(self, name: str) -> bool:
        status = self._documents.get(name)["HyperParameterTuningJobStatus"]
        return status == "InProgress" and not self._closing.is_set()

    def _stop_job(self, job: str) -> None:
        with suppress(Fault):  # It has ended meanwhile.
            self._jobs.stop({"TrainingJobName": job})

    def _children(self, document: Document) -> Sequence[Document]:
        """The training jobs of a tuning job, but for those that were deleted."""
        found = []
        for name in document["Jobs"]:
            with suppress(Fault):
                found.append(self._told(document, name))
        return found

    def _told(self, document: Document, name: str) -> Document:
        """A training job as a tuning job tells it."""
        job = self._jobs.get(name)
        objective = document["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
        final = next(
            (each for each in job.get("FinalMetricDataList") or [] if each["MetricName"] == objective["MetricName"]),
            None,
        )
        if final is not None and job["TrainingJobStatus"] != "Failed":
            metric = {"Type": objective["Type"], "MetricName": final["MetricName"], "Value": final["Value"]}
            return {**job, "FinalHyperParameterTuningJobObjectiveMetric": metric, "ObjectiveStatus": "Succeeded"}
        return {**job, "ObjectiveStatus": "Failed" if job["TrainingJobStatus"] in ENDED else "Pending"}

    def _end(self, name: str, status: str, reason: str | None = None) -> None:
        self._documents.change(
            name,
            HyperParameterTuningJobStatus=status,
            FailureReason=None if reason is None else reason[:1024],
            HyperParameterTuningEndTime=now(),
        )


def _check(request: Document) -> None:
    refuse_not_honoured(request, MEMBERS)
    config = request["HyperParameterTuningJobConfig"]
    refuse_not_honoured(config, CONFIG, "HyperParameterTuningJobConfig.")
    if "TrainingJobDefinition" not in request:
        raise invalid("TrainingJobDefinition is missing: it says what each training job is")
    definition = request["TrainingJobDefinition"]
    honoured = (*TAKEN_OVER, "StaticHyperParameters", "HyperParameterTuningResourceConfig")
    refuse_not_honoured(definition, honoured, "TrainingJobDefinition.")
    if "HyperParameterTuningJobObjective" not in config:
        raise invalid("HyperParameterTuningJobConfig.HyperParameterTuningJobObjective is missing")
    convergence = (config.get("TuningJobCompletionCriteria") or {}).get("ConvergenceDetected") or {}
    if convergence.get("CompleteOnConvergence") == "Enabled":
        raise invalid("TuningJobCompletionCriteria.ConvergenceDetected is not honoured on this machine")
    metric = config["HyperParameterTuningJobObjective"]["MetricName"]
    metrics = {each["Name"]: each for each in definition["AlgorithmSpecification"].get("MetricDefinitions") or []}
    if metric not in metrics:
        known = ", ".join(metrics) or "none"
        raise invalid(
            f"A metric is required for this hyperparameter tuning job objective: MetricDefinitions has no {metric}, "
            f"it has {known}"
        )
    compiled(metrics[metric])
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise invalid("tuning needs optuna on this machine: pip install 'polyadic[local]'") from None


def _training_job(request: Document, name: str, chosen: Mapping[str, str]) -> Document:
    """The request of a training job with what was chosen for it."""
    definition = request["TrainingJobDefinition"]
    metric = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    return {
        "TrainingJobName": name,
        **{member: definition[member] for member in TAKEN_OVER if member in definition},
        "ResourceConfig": resources_of(definition),
        "HyperParameters": {
            **(definition.get("StaticHyperParameters") or {}),
            "_tuning_objective_metric": metric,
            **chosen,
        },
    }


def _value(job: Document) -> float | None:
    metric = job.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if metric is None else metric["Value"]


def _best(document: Document, jobs: Sequence[Document]) -> Document | None:
    objective = document["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    told = [job for job in jobs if job["ObjectiveStatus"] == "Succeeded"]
    choose = min if objective["Type"] == "Minimize" else max
    return choose(told, key=lambda job: _value(job) or 0.0, default=None)


def _counters(document: Document, jobs: Sequence[Document]) -> Document:
    statuses, objectives = [job["TrainingJobStatus"] for job in jobs], [job["ObjectiveStatus"] for job in jobs]
    return {
        "TrainingJobStatusCounters": {
            "Completed": statuses.count("Completed"),
            "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
            "RetryableError": 0,
            "NonRetryableError": statuses.count("Failed"),
            "Stopped": statuses.count("Stopped"),
        },
        "ObjectiveStatusCounters": {each: objectives.count(each) for each in ("Succeeded", "Pending", "Failed")},
    }


def _limits(document: Document) -> Document:
    config = document["HyperParameterTuningJobConfig"]
    return {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}
