"""Windows of sensors as tensors: motions by six sensors, the frequencies of each, and when they are heard.

A motion is a rhythm, its loudness in each sensor and its course over ten seconds; a window begins anywhere in it, and
sensors are noisy. As in BasicMotions (UEA's archive) four motions have ten windows each to learn from.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np

from scripts.bench.measure import OURS, Case
from scripts.bench.regression_choice import Array, Split, logistic, ours, percent

SEEDS = 3
MOTIONS, SENSORS, STEPS, RATE = 4, 6, 100, 10.0
FRAME, HOP = 20, 8
TRAIN, TEST = 10, 100
NOISE = 4.0
RHYTHMS = (0.8, 1.4, 2.2, 3.1)


def run() -> Iterator[Case]:
    """Errors in per cent: of ours on sensors x frequencies x frames, and of logistic regression on vec(X)."""
    splits = [_split(seed) for seed in range(SEEDS)]
    kinds = (("cp", 2), ("cp", 4), ("cp", 6))
    found = [ours(split, kinds, MOTIONS, seed) for seed, split in enumerate(splits)]
    flat = [logistic(split, ("window",)) for split in splits]
    shape = splits[0].views["window"].shape[1:]
    yield Case(
        key="motions",
        title=f"windows of {' x '.join(map(str, shape))}, {TRAIN} of each of {MOTIONS} motions to train",
        figures={OURS: percent([error for error, _ in found]), "logistic regression on vec(X)": percent(flat)},
        spreads={OURS: 100 * statistics.stdev(error for error, _ in found)},
        targets={"logistic regression on vec(X)": 1.0},
        unit="% wrong",
        facts={"numbers of W": ", ".join(str(count) for _, count in found)},
    ).reported()


def _split(seed: int) -> Split:
    """Motions drawn by the seed; the first windows of each to train, and of these two of each to choose by."""
    random = np.random.default_rng(seed)
    loudness = random.gamma(1.0, 1.0, (MOTIONS, SENSORS))
    count = TRAIN + TEST
    windows = [
        _window(random, rhythm, loud) for rhythm, loud in zip(RHYTHMS, loudness, strict=True) for _ in range(count)
    ]
    label, place = np.repeat(np.arange(MOTIONS), count), np.tile(np.arange(count), MOTIONS)
    parts = (np.flatnonzero(place < TRAIN), np.flatnonzero(place >= TRAIN), np.flatnonzero(place < TRAIN // 5))
    return Split({"window": np.stack(windows).astype(np.float32)}, label, *parts)


def _window(random: np.random.Generator, rhythm: float, loudness: Array) -> Array:
    """The power of each sensor, frequency and frame, as a logarithm: 6 x 11 x 11."""
    time = np.arange(STEPS) / RATE
    turns = rhythm * random.uniform(0.9, 1.1) * time + random.uniform()
    course = 1 + np.sin(2 * np.pi * (time / 5 + random.uniform(0, 0.2)))
    waves = np.sin(2 * np.pi * turns) + 0.5 * np.sin(4 * np.pi * turns + random.uniform(0, 6))
    signal = loudness[:, None] * waves * course + NOISE * random.normal(size=(SENSORS, STEPS))
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME, axis=1)[:, ::HOP] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, axis=2)) ** 2
    logarithms: Array = np.log1p(power).transpose(0, 2, 1)
    return logarithms
