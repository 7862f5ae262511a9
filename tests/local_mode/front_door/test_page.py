"""The page over HTTP: who gets it at `/`, what it lets a browser do, and what its forms change."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
import urllib3

from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import Door, asked, make_config, make_model, settled, trained

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MOST_BYTES = 100_000
EVIL = "<script>alert(1)</script>"


@dataclass
class Visitor:
    """A browser in small: it keeps the cookie, and follows nothing."""

    door: Door
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))
    cookie: str = ""

    def get(self, path: str = "/", **headers: str) -> urllib3.BaseHTTPResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        cookie = {"Cookie": self.cookie} if self.cookie else {}
        response = self.pool.request("GET", self.door.url + path, headers={**HTML, **cookie, **given})
        self.cookie = response.headers.get("Set-Cookie", self.cookie).partition(";")[0]
        return response

    def post(self, path: str, fields: dict[str, str], **headers: str) -> urllib3.BaseHTTPResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.pool.request(
            "POST",
            self.door.url + path,
            fields=fields,
            encode_multipart=False,
            headers={"Cookie": self.cookie, **given},
            redirect=False,
        )

    def token(self) -> str:
        found = re.search(r'name="token" value="(\w+)"', self.get().data.decode())
        assert found
        return found[1]


@pytest.fixture
def visitor(door: Door) -> Iterator[Visitor]:
    made = Visitor(door)
    yield made
    made.pool.clear()


@pytest.fixture(scope="module")
def ab(door: Door, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An endpoint with two variants."""
    make_model(door, "sound", archive=make_archive(tmp_path_factory.mktemp("model")))
    make_config(door, "ab", A=("sound", 0.9, 1), B=("sound", 0.1, 1))
    door.client("sagemaker").create_endpoint(EndpointName="ab", EndpointConfigName="ab")
    settled(door, "ab")
    return "ab"


def weights(door: Door, name: str = "ab") -> dict[str, float]:
    variants = settled(door, name)["ProductionVariants"]
    return {each["VariantName"]: each["CurrentWeight"] for each in variants}


def test_a_browser_gets_the_page_and_a_client_of_s3_its_buckets(door: Door, visitor: Visitor) -> None:
    page = visitor.get()
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    names = [bucket["Name"] for bucket in door.client("s3").list_buckets()["Buckets"]]
    assert "data" in names
    presigned = door.client("s3").generate_presigned_url("list_buckets")
    for answer in (
        visitor.pool.request("GET", presigned, headers=HTML),
        visitor.get(Accept="*/*"),
        visitor.get(Authorization="AWS4-HMAC-SHA256 Credential=any/20300101/us-east-1/s3/aws4_request"),
    ):
        assert b"ListAllMyBucketsResult" in answer.data
    door.client("s3").put_object(Bucket="data", Key="index.html", Body=b"mine")
    of_bucket = visitor.get(Host=door.url.removeprefix("http://").replace("127.0.0.1", "data.localhost"))
    assert b"index.html" in of_bucket.data and b"<!doctype" not in of_bucket.data


def test_it_is_strict_cached_and_light(visitor: Visitor, ab: str) -> None:
    page = visitor.get()
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "SameSite=Strict" in page.headers["Set-Cookie"] and "HttpOnly" in page.headers["Set-Cookie"]
    again = visitor.get()
    assert visitor.get(If_None_Match=again.headers["ETag"]).status == 304
    total = len(page.data)
    for path in re.findall(r'(?:href|src)="(/_page/static/[^"]+)"', page.data.decode()):
        asset = visitor.pool.request(
            "GET", visitor.door.url + path, headers={"Accept-Encoding": "gzip"}, decode_content=False
        )
        assert asset.status == 200 and "immutable" in asset.headers["Cache-Control"]
        assert gzip.decompress(asset.data) == visitor.get(path).data
        assert visitor.get(path, If_None_Match=asset.headers["ETag"]).status == 304
        total += len(asset.data)
    assert total < MOST_BYTES
    assert "//" not in re.sub(
        r"https?://www\.w3\.org", "", "".join(re.findall(r'(?:href|src)="([^"]*)"', str(page.data)))
    )


