"""Forms that a browser sends: their fields, and the changes of traffic that they ask for."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from aiohttp import web

from local_mode.front_door.page import actions
from local_mode.front_door.page.actions import Change
from local_mode.front_door.page.endpoints import EndpointView

MAX_FORM_BYTES, MAX_FIELDS = 1 << 20, 4_096
Form = Mapping[str, list[str]]


class Refused(Exception):
    """A request that is not done; status: HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def read_form(request: web.Request) -> Form:
    """The fields of a form."""
    body = b""
    async for chunk in request.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise Refused(413, f"a form has {MAX_FORM_BYTES} bytes at most")
    try:
        return parse_qs(body.decode(), max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Refused(400, f"the form cannot be read: {error}") from None


def first(form: Form, name: str) -> str:
    """The first value of a field without spaces around it; empty where there is none."""
    return form.get(name, [""])[0].strip()


def change_of(action: str, endpoint: EndpointView, form: Form) -> Change:
    """What a form asks for; the names are those of the endpoint, as they become a command's arguments."""
    variants = [variant.name for variant in endpoint.production]
    if action == "rollback":
        return actions.rollback(endpoint.name)
    if action == "split":
        weights = {name: weight for name in variants if (weight := first(form, f"weight.{name}"))}
        if not weights:
            raise Refused(400, "give at least one variant a weight")
        return actions.split(endpoint.name, weights)
    variant = first(form, "variant")
    if variant not in variants:
        raise Refused(400, f"endpoint {endpoint.name} has no variant {variant}")
    return actions.promote(endpoint.name, variant, first(form, "reason"))
