"""NAME=SOURCE:WEIGHT: each kind of source, with and without a weight, and each mistake."""

import pytest

from scripts.aws import Invalid, UsageError
from scripts.hosting.source import Source
from scripts.registry.packages import Reference
from scripts.variants import Variant, check_variants, shadow, variant

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/demand/3"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("s3://bucket/a/model.tar.gz", Source(artifact="s3://bucket/a/model.tar.gz")),
        ("job:demand-7", Source(job="demand-7")),
        ("package:demand", Source(package=Reference(group="demand"))),
        ("package:demand/12", Source(package=Reference(group="demand", version=12))),
        (ARN, Source(package=Reference(arn=ARN))),
        (f"package:{ARN}", Source(package=Reference(arn=ARN))),
    ],
)
@pytest.mark.parametrize(("tail", "weight"), [("", None), (":0.25", 0.25), (":0", 0.0)])
def test_each_source_with_and_without_a_weight(text: str, source: Source, tail: str, weight: float | None) -> None:
    assert variant(f"A={text}{tail}") == Variant("A", source, weight)


@pytest.mark.parametrize(
    "text", ["A", "=s3://b/m", "A=job:", "A=package:", "A=bucket/m", "A=s3://b/m:1:2", "A=job:x:1:2"]
)
def test_what_is_no_variant_is_told_the_form(text: str) -> None:
    with pytest.raises(Invalid, match="allowed is NAME=SOURCE:WEIGHT, where SOURCE is s3://"):
        variant(text)


@pytest.mark.parametrize("text", ["A=package:demand/0", "A=package:demand/new", "A=package:arn:aws:x:y/1"])
def test_a_wrong_package_is_told_the_form(text: str) -> None:
    with pytest.raises(Invalid, match="allowed"):
        variant(text)


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_wrong_share_is_named(share: str) -> None:
    assert shadow("S=job:j:0.5").weight == 0.5
    with pytest.raises(Invalid, match=f"got share {share}; allowed is a number above 0, and 1 at most"):
        shadow(f"S=job:j:{share}")


def test_a_shadow_has_one_variant_beside_it() -> None:
    a, b, s, t = (variant(f"{name}=job:j") for name in "ABST")
    check_variants([a], [s])
    with pytest.raises(UsageError, match="got 2 shadows; an endpoint takes one"):
        check_variants([a], [s, t])
    with pytest.raises(UsageError, match="got 2 variants and a shadow; an endpoint with a shadow has one variant"):
        check_variants([a, b], [s])
    with pytest.raises(UsageError, match="variant 'A' is given twice"):
        check_variants([a], [a])