@pytest.mark.parametrize("path", ["nothing", "static/README.md", "static/../page.py", "training/none", "tuning/none"])
def test_what_is_not_there_is_said(visitor: Visitor, path: str) -> None:
    answer = visitor.get(f"/_page/{path}")
    assert answer.status == 404 and answer.data.startswith(b"there is no ") and b"Traceback" not in answer.data


def test_a_job_has_a_page_and_its_own_words_are_no_markup(door: Door, visitor: Visitor) -> None:
    definitions = [{"Name": "train:loss", "Regex": r"train loss <loss>=(\S+)"}]
    specification = {"TrainingImage": "polyadic", "TrainingInputMode": "File", "MetricDefinitions": definitions}
    trained(door, "shown", AlgorithmSpecification=specification, HyperParameters={"epochs": "5", "evil": EVIL})
    trained(door, "broken", HyperParameters={"behaviour": "fail"})
    overview, job = visitor.get().data.decode(), visitor.get("/_page/training/shown").data.decode()
    assert "train:loss 0.2" in overview and "rank got 0: give a rank of 1 or more" in overview
    assert 'aria-label="train:loss over time, now 0.2"' in job and "5 values" in job
    assert "train loss &lt;loss&gt;=0.2" in job and "<loss>" not in job
    assert "&lt;script&gt;alert(1)" in job and EVIL not in job
    assert "s3://data/out/shown/output/model.tar.gz" in job and "Uploading" in job


def test_requests_are_seen_within_the_minute_and_shadows_are_marked(door: Door, visitor: Visitor, ab: str) -> None:
    for _ in range(20):
        asked(door, ab, TargetVariant="A")
    page = visitor.get().data.decode()
    rows = re.findall(r'<th scope="row">A</th>(.*?)</tr>', page, re.DOTALL)
    cells = re.findall(r"<td>(.*?)</td>", rows[0])
    assert cells[:2] == ["0.9", "90.0 %"] and cells[2] != "0.0 /s" and cells[3].endswith(" ms")
    assert cells[-2:] == ["1 of 1 up", "sound"]
    live = {"ModelName": "sound", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0}
    door.client("sagemaker").create_endpoint_config(
        EndpointConfigName="shadowed",
        ProductionVariants=[{"VariantName": "Live", **live}],
        ShadowProductionVariants=[{"VariantName": "Next", **live}],
    )
    door.client("sagemaker").create_endpoint(EndpointName="shadowed", EndpointConfigName="shadowed")
    settled(door, "shadowed")
    for _ in range(5):
        asked(door, "shadowed")
    page = visitor.get().data.decode()
    row = page.partition("Next <mark>shadow</mark>")[2].partition("</tr>")[0]
    assert "100.0 % copied" in row and "0.0 /s" not in row
    door.client("sagemaker").delete_endpoint(EndpointName="shadowed")


def test_a_form_without_its_token_changes_nothing(door: Door, visitor: Visitor, ab: str) -> None:
    token, before = visitor.token(), weights(door)
    path, fields = "/_page/endpoints/ab/split", {"weight.A": "0.5", "weight.B": "0.5"}
    stranger = Visitor(door, visitor.pool)
    other = stranger.token()
    assert visitor.post(path, fields).status == 403
    assert visitor.post(path, {**fields, "token": "0" * 64}).status == 403
    assert visitor.post(path, {**fields, "token": other}).status == 403
    assert visitor.post(path, {**fields, "token": token}, Origin="http://elsewhere.example").status == 403
    assert visitor.post(path, {**fields, "token": token}, Host="rebound.example").status == 403
    visitor.cookie = ""
    refused = visitor.post(path, {**fields, "token": token})
    assert refused.status == 403 and b"load the page again" in refused.data
    assert weights(door) == before


def test_split_and_roll_back_move_the_traffic_and_say_so(door: Door, visitor: Visitor, ab: str) -> None:
    before, token = weights(door), visitor.token()
    fields = {"weight.A": "0.4", "weight.B": "0.6", "token": token}
    answer = visitor.post("/_page/endpoints/ab/split", fields, Origin=door.url)
    assert answer.status == 303
    assert weights(door) == pytest.approx({"A": 0.4, "B": 0.6})
    told = visitor.get(answer.headers["Location"].partition("#")[0]).data.decode()
    assert re.search(r'<pre class="done">split: .*A +0\.4 ', told, re.DOTALL)
    history = [json.loads(line) for line in (door.state / "weights.jsonl").read_text().splitlines()]
    assert history[-1]["endpoint"] == "ab" and history[-1]["after"] == {"A": 0.4, "B": 0.6}
    answer = visitor.post("/_page/endpoints/ab/rollback", {"token": token}, HX_Request="true")
    assert answer.status == 200 and answer.data.startswith(b'<pre class="done">rollback: ')
    assert weights(door) == pytest.approx(before)


