"""Verdicts from captured traffic on moto: pairs, splits, what is left out, and the question that is asked once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from polyadic.variants import Shares
from tests.scripts.captured import START, drawn, entry, make_endpoint, put_actuals, put_capture, shadowed

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]
ASK = ("compare", "ab", "--loss", "squared-error")


def looked(command: Command, *more: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of a look."""
    code, out, err = command(*ASK, "--json", *more)
    assert err == "", err
    document: dict[str, Any] = json.loads(out)
    return code, document


@pytest.mark.parametrize(
    ("deviation", "code", "verdict"), [(0.5, 0, "better"), (2.0, 12, "worse"), (1.0, 11, "undecided")]
)
def test_the_exit_code_says_the_verdict(command: Command, deviation: float, code: int, verdict: str) -> None:
    make_endpoint({"A": 1.0})
    shadowed(400, {"A": 1.0, "B": deviation})
    said, document = looked(command)
    assert (said, document["verdict"]) == (code, verdict)
    (contest,) = document["challengers"]
    assert (contest["design"], contest["requests"], contest["variant"]) == ("pairs", 400, "B")
    assert contest["lower"] < contest["difference"] < contest["upper"]
    assert (contest["requests_needed"] is None) == (verdict != "undecided")


def test_models_within_the_margin_are_equivalent(command: Command) -> None:
    make_endpoint({"A": 1.0})
    shadowed(2000, {"A": 1.0, "B": 1.0})
    code, document = looked(command, "--margin", "20%")
    assert (code, document["verdict"]) == (10, "equivalent")
    assert document["challengers"][0]["sentence"] == "B and A differ by less than the margin"


def test_the_table_says_all_that_a_reader_needs(command: Command) -> None:
    make_endpoint({"A": 1.0})
    shadowed(300, {"A": 1.0, "B": 0.5})
    put_actuals({"p0-0": 0.0, "p0-1": 1.0, "unheard-of": 2.0})
    put_capture("B", [entry("late", START + 900, 1.0)])
    code, out, _ = command(*ASK)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "ab: squared-error; of equal models at most 5.0% ever get a winner, no margin"
    assert lines[2].split() == ["variant", "captured", "with", "actual", "mean", "loss", "covers"]
    assert lines[3].split()[:4] == ["A", "(champion)", "300", "300"] and lines[4].split()[:3] == ["B", "301", "300"]
    assert lines[7].split()[:3] == ["B", "pairs", "300"] and lines[7].split()[-1] == "better"
    assert "B is better than A" in lines
    assert lines[-1] == (
        "600 answers with an actual, 1 of B without, 1 actuals of no captured request, 1 actuals revised (the last "
        "counts), 1 actuals said twice"
    )


def test_a_split_is_read_by_the_weights(command: Command) -> None:
    make_endpoint({"A": 0.7, "B": 0.3})
    drawn(3000, {"A": 0.7, "B": 0.3}, {"A": 1.0, "B": 0.5})
    code, document = looked(command)
    (contest,) = document["challengers"]
    assert (code, contest["design"], contest["requests"]) == (0, "split", 3000)
    assert contest["lower"] < -0.75 < contest["upper"] < 0
    ratio = document["sample_ratio"]
    assert not ratio["mismatch"] and ratio["expected"]["B"] == pytest.approx(900)


def test_a_router_that_does_not_follow_the_weights_stops_the_reading(command: Command) -> None:
    make_endpoint({"A": 0.7, "B": 0.3})
    drawn(2000, {"A": 0.6, "B": 0.4}, {"A": 1.0, "B": 0.5})
    code, document = looked(command)
    assert (code, document["verdict"]) == (13, "mismatch") and document["sample_ratio"]["mismatch"]
    assert "SAMPLE RATIO MISMATCH" in command("compare", "ab")[1]
    code, _out, err = command("traffic", "promote", "ab", "B")
    assert code == 1 and "not promoted: SAMPLE RATIO MISMATCH" in err and "--reason" in err


