"""Where MLflow keeps things: which store that is, and whether anybody is there. Cheap to import."""

import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from tune_audio.errors import SurroundingsError, UserError

SERVER_CHECK_SECONDS = 5.0
OR_ELSE = "unset it for ./mlflow.db, or go on with --no-mlflow"
# MLflow's page begins with its view for language models, unless its address says otherwise.
PAGE = "#/experiments?workflowType=machine_learning"


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, or else MLflow's own default, `mlflow.db` in the working directory."""
    path = str(Path.cwd() / "mlflow.db").replace("%", "%25").replace("?", "%3F")
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path}"


def how_to_look() -> tuple[str, str]:
    """What shows the store, a command where one is needed, and the address of its page."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("http"):
        return "MLflow", f"{without_password(uri).rstrip('/')}/{PAGE}"
    command = f"mlflow ui --backend-store-uri '{without_password(uri)}'" if uri else "mlflow ui"
    return command, f"http://127.0.0.1:5000/{PAGE}"


def check_uri(uri: str) -> None:
    """Raises UserError for what cannot be a store, SurroundingsError where no server answers."""
    scheme = uri.partition(":")[0] if ":" in uri else ""
    if scheme in ("", "file"):
        raise UserError(
            f"MLFLOW_TRACKING_URI: '{uri}' is a folder of files, which MLflow 3 no longer writes; "
            f"give sqlite:////…/mlflow.db or https://…, {OR_ELSE}"
        )
    if scheme not in ("http", "https"):
        return
    address = re.sub(r"//[^/@]*@", "//", uri).rstrip("/") + "/health"
    problem: str | BaseException | None = None
    try:
        urllib.request.urlopen(address, timeout=SERVER_CHECK_SECONDS).close()
    except urllib.error.HTTPError as error:  # 401 and 403 are answers, too: MLflow will log in
        problem = f"it answers {error.code}" if error.code >= 500 else None
    except urllib.error.URLError as error:
        # Which certificates to trust is told to MLflow by its own variables.
        problem = None if isinstance(error.reason, ssl.SSLError) else error.reason
    except (ValueError, http.client.InvalidURL) as error:
        raise UserError(
            f"MLFLOW_TRACKING_URI: got '{without_password(uri)}' ({error}); must be like "
            f"http://HOST:5000; or {OR_ELSE}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        problem = error
    if problem is not None:
        raise SurroundingsError(
            f"MLFLOW_TRACKING_URI: no MLflow server at {without_password(uri)} ({problem}); start "
            f"it (mlflow server), correct the address, {OR_ELSE}"
        )


def without_password(text: str) -> str:
    """The same text where no address in it says who logs in."""
    return re.sub(r"//[^/@\s]*@", "//***@", text)
