"""Rehearses an A/B test, from its first job to its teardown, by the commands of scripts/ and boto3; on AWS it is alike.

Against this machine, from the repository: `python -m local_mode up` in one shell; in the other
`source local_mode/state/environment; python examples/rehearse_ab.py`. On AWS give --image, --role and --bucket.

The champion is a CP model of air temperatures with 2 components. The challenger has as many as a tuning job likes best.
A request asks for one entry of the tensor; its actual is what was measured there.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
TENSOR = ROOT / "local_mode" / "data" / "air_temperature" / "air_temperature.npy"
ENDPOINT, GROUP = "air-ab", "air"
VERDICTS = {0: "better", 10: "equivalent", 11: "undecided", 12: "worse", 13: "mismatch"}
CAPTURE_SECONDS = 8.0 if os.environ.get("AWS_ENDPOINT_URL") else 300.0
"""How long captured requests take to S3: seconds here, minutes on AWS."""


def arguments() -> argparse.Namespace:
    """What a user may choose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="polyadic", help="its URI")
    parser.add_argument("--role", default="arn:aws:iam::123456789012:role/SageMakerExecution")
    parser.add_argument("--bucket", default="rehearsal", help="is made where it is missing")
    parser.add_argument("--requests", type=int, default=2000, help="to the shadow, and twice as many to the split")
    parser.add_argument("--poll", default="1", help="seconds between two looks")
    parser.add_argument("--folder", type=Path, default=Path("out/rehearsal"))
    return parser.parse_args()


class Rehearsal:
    """The commands, each printed before it runs."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder: Path = options.folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tensor = np.load(TENSOR)
        self.chance = np.random.default_rng(0)

    def command(self, *words: str, allowed: Sequence[int] = (0,)) -> tuple[int, str]:
        """Run `python -m scripts.WORDS`; its exit code and its last line."""
        print(f"\n$ python -m scripts.{' '.join(words)}", flush=True)
        line, program = "", [sys.executable, "-m", f"scripts.{words[0]}", *words[1:]]
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=self.folder, env=variables)
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
        if process.wait() not in allowed:
            sys.exit(
                f"the rehearsal ends here: scripts.{words[0]} ended with {process.returncode}; if there is an endpoint "
                f"already, remove it with `python -m scripts.teardown {ENDPOINT}`"
            )
        return process.returncode, line.strip()

    def recipe(self, name: str, rank: int) -> str:
        """A recipe of a CP job in a file."""
        content = {
            "name": name, "image": self.options.image, "role": self.options.role, "instance_type": "ml.m5.large",
            "channels": {"train": {"uri": f"s3://{self.options.bucket}/air/"}},
            "output": f"s3://{self.options.bucket}/models/",
            "hyperparameters": {"algorithm": "cp", "rank": rank, "max_iterations": 50},
        }  # fmt: skip
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    def ask(self, phase: str, requests: int) -> str:
        """Ask for entries at random, wait for capture, and write the actuals into a file."""
        time.sleep(2)  # What is answered in the second in which a deployment settles is left out of the comparison.
        places = [[int(self.chance.integers(size)) for size in self.tensor.shape] for _ in range(requests)]
        runtime = boto3.client("sagemaker-runtime")

        def invoke(number: int) -> tuple[str, float]:
            body, began = json.dumps({"instances": [{"index": places[number]}]}), time.perf_counter()
            answer = runtime.invoke_endpoint(
                EndpointName=ENDPOINT, ContentType="application/json", Body=body, InferenceId=f"{phase}-{number}"
            )
            answer["Body"].read()
            return str(answer["InvokedProductionVariant"]), time.perf_counter() - began

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(invoke, range(requests)))
        answered = Counter(variant for variant, _ in answers)
        print(
            f"\n{requests:,} requests, answered by {dict(answered)}; {CAPTURE_SECONDS:g} s for their capture",
            flush=True,
        )
        time.sleep(CAPTURE_SECONDS)
        path = self.folder / f"{phase}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["inference_id", "actual", "seconds"])
            for number, place in enumerate(places):
                writer.writerow([f"{phase}-{number}", float(self.tensor[tuple(place)]), round(answers[number][1], 6)])
        return str(path)

    def upload(self) -> None:
        """The tensor, into a bucket that is made where it is missing."""
        s3 = boto3.client("s3")
        if self.options.bucket not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            region = s3.meta.region_name
            place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            s3.create_bucket(Bucket=self.options.bucket, **place)
        s3.upload_file(str(TENSOR), self.options.bucket, "air/air_temperature.npy")


def job_of(artifact: str) -> str:
    """The training job whose artifact lies at s3://.../JOB/output/model.tar.gz."""
    return artifact.split("/")[-3]


def main() -> None:
    """From two jobs to a teardown."""
    began, options = time.monotonic(), arguments()
    rehearsal = Rehearsal(options)
    run, poll = rehearsal.command, ["--poll", options.poll]
    rehearsal.upload()
    champion = job_of(run("train", rehearsal.recipe("air-champion", 2), *poll)[1])
    run("train", rehearsal.recipe("air-challenger", 4), *poll)
    tuned = ["--tune", "rank=4:12", "--jobs", "3", "--seed", "1", *poll]
    challenger = job_of(run("tune", rehearsal.recipe("air-challenger", 4), *tuned)[1])
    packages = []
    for job in (champion, challenger):
        package = run("register", GROUP, "--job", job)[1]
        run("approve", package, "--reason", "rehearsed")
        packages.append(package)
    capture = f"s3://{options.bucket}/capture"
    deploy = ["deploy", "--endpoint", ENDPOINT, "--role", options.role, *poll]
    run(*deploy, "--variant", f"A={packages[0]}", "--shadow", f"B={packages[1]}", "--capture", capture)
    run("feedback", ENDPOINT, rehearsal.ask("shadow", options.requests))
    question = ["--loss", "squared-error", "--margin", "1%"]
    by_pairs, _ = run("compare", ENDPOINT, *question, "--picture", "pairs.svg", allowed=list(VERDICTS))
    run(*deploy, "--variant", f"A={packages[0]}:0.9", "--variant", f"B={packages[1]}:0.1", "--yes")
    run("feedback", ENDPOINT, rehearsal.ask("split", options.requests * 2))
    by_split, _ = run("compare", ENDPOINT, "--design", "split", "--picture", "split.svg", allowed=list(VERDICTS))
    promoted, _ = run("traffic", "promote", ENDPOINT, "B", *poll, allowed=(0, 1))
    if promoted == 0:
        run("traffic", "show", ENDPOINT)
        run("traffic", "rollback", ENDPOINT, *poll)
    run("teardown", ENDPOINT, *poll)
    print(
        f"\nby pairs B is {VERDICTS[by_pairs]}, by the split {VERDICTS[by_split]}, "
        f"{'promoted and rolled back' if promoted == 0 else 'not promoted'}; {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