def test_one_variants_capture_may_arrive_before_the_others(command: Command) -> None:
    """Only what is captured of both by now is drawn; or the faster one would seem to get more than its share."""
    make_endpoint({"A": 0.5, "B": 0.5})
    import time

    now = time.time()
    names = np.random.default_rng(3).choice(["A", "B"], 600)
    for variant, newest in (("A", 600), ("B", 300)):
        rows = [entry(f"n{n}", now - 600 + n, 1.0) for n in range(newest) if names[n] == variant]
        put_capture(variant, rows)
    put_actuals({f"n{n}": 0.0 for n in range(600)})
    _, document = looked(command)
    assert not document["sample_ratio"]["mismatch"] and sum(document["sample_ratio"]["observed"].values()) < 310


def test_weights_of_the_moment_are_those_of_the_history(command: Command) -> None:
    make_endpoint({"A": 0.5, "B": 0.5})
    drawn(1000, {"A": 0.9, "B": 0.1}, {"A": 1.0, "B": 1.0}, seed=1)
    changes = [
        {
            "time": "2026-11-28T12:16:40+00:00", "settled": "2026-11-28T12:16:50+00:00", "endpoint": "ab",
            "action": "split", "before": {"A": 0.9, "B": 0.1}, "after": {"A": 0.5, "B": 0.5},
        }
    ]  # fmt: skip
    Path("weights.jsonl").write_text("\n".join(map(json.dumps, changes)) + "\n")
    chance = np.random.default_rng(2)
    names = chance.choice(["A", "B"], 1000)
    for variant in "AB":
        put_capture(variant, [entry(f"t{n}", START + 1000 + n, 1.0) for n in range(1000) if names[n] == variant])
    put_actuals({f"t{n}": 0.0 for n in range(1000)})
    code, document = looked(command)
    assert not document["sample_ratio"]["mismatch"]
    assert document["sample_ratio"]["expected"]["B"] == pytest.approx(100 + 495, abs=2)
    assert any("answered while the weights changed" in note for note in document["notes"])
    assert document["challengers"][0]["requests"] == 2000 - 10
    assert code == 11


def test_a_change_is_known_from_the_tags_on_another_machine(command: Command) -> None:
    make_endpoint({"A": 0.9, "B": 0.1})
    assert command("traffic", "split", "ab", "A=0.5", "B=0.5", "--poll", "0.01")[0] == 0
    Path("weights.jsonl").unlink()
    drawn(1500, {"A": 0.9, "B": 0.1}, {"A": 1.0, "B": 1.0})  # In 2026, before the change of today.
    _, document = looked(command)
    assert document["sample_ratio"]["expected"]["B"] == pytest.approx(150) and not document["sample_ratio"]["mismatch"]


def test_users_who_keep_their_variant_are_one_fact_each(command: Command) -> None:
    make_endpoint({"A": 1.0, "B": 0.0})
    shares, chance = Shares({"B": 0.4, "A": 0.6}, "salt", frozenset({"user 0"}), "A"), np.random.default_rng(5)
    lines: dict[str, list[bytes]] = {"A": [], "B": []}
    for number in range(3000):
        assignment = shares.assign(f"user {number % 1000}")
        value = chance.normal(0, 0.5 if assignment.variant == "B" else 1.0)
        lines[assignment.variant].append(entry(f"u{number}", START + number, value, assignment.custom_attributes()))
    for variant, rows in lines.items():
        put_capture(variant, rows)
    put_actuals({f"u{number}": 0.0 for number in range(3000)})
    code, document = looked(command)
    (contest,) = document["challengers"]
    assert (code, contest["design"], contest["facts"], contest["requests"]) == (0, "split", 998, 2997)
    assert sum(document["sample_ratio"]["observed"].values()) == 999


def test_a_replay_is_paired_and_belongs_to_no_split(command: Command) -> None:
    make_endpoint({"A": 0.5, "B": 0.5})
    drawn(1000, {"A": 0.5, "B": 0.5}, {"A": 1.0, "B": 1.0})
    put_capture("C", [entry(f"s0-{n}", START + n, 0.1) for n in range(1000)], prefix="capture-replay")
    put_capture("A", [entry("polyadic-replay-1", START, 0.1)])
    _, document = looked(command)
    by_name = {contest["variant"]: contest for contest in document["challengers"]}
    assert by_name["C"]["design"] == "pairs" and by_name["C"]["verdict"] == "better"
    assert by_name["B"]["design"] == "split" and by_name["B"]["requests"] == 1000
    assert by_name["B"]["level"] == 0.0125
    assert [side["captured"] for side in document["variants"]][-1] == 1000


