"""Rebuilds this folder from the wheels of README.md: python local_mode/data/convert.py WHEEL_FOLDER."""

import csv
import io
import json
import sys
import zipfile
from datetime import date
from pathlib import Path

import numpy as np

DATA_FOLDER = Path(__file__).parent
WITHHELD_MONTHS = 72  # six years: rolling origins need more than one prediction_length


def read_member(wheels: Path, wheel: str, member: str) -> bytes:
    (archive,) = wheels.glob(f"{wheel}-*.whl")
    with zipfile.ZipFile(archive) as opened:
        return opened.read(member)


def rows(wheels: Path, member: str) -> list[dict[str, str]]:
    text = read_member(wheels, "statsmodels", member).decode()
    return list(csv.DictReader(io.StringIO(text)))


def sea_surface_temperature(wheels: Path) -> list[float | None]:
    table = rows(wheels, "statsmodels/datasets/elnino/elnino.csv")
    return [float(value) for row in table for name, value in row.items() if name != "YEAR"]


def carbon_dioxide(wheels: Path) -> list[float | None]:
    """Monthly means of the weekly values; a month without a value stays a gap."""
    weeks: dict[tuple[int, int], list[float]] = {}
    for row in rows(wheels, "statsmodels/datasets/co2/co2.csv"):
        day = date.fromisoformat(f"{row['date'][:4]}-{row['date'][4:6]}-{row['date'][6:]}")
        values = weeks.setdefault((day.year, day.month), [])
        if row["co2"]:
            values.append(float(row["co2"]))
    return [round(sum(values) / len(values), 2) if values else None for _, values in sorted(weeks.items())]


def air_temperature(wheels: Path) -> np.ndarray:
    """Degrees Celsius, time x latitude x longitude; the file packs kelvin into int16 hundredths."""
    import h5py

    content = read_member(wheels, "hvsampledata", "hvsampledata/_data/air_temperature_small.nc")
    with h5py.File(io.BytesIO(content)) as file:
        packed = np.asarray(file["air"], dtype=np.float64)
    return np.asarray((packed - 27315) / 100, dtype=np.float32)


def write_series(name: str, start: str, target: list[float | None]) -> None:
    for split, values in (("train", target[:-WITHHELD_MONTHS]), ("test", target)):
        line = json.dumps({"start": start, "target": values})
        (DATA_FOLDER / "series" / split / f"{name}.json").write_text(line + "\n")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_series("sea_surface_temperature", "1950-01-01 00:00:00", sea_surface_temperature(folder))
    write_series("carbon_dioxide", "1958-03-01 00:00:00", carbon_dioxide(folder))
    np.save(DATA_FOLDER / "air_temperature" / "air_temperature.npy", air_temperature(folder))
