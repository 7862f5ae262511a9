"""The benchmarks there are: their names, the peers that they need, and the part of the page that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

ACCURACY = "accuracy"
"""The name that stands for all accuracy_TASK benchmarks."""


@dataclass(frozen=True)
class Bench:
    """A benchmark. module: of scripts.bench, with run(*arguments). peers: distributions that it cannot do without."""

    name: str
    subject: str
    title: str
    peers: tuple[str, ...] = ()
    module: str = ""
    arguments: tuple[str, ...] = ()

    def module_name(self) -> str:
        """The dotted name of its module."""
        return f"scripts.bench.{self.module or self.name}"


def _serve(kind: str, title: str, *peers: str) -> Bench:
    return Bench(f"serve_{kind}", SERVING, title, peers, module="serve", arguments=(kind,))


def _regression(task: str, title: str) -> Bench:
    return Bench(
        f"regression_{task}", REGRESSIONS, title, ("scikit-learn",), module="regression_data", arguments=(task,)
    )


def _accuracy(task: str, title: str) -> Bench:
    return Bench(f"{ACCURACY}_{task}", ACCURATE, title, module=ACCURACY, arguments=(task,))


BEGINNING, DECOMPOSITIONS, TOPICS = "The first minute", "Decompositions", "Topics"
FAST, ACCURATE, SERVING = "Forecasting: speed", "Forecasting: accuracy", "Serving"
REGRESSIONS = "Tensor regression"
SUBJECTS = (BEGINNING, DECOMPOSITIONS, TOPICS, FAST, ACCURATE, REGRESSIONS, SERVING)
BENCHES = {
    bench.name: bench
    for bench in (
        Bench("first_minute", BEGINNING, "A small job, and the library's import"),
        Bench("cp_dense", DECOMPOSITIONS, "CP of a dense tensor", ("tensorly", "pyttb")),
        Bench("cp_swamps", DECOMPOSITIONS, "CP where sweeps crawl", ()),
        Bench("cp_small", DECOMPOSITIONS, "CP of small dense tensors", ("tensorly",)),
        Bench("cp_success", DECOMPOSITIONS, "CP: the best fit from one call", ("tensorly", "pyttb")),
        Bench("success", DECOMPOSITIONS, "Other fits from one call", ("tensorly",)),
        Bench("cp_time_to_fit", DECOMPOSITIONS, "CP of large tensors: the time to a fit"),
        Bench("cp_real", DECOMPOSITIONS, "CP of measured tensors: errors and factors over seeds", ("tensorly",)),
        Bench("load", DECOMPOSITIONS, "Fits beside a busy process"),
        Bench("cp_sparse", DECOMPOSITIONS, "CP of a sparse tensor", ("pyttb",)),
        Bench("cp_sampled", DECOMPOSITIONS, "CP of a sparse tensor, sampled by leverage"),
        Bench("cp_ranks", DECOMPOSITIONS, "CP of a sparse tensor on two processes"),
        Bench("tucker", DECOMPOSITIONS, "Tucker", ("tensorly",)),
        Bench("tensor_train", DECOMPOSITIONS, "Tensor train", ("tensorly", "torchTT")),
        Bench("memory", DECOMPOSITIONS, "Memory of a fit"),
        Bench("cells", FAST, "Recurrent cells, forward and backward"),
        Bench("lda_synthetic", TOPICS, "Synthetic documents", ("scikit-learn", "tomotopy")),
        Bench("lda_ap", TOPICS, "The Associated Press corpus", ("tomotopy",)),
        Bench("lda_short", TOPICS, "Short documents", ("tomotopy",)),
        Bench("lda_scale", TOPICS, "A million documents, and two processes"),
        Bench("parity", DECOMPOSITIONS, "Fits of real tensors: the larger, the better", ("tensorly", "pyttb")),
        Bench("cp_indian_pines", DECOMPOSITIONS, "The error of CP on Indian Pines", ("tensorly",)),
        _accuracy("los_speed", "Traffic, one hour ahead"),
        _accuracy("los_speed_far", "Traffic, up to 19 hours ahead"),
        _accuracy("trentino", "Weather stations, 300 days ahead"),
        _accuracy("genz_f1", "Genz's chaotic map f1"),
        _accuracy("genz_f2", "Genz's chaotic map f2"),
        _accuracy("genz_f4", "Genz's chaotic map f4"),
        _accuracy("lorenz", "Lorenz's chaotic system"),
        _accuracy("mackey_glass", "Mackey and Glass's chaotic equation"),
        _accuracy("kuramoto_sivashinsky", "The Kuramoto-Sivashinsky equation"),
        _accuracy("etth1_96", "ETTh1, 96 hours ahead"),
        _accuracy("etth1_336", "ETTh1, 336 hours ahead"),
        _accuracy("exchange_rate", "Exchange rates, 96 days ahead"),
        Bench("forecast_speed", FAST, "Training and forecasts", ("gluonts", "lightning")),
        Bench("forecast_gpu", FAST, "Training on a GPU"),
        Bench("regression_speed", REGRESSIONS, "A sweep, a fit, a layer", ("scikit-learn", "tensorly")),
        Bench("regression_planted", REGRESSIONS, "Planted weights: what is found, and the error beside an oracle's"),
        Bench("regression_signals", REGRESSIONS, "Pictures that a regression finds", ("tensorly",)),
        Bench("regression_vqa", REGRESSIONS, "Questions about pictures, by jobs with their defaults"),
        Bench("regression_pines", REGRESSIONS, "Patches of a spectral image", ("scikit-learn", "tensorly")),
        Bench("regression_motions", REGRESSIONS, "Windows of sensors", ("scikit-learn",)),
        _regression("digits", "Pictures of digits"),
        _regression("views", "Six views of a digit, multiplied"),
        _regression("utterances", "Text, audio and video, multiplied"),
        _serve("throughput", "Eight clients against the model alone"),
        _serve("light", "What the model adds to HTTP"),
        _serve("latency", "One client: what the server adds"),
        _serve("batching", "Requests that are predicted together"),
        _serve("peers", "The same artifact behind other servers", "gluonts", "litserve", "mlflow-skinny"),
        _serve("large", "Large bodies of numbers"),
        _serve("ping", "/ping under load and beside clients that hold on"),
        Bench("soak", SERVING, "Endurance"),
    )
}


def chosen(names: list[str]) -> list[Bench]:
    """The benchmarks of these names, or all; `accuracy` stands for its tasks. Raises KeyError for an unknown name."""
    groups = {ACCURACY: [bench for bench in BENCHES.values() if bench.module == ACCURACY]}
    return [bench for name in names or BENCHES for bench in groups.get(name) or [BENCHES[name]]]