@pytest.mark.parametrize("weight", ["-1", "much", "--help", "nan"])
def test_what_the_command_refuses_is_shown(door: Door, visitor: Visitor, ab: str, weight: str) -> None:
    before = weights(door)
    fields = {"weight.A": weight, "weight.B": "1", "weight.C": "1", "token": visitor.token()}
    answer = visitor.post("/_page/endpoints/ab/split", fields, HX_Request="true")
    assert answer.status == 200 and b'class="refused" role="alert"' in answer.data and b"error: " in answer.data
    assert weights(door) == before


def test_forms_that_cannot_be_are_refused(door: Door, visitor: Visitor, ab: str) -> None:
    token = {"token": visitor.token()}
    refusals = [
        ("ab/split", {}, 400, "give at least one variant a weight"),
        ("ab/promote", {"variant": "--history=/tmp/x"}, 400, "endpoint ab has no variant --history=/tmp/x"),
        ("none/rollback", {}, 404, "there is no endpoint none"),
        ("ab/delete", {}, 404, "there is no such page"),
        ("ab/split", {"weight.A": "9" * 2_000_000}, 413, "a form has 1048576 bytes at most"),
    ]
    for path, fields, status, sentence in refusals:
        answer = visitor.post(f"/_page/endpoints/{path}", {**token, **fields})
        assert (answer.status, answer.data.decode()) == (status, sentence)


def test_changes_of_one_endpoint_do_not_overlap(door: Door, ab: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        visitors = [Visitor(door), Visitor(door)]
        path = "/_page/endpoints/ab/split"
        fields = [{"weight.A": "0.9", "weight.B": "0.1", "token": each.token()} for each in visitors]
        answers = list(pool.map(lambda each, form: each.post(path, form, HX_Request="true"), visitors, fields))
    assert sorted(b"another change of ab is under way" in each.data for each in answers) == [False, True]
    for each in visitors:
        each.pool.clear()


def test_promote_that_is_refused_asks_for_a_reason_and_with_it_is_done(door: Door, visitor: Visitor, ab: str) -> None:
    before, fields = weights(door), {"variant": "B", "token": visitor.token()}
    answer = visitor.post("/_page/endpoints/ab/promote", fields, HX_Request="true").data.decode()
    assert 'class="refused"' in answer and '<input name="reason" required' in answer
    assert weights(door) == before
    answer = visitor.post("/_page/endpoints/ab/promote", {**fields, "reason": "a try"}, HX_Request="true").data.decode()
    assert answer.startswith('<pre class="done">promote: ')
    assert weights(door) == {"A": 0.0, "B": 1.0}
    assert "a try" in (door.state / "weights.jsonl").read_text()
    visitor.post("/_page/endpoints/ab/rollback", {"token": fields["token"]}, HX_Request="true")
    assert weights(door) == pytest.approx(before)


def test_the_page_is_no_burden_of_the_runtime(door: Door, visitor: Visitor, ab: str) -> None:
    """A browser that asks for changes without a pause keeps nobody waiting."""
    keys = re.findall(r'name="seen" value="([^"]+)"', visitor.get().data.decode())
    body, ended, polls = urlencode([("seen", key) for key in keys]), threading.Event(), list[int]()

    def poll() -> None:
        while not ended.is_set():
            answer = visitor.pool.request("POST", f"{door.url}/_page/overview?training=1&tuning=1", body=body)
            polls.append(answer.status)

    thread = threading.Thread(target=poll)
    thread.start()
    seconds = []
    for _ in range(100):
        began = time.monotonic()
        asked(door, ab)
        seconds.append(time.monotonic() - began)
    ended.set()
    thread.join()
    assert len(polls) > 5 and set(polls) <= {200, 204}
    assert sorted(seconds)[90] < 0.1, sorted(seconds)