def test_a_question_is_asked_once(command: Command) -> None:
    arn = make_endpoint({"A": 1.0})
    shadowed(200, {"A": 1.0, "B": 0.5})
    assert looked(command, "--alpha", "1%", "--margin", "0.02")[0] == 0
    code, document = looked(command)
    assert document["question"] == "squared-error; of equal models at most 1.0% ever get a winner, margin 2.00%"
    code, _, err = command(*ASK, "--margin", "0.1")
    assert code == 2 and "--margin differs from what was asked first" in err and "--ask-anew" in err
    assert looked(command, "--margin", "0.1", "--ask-anew")[1]["question"].endswith(
        "5.0% ever get a winner, margin 10.00%"
    )
    tags = boto3.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    assert {"Key": "polyadic:comparison", "Value": "loss=squared-error champion=A margin=0.1"} in tags


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--champion", "Z"), "the endpoint has no variant 'Z'"),
        (("--loss", "column"), "--loss column and --column NAME go together"),
        (("--low", "0"), "--low and --high go together"),
        (("--season", "0"), "allowed are numbers of 1 or more"),
        (("--alpha", "7"), "got '7'; allowed is a share from 0 to 1"),
        (("--topics", "A"), "allowed is VARIANT=FILE.npy"),
        (("--topics", "A=absent.npy"), "cannot read the topics absent.npy"),
        (("--picture", "a.txt"), "allowed are names that end with .png or .svg"),
        (("--loss", "column", "--column", "a b"), "does not fit a tag"),
        (("--freq", "0H"), "allowed are frequencies such as 15min"),
        (("--low", "1", "--high", "0"), "the lower first"),
        (("--low", "nan", "--high", "1"), "the lower first"),
        (("--alpha", "0"), "alpha: got 0.0"),
        (("--low", "0", "--high", "1"), "losses lie from"),
    ],
)
def test_what_is_refused(command: Command, options: tuple[str, ...], message: str) -> None:
    make_endpoint({"A": 1.0})
    shadowed(150, {"A": 1.0, "B": 1.0})
    code, _, err = command("compare", "ab", "--loss", "squared-error", *options)
    assert code == 2 and message in err, err


def test_an_endpoint_without_capture_or_captured_requests(command: Command) -> None:
    make_endpoint({"A": 1.0}, capture=False)
    code, _, err = command("compare", "ab")
    assert code == 1 and "captures nothing; deploy it with `--capture" in err
    code, _, err = command("compare", "ab", "--capture", "s3://bucket/elsewhere")
    assert code == 1 and "nothing is captured under s3://bucket/elsewhere/ab yet" in err
    assert command("compare", "absent")[0] == 1


def test_lines_that_are_broken_count_nowhere(command: Command) -> None:
    make_endpoint({"A": 1.0})
    shadowed(150, {"A": 1.0, "B": 0.5})
    put_capture("A", [b"{\n", b'{"captureData": {}}\n', b"[]\n", entry("no-actual", START, 1.0)])
    boto3.client("s3").put_object(Bucket="bucket", Key="capture-actuals/ab/2026/x.jsonl", Body=b"what\n{}\n")
    code, document = looked(command)
    assert code == 0 and any("5 lines are broken" in note for note in document["notes"])


def test_a_picture_is_drawn(command: Command) -> None:
    make_endpoint({"A": 1.0})
    shadowed(300, {"A": 1.0, "B": 0.5})
    for name in ("ab.svg", "ab.png"):
        assert command(*ASK, "--picture", name)[0] == 0
        assert Path(name).stat().st_size > 5000
    code, _, err = command(*ASK, "--picture", "absent/ab.svg")
    assert code == 2 and "cannot write the picture absent/ab.svg" in err


