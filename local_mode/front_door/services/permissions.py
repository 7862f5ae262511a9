"""What SDK v3 asks of IAM before it trains: on this machine every role exists, SageMaker may assume it, all is allowed.

moto knows the roles that were made and lacks SimulatePrincipalPolicy; a script names a role that AWS has.
"""

import json
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException
from moto.iam.models import iam_backends

from local_mode.front_door.resources import ACCOUNT

NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
ACTIONS = ("SimulatePrincipalPolicy", "GetRole")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def answer(body: bytes) -> str | None:
    """The answer to the body of a question about a role; None for what moto answers."""
    if not any(action.encode() in body for action in ACTIONS):
        return None
    asked = dict(parse_qsl(body.decode("utf-8", "replace")))
    if asked.get("Action") == "SimulatePrincipalPolicy":
        actions = [value for name, value in asked.items() if name.startswith("ActionNames.member.")]
        return _response("SimulatePrincipalPolicy", _allowed(actions))
    if asked.get("Action") == "GetRole" and not _is_made(asked.get("RoleName", "")):
        return _response("GetRole", _role(asked.get("RoleName", "")))
    return None


def _is_made(name: str) -> bool:
    try:
        iam_backends[ACCOUNT]["aws"].get_role(name)
    except ServiceException:
        return False
    return True


def _allowed(actions: list[str]) -> str:
    members = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        "<EvalDecision>allowed</EvalDecision></member>"
        for action in actions
    )
    return f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults>"


def _role(name: str) -> str:
    return (
        f"<Role><Path>/</Path><RoleName>{escape(name)}</RoleName><RoleId>AROA0000000000000000</RoleId>"
        f"<Arn>arn:aws:iam::{ACCOUNT}:role/{escape(name)}</Arn><CreateDate>2020-01-01T00:00:00Z</CreateDate>"
        f"<AssumeRolePolicyDocument>{escape(quote(json.dumps(TRUST)))}</AssumeRolePolicyDocument></Role>"
    )


def _response(action: str, result: str) -> str:
    return (
        f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></{action}Response>"
    )
