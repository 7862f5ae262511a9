"""What a request to an endpoint may go to: variants by weight, and the instances of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from local_mode.front_door.runtime.faults import unavailable, validation_error
from local_mode.front_door.runtime.many_models import ManyModels


@dataclass(eq=False)
class Instance:
    """A server of a variant.

    waiting: the requests that it has and has not answered. busy_until: the latest moment, of time.monotonic, until
    which one of them may take. models: of a MultiModel one.
    """

    url: str
    waiting: int = 0
    busy_until: float = 0.0
    models: ManyModels | None = None


@dataclass(frozen=True)
class VariantRoute:
    """A variant's share of the requests, and the instances that are up."""

    name: str
    weight: float
    instances: Sequence[Instance]
    many_models: bool = False


@dataclass(frozen=True)
class CaptureSettings:
    """DataCaptureConfig: which requests are written down, where, and what of them; encodings: by content types."""

    bucket: str
    prefix: str
    percentage: float
    input: bool
    output: bool
    encodings: dict[str, str]


@dataclass(frozen=True)
class AsyncSettings:
    """AsyncInferenceConfig: where answers and failures go, as (bucket, prefix); concurrent: requests of an instance."""

    output: tuple[str, str] | None
    failure: tuple[str, str] | None
    concurrent: int


@dataclass(frozen=True)
class Route:
    """An endpoint's route; it is replaced as a whole, never changed.

    shadow_share: of the requests, copied to the shadow. next, share: the route that the endpoint moves to, and the
    share of the requests that it has already.
    """

    variants: Sequence[VariantRoute]
    shadow: VariantRoute | None = None
    shadow_share: float = 0.0
    capture: CaptureSettings | None = None
    asynchronous: AsyncSettings | None = None
    next: "Route | None" = None
    share: float = 0.0


@dataclass(frozen=True)
class Choice:
    """Draws of variants and instances."""

    random: Random

    def side(self, route: Route, wanted: str | None = None) -> Route:
        """The route of a request while an endpoint moves to another fleet: one that has the variant asked for."""
        if route.next is None:
            return route
        sides = [route.next, route] if self.one_of(route.share) else [route, route.next]
        having = (each for each in sides if wanted in [None, *(variant.name for variant in each.variants)])
        return next(having, sides[0])

    def variant(self, endpoint: str, route: Route, wanted: str | None) -> VariantRoute:
        """The variant that was asked for, or one by the weights; RuntimeFault where there is none."""
        if wanted is not None:
            for variant in route.variants:
                if variant.name == wanted:
                    return variant
            names = ", ".join(variant.name for variant in route.variants)
            raise validation_error(f"Variant {wanted} of endpoint {endpoint} not found; it has {names}.")
        weights = [variant.weight for variant in route.variants]
        if not sum(weights):
            raise validation_error(f"Every variant of endpoint {endpoint} has weight 0: name a TargetVariant.")
        return self.random.choices(route.variants, weights)[0]

    def one_of(self, share: float) -> bool:
        """Whether a request is one of a share of all."""
        return share >= 1 or self.random.random() < share

    def instance(self, endpoint: str, variant: VariantRoute, model: str | None = None) -> Instance:
        """The instance with the least to do, before others one that holds the model; RuntimeFault without any."""
        if not variant.instances:
            raise unavailable(endpoint, variant.name)
        holding = [each for each in variant.instances if model and each.models and each.models.holds(model)]
        least = min(each.waiting for each in holding or variant.instances)
        return self.random.choice([each for each in holding or variant.instances if each.waiting == least])


def check_target_model(endpoint: str, variant: VariantRoute, model: str | None) -> None:
    """Raises RuntimeFault where a model is named and the variant has but one, or the reverse."""
    if variant.many_models and model is None:
        raise validation_error(f"Endpoint {endpoint} has many models: name one as TargetModel.")
    if model is not None and not variant.many_models:
        raise validation_error(f"Endpoint {endpoint} has one model: TargetModel {model} cannot be asked for.")
