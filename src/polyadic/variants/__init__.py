"""A/B tests of models: who gets which variant, what their answers cost, and which is better, at any look."""

from polyadic.variants.assignment import Assignment, Shares, read_custom_attributes
from polyadic.variants.bandit import ThompsonSampling
from polyadic.variants.comparison import Comparison, Plan, Verdict, compare_pairs, compare_split
from polyadic.variants.errors import VariantError
from polyadic.variants.joining import Actual, Answer, Joined, join, pairs
from polyadic.variants.mixtures import quantile_interval, rate_interval, running_sample_ratio, sample_ratio
from polyadic.variants.sequences import ConfidenceSequence, always_valid_p, asymptotic, empirical_bernstein

__all__ = [
    "Actual",
    "Answer",
    "Assignment",
    "Comparison",
    "ConfidenceSequence",
    "Joined",
    "Plan",
    "Shares",
    "ThompsonSampling",
    "VariantError",
    "Verdict",
    "always_valid_p",
    "asymptotic",
    "compare_pairs",
    "compare_split",
    "empirical_bernstein",
    "join",
    "pairs",
    "quantile_interval",
    "rate_interval",
    "read_custom_attributes",
    "running_sample_ratio",
    "sample_ratio",
]
