"""What a client's process needs to know: the URL, keys that mean nothing, and the default bucket of SageMaker's SDK.

SDK v2 asks the real STS for the account whose default bucket it takes, whatever AWS_ENDPOINT_URL says; a settings file
of its own names the bucket instead, and turns its telemetry off.
"""

import os
import shlex
from pathlib import Path

from local_mode.front_door.resources import ACCOUNT, REGION

BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
SETTINGS_FILE = "sagemaker.yaml"
SETTINGS = f"""\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {BUCKET}
"""


def variables(settings: Path, url: str) -> dict[str, str]:
    """The environment variables by which a client finds the front door at a URL; settings: the SDK's file."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
    }


def url_of(host: str, port: int) -> str:
    """The URL of a host, which may be an address of IPv6, and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def environment(settings: Path, url: str) -> dict[str, str]:
    """The variables of this process, with those of the front door in place of any account's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return own | variables(settings, url)


def write(state: Path, url: str) -> Path:
    """Writes `environment`, which a shell may source, and the SDK's settings beside it; the first of the two."""
    settings = state / SETTINGS_FILE
    settings.write_text(SETTINGS)
    file = state / "environment"
    exports = (f"export {name}={shlex.quote(value)}\n" for name, value in variables(settings, url).items())
    file.write_text("".join(exports))
    return file