def test_watching_ends_with_a_verdict(command: Command) -> None:
    make_endpoint({"A": 1.0})
    shadowed(400, {"A": 1.0, "B": 0.5})
    code, out, _ = command(*ASK, "--watch", "0.01")
    assert code == 0 and out.count("B is better than A") == 1


def test_a_dry_run_prints_the_calls(command: Command, calls: Calls, nowhere: None) -> None:
    code, out, err = command(*ASK, "--dry-run")
    assert (code, err) == (0, "")
    names = [call["operation"] for call in calls(out)]
    assert names[:2] == ["DescribeEndpoint", "ListTags"] and "AddTags" in names and "ListObjectsV2" in names
    assert "GetMetricStatistics" in names


def test_a_watch_waits_for_the_first_request_and_ends_where_the_endpoint_is_deleted(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_endpoint({"A": 1.0})
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            shadowed(20, {"A": 1.0, "B": 0.5})
        if len(looks) == 3:
            boto3.client("sagemaker").delete_endpoint(EndpointName="ab")

    monkeypatch.setattr("scripts.compare.time.sleep", sleep)
    code, out, err = command(*ASK, "--watch", "0.01")
    assert code == 1 and err.startswith("error: there is no endpoint 'ab' in this region")
    assert out.count("nothing to compare: A is alone") == 2 and "undecided: about" in out


def test_a_champion_that_dropped_out_is_named(command: Command) -> None:
    arn = make_endpoint({"C": 1.0})
    asked = {"Key": "polyadic:comparison", "Value": "loss=squared-error champion=A"}
    boto3.client("sagemaker").add_tags(ResourceArn=arn, Tags=[asked])
    code, _, err = command(*ASK)
    assert code == 2 and "champion 'A' serves no longer; ask with --ask-anew --champion VARIANT: known are C" in err


def test_a_rehearsal_takes_any_champion(command: Command, calls: Calls, nowhere: None) -> None:
    code, out, err = command(*ASK, "--champion", "candidate", "--dry-run")
    assert (code, err) == (0, "") and "AddTags" in [call["operation"] for call in calls(out)]


@pytest.mark.parametrize(
    ("days", "period"), [(0.001, 60), (1, 60), (14, 840), (16, 1200), (62, 3900), (70, 7200), (400, 25200)]
)
def test_cloudwatch_is_asked_for_periods_that_it_has(days: float, period: int) -> None:
    """Of metrics older than 15 days it keeps five minutes, of those older than 63 days an hour."""
    from scripts.ab.study import MOST_DATAPOINTS, _period

    assert _period(days * 86400) == period and days * 86400 / period <= MOST_DATAPOINTS


def test_a_slow_challenger_breaks_the_guard_rail_of_the_seconds_that_clients_waited(command: Command) -> None:
    make_endpoint({"A": 0.5, "B": 0.5})
    names = drawn(2000, {"A": 0.5, "B": 0.5}, {"A": 1.0, "B": 0.5})
    chance = np.random.default_rng(0)
    waited = {"A": chance.exponential(0.01, 2000), "B": chance.exponential(0.03, 2000)}
    put_actuals({f"s0-{n}": {"actual": 0.0, "seconds": float(waited[name][n])} for n, name in enumerate(names)})
    code, document = looked(command)
    (contest,) = document["challengers"]
    (rail,) = contest["guardrails"]
    assert (code, contest["verdict"], rail["name"], rail["violated"]) == (12, "worse", "p99", True)
    assert rail["challenger"] == pytest.approx(0.14, abs=0.05)
    out = command("compare", "ab")[1]
    assert "B breaks a guard-rail (p99)" in out and "(TOO MUCH)" in out and " ms against " in out
    assert looked(command, "--ask-anew", "--p99-ms", "1000")[0] == 0
    code, _, err = command(*ASK, "--ask-anew", "--p99-ms", "0")
    assert code == 2 and "allowed is a number of milliseconds above 0" in err


def test_nobody_waits_for_a_shadow(command: Command) -> None:
    make_endpoint({"A": 1.0})
    shadowed(400, {"A": 1.0, "B": 0.5})
    put_actuals({f"p0-{n}": {"actual": 0.0, "seconds": 0.5} for n in range(400)})
    assert looked(command)[1]["challengers"][0]["guardrails"] == []
