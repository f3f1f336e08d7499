"""A stand-in for W&B's server on loopback: enough of it to carry an online run, and able to die."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

RUN = {
    "id": "UnVuOjE=",
    "name": "run",
    "displayName": "run",
    "historyLineCount": 0,
    "project": {"id": "UDox", "name": "taskloom", "entity": {"id": "RTox", "name": "someone"}},
}


class StandIn(ThreadingHTTPServer):
    """Answers the operations of an online run, keeps what was sent and reports what it doesn't know."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.operations: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.unknown: list[str] = []
        self.dead = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def die(self) -> None:
        """Refuse every connection from now on, and cut those that are open."""
        self.dead = True
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no matter of the test's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        operation = query.replace("(", " ").split()[1]
        self.operations.append(operation)
        match operation:
            case "Viewer":
                viewer = {"id": "VToxx", "entity": "someone", "username": "someone", "flags": "{}"}
                return {"data": {"viewer": {**viewer, "teams": {"edges": []}}}}
            case "ServerFeaturesQuery":
                return {"data": {"serverInfo": {"features": []}}}
            case "RunResumeStatus":
                return {
                    "data": {
                        "model": {
                            "id": "UDox",
                            "name": "taskloom",
                            "entity": RUN["project"]["entity"],
                            "bucket": None,
                        }
                    }
                }
            case "UpsertBucket":
                self.runs.append(variables)
                return {"data": {"upsertBucket": {"bucket": {**RUN, "name": variables.get("name")}, "inserted": True}}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
                return {"data": {"createRunFiles": {"runID": RUN["id"], "uploadHeaders": [], "files": files}}}
            case "OrganizationCoreWeaveOrganizationID":
                return {"data": {"entity": {"organization": {"coreWeaveOrganizationId": None}}}}
        self.unknown.append(operation)
        return {"errors": [{"message": f"unknown operation {operation}"}]}


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({"ok": True})

    def do_PUT(self) -> None:
        self._body()
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/graphql"):
            asked = json.loads(body)
            self._reply(self.server.answer(asked["query"], asked.get("variables") or {}))
            return
        if self.path.endswith("/file_stream"):
            sent = json.loads(body)
            lines = sent.get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
            run = self.path.split("/")[-2]
            self.server.history.setdefault(run, []).extend(json.loads(line) for line in lines)
        self._reply({})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reply(self, value: dict[str, Any]) -> None:
        if self.server.dead:
            self.close_connection = True
            return
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def wandb_server() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    if not server.dead:
        server.die()


@pytest.fixture(autouse=True)
def _no_wandb_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the key nor the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home))
