"""SIGKILL at random moments of a story: what was acknowledged is there afterwards, and what is told is so."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import Door, asked, job, make_config, make_model

pytestmark = pytest.mark.slow
SEED, KILLS = 14, int(os.environ.get("POLYADIC_KILLS", "50"))
LONGEST_STORY_SECONDS = 1.5


class Story:
    """What one client does, over and over, and what it was told was done."""

    def __init__(self, seed: int) -> None:
        self.chance, self.count = random.Random(seed), 0
        self.objects: dict[str, bytes | None] = {}
        self.jobs: dict[str, str | None] = {}
        self.endpoints: dict[str, str | None] = {}
        self.unsure: dict[str, bytes | None] = {}

    def run(self, door: Door) -> None:
        """Until the front door is gone."""
        steps = [self._put, self._remove, self._train, self._look_at_jobs, self._deploy, self._update, self._take_down]
        while True:
            try:
                self.chance.choice(steps)(door)
            except (BotoCoreError, OSError):
                return
            except ClientError:  # Refused: another step is under way at the endpoint.
                continue

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _put(self, door: Door) -> None:
        key, body = f"objects/{self.chance.randrange(20)}", self.chance.randbytes(self.chance.randrange(50_000))
        self._changing(key, lambda: door.client("s3").put_object(Bucket="data", Key=key, Body=body), body)
        self.objects[key] = body

    def _remove(self, door: Door) -> None:
        key = f"objects/{self.chance.randrange(20)}"
        self._changing(key, lambda: door.client("s3").delete_object(Bucket="data", Key=key))
        self.objects[key] = None

    def _train(self, door: Door) -> None:
        name = self._name()
        behaviour = self.chance.choice(["train", "train", "fail", "wait"])
        door.client("sagemaker").create_training_job(**job(name, HyperParameters={"behaviour": behaviour}))
        self.jobs[name] = None

    def _look_at_jobs(self, door: Door) -> None:
        for name, status in self.jobs.items():
            if status is None:
                found = door.client("sagemaker").describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
                self.jobs[name] = None if found == "InProgress" else found

    def _deploy(self, door: Door) -> None:
        if len(self.endpoints) < 3:
            name = self._name()
            door.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName="a")
            self.endpoints[name] = None

    def _update(self, door: Door) -> None:
        if self.endpoints:
            name, config = self.chance.choice(list(self.endpoints)), self.chance.choice("ab")
            self._changing(
                name,
                lambda: door.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=config),
            )
            self.endpoints[name] = None  # Which of the two it is depends on how far it has come.

    def _take_down(self, door: Door) -> None:
        if self.endpoints and self.chance.random() < 0.5:
            name = self.chance.choice(list(self.endpoints))
            self._changing(name, lambda: door.client("sagemaker").delete_endpoint(EndpointName=name))
            del self.endpoints[name]
            self.unsure.pop(name, None)

    def _changing(self, what: str, act: Callable[[], Any], after: bytes | None = None) -> None:
        """While it is not answered it may be done or not."""
        self.unsure[what] = after
        try:
            act()
        except ClientError:
            del self.unsure[what]
            raise
        del self.unsure[what]


@pytest.mark.timeout(900)
def test_after_any_kill_all_that_is_told_is_true(
    open_door: Callable[[], Any], no_process_left: Callable[[], list[str]], tmp_path: Path
) -> None:
    story, chance = Story(SEED), random.Random(SEED + 1)
    with open_door() as door:
        door.client("s3").create_bucket(Bucket="data")
        door.client("s3").put_object(Bucket="data", Key="train/a.csv", Body=b"1,2\n")
        make_model(door, "sound", archive=make_archive(tmp_path / "sound"))
        make_config(door, "a", A=("sound", 1.0, 1))
        make_config(door, "b", B=("sound", 1.0, 1))
    for _ in range(KILLS):
        with open_door() as door:
            check(door, story, no_process_left)
            teller = threading.Thread(target=story.run, args=(door,))
            teller.start()
            time.sleep(chance.uniform(0.0, LONGEST_STORY_SECONDS))
            door.process.kill()
            teller.join()
    with open_door() as door:
        check(door, story, no_process_left)
        for name in list(story.endpoints):
            door.client("sagemaker").delete_endpoint(EndpointName=name)


def check(door: Door, story: Story, processes: Callable[[], list[str]]) -> None:
    """Compares what a client was told before a kill with what it is told after it, and that with what there is."""
    sagemaker = door.client("sagemaker")
    for key in set(story.objects) | {each for each in story.unsure if each.startswith("objects/")}:
        before = story.objects.get(key)
        story.objects[key] = content(door, key)
        assert story.objects[key] in (before, story.unsure.get(key, before)), key
    for name, status in story.jobs.items():
        described = sagemaker.describe_training_job(TrainingJobName=name)
        assert described["TrainingJobStatus"] in ("Completed", "Failed")
        assert status in (None, described["TrainingJobStatus"])
        if described["TrainingJobStatus"] == "Completed":
            assert content(door, f"out/{name}/output/model.tar.gz") is not None
        else:
            assert described["FailureReason"]
        story.jobs[name] = described["TrainingJobStatus"]
    deadline = time.monotonic() + 60
    while True:
        listed = sagemaker.list_endpoints(MaxResults=100)["Endpoints"]
        if all(each["EndpointStatus"] == "InService" for each in listed):
            break
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)
    names = {each["EndpointName"] for each in listed}
    assert set(story.endpoints) - names <= set(story.unsure)
    story.unsure.clear()
    for name in names:  # One whose creation or deletion was not answered may be there.
        story.endpoints.setdefault(name, None)
        described = sagemaker.describe_endpoint(EndpointName=name)
        variant, _ = asked(door, name)
        assert variant == described["EndpointConfigName"].upper()
    story.endpoints = {name: None for name in story.endpoints if name in names}
    lines = [line for line in processes() if "local_mode up" not in line]
    assert sum("serve" in line for line in lines) == len(names), lines
    assert not [line for line in lines if "/train" in line], lines


def content(door: Door, key: str) -> bytes | None:
    try:
        body: bytes = door.client("s3").get_object(Bucket="data", Key=key)["Body"].read()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey"
        return None
    return body
