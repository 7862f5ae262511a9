"""What each URL of the page shows."""

from collections.abc import Callable
from pathlib import Path

from local_mode.front_door.page.actions import Outcome
from local_mode.front_door.page.charts import sequence_chart
from local_mode.front_door.page.comparison import ComparisonView
from local_mode.front_door.page.curves import Curves
from local_mode.front_door.page.endpoints import EndpointView, EndpointViews
from local_mode.front_door.page.forms import Refused
from local_mode.front_door.page.fragments import Fragment, Renderer, Section, View
from local_mode.front_door.page.reading import Reader
from local_mode.front_door.page.training import Trainings
from local_mode.front_door.page.tuning import Tunings
from local_mode.front_door.runtime.invocations import Runtime


class Views:
    """Makes views of what is known at this moment; compare: of an endpoint's variants, at this front door's URL."""

    def __init__(
        self,
        renderer: Renderer,
        reader: Reader,
        runtime: Runtime,
        state: Path,
        compare: Callable[[str, str], ComparisonView | None],
    ) -> None:
        self._renderer, self._compare = renderer, compare
        self.endpoints = EndpointViews(reader, runtime)
        self._trainings = Trainings(reader, Curves(state / "metrics" / "metrics.jsonl"), state)
        self._tunings = Tunings(reader)

    def overview(self, training: int, tuning: int, token: str, outcome: Outcome | None, url: str) -> View:
        """Endpoints, and a page of each list of jobs."""
        fragment = self._renderer.fragment
        endpoints = self.endpoints.all()
        trainings, rows = self._trainings.listing(training)
        tunings, tuning_rows = self._tunings.listing(tuning)
        parts = [
            fragment("hint", endpoints=len(endpoints), jobs=trainings.total + tunings.total),
            fragment("trainings", listing=trainings, rows=rows, other=tunings.number),
            fragment("tunings", listing=tunings, rows=tuning_rows, other=trainings.number),
        ]
        sections = [self._section(each, token, outcome, url) for each in endpoints]
        return View("overview.html", "SageMaker on this machine", _by_name(parts), sections)

    def training(self, name: str) -> View:
        """A training job; Refused where there is none of its name."""
        view = self._trainings.view(name)
        if view is None:
            raise Refused(404, f"there is no training job {name}")
        kinds = ("training", "curves", "log", "settings")
        return View("training.html", name, _by_name([self._renderer.fragment(kind, job=view) for kind in kinds]))

    def tuning(self, name: str) -> View:
        """A tuning job; Refused where there is none of its name."""
        view = self._tunings.view(name)
        if view is None:
            raise Refused(404, f"there is no tuning job {name}")
        kinds = ("tuning", "attempts")
        return View("tuning.html", name, _by_name([self._renderer.fragment(kind, job=view) for kind in kinds]))

    def message(self, outcome: Outcome, token: str) -> str:
        """What a command has said, and where it refused to promote the form that insists."""
        return self._renderer.render("message.html", outcome=outcome, token=token)

    def _section(self, endpoint: EndpointView, token: str, outcome: Outcome | None, url: str) -> Section:
        name = endpoint.name
        compared = self._compare(name, url)
        drawn = [sequence_chart(each) for each in (compared.sequences if compared else ())]
        charts = [chart for chart in drawn if chart is not None]
        parts = [
            self._renderer.fragment("status", name, endpoint=endpoint),
            self._renderer.fragment("numbers", name, endpoint=endpoint),
            self._renderer.fragment("comparison", name, comparison=compared, charts=charts),
            self._renderer.fragment("forms", name, endpoint=endpoint, token=token),
        ]
        fragments = _by_name(parts)
        told = outcome if outcome is not None and outcome.change.endpoint == name else None
        html = self._renderer.render("endpoint.html", name=name, parts=parts, outcome=told, token=token)
        return Section(name, fragments, html)


def _by_name(parts: list[Fragment]) -> dict[str, Fragment]:
    return {part.name: part for part in parts}
