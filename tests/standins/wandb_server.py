"""A stand-in for W&B's server on loopback: runs, sweeps, workspaces and reports, kept to be looked at; able to die.

It answers the operations that this project's use of W&B makes and no others: an unknown one gets ``errors``, as from
the real server, and is in ``unknown``, so that a test can fail on it.
"""

import itertools
import json
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "someone"
#: answers in the schema of W&B's server
Answer = dict[str, Any]


@dataclass
class Run:
    """What the server knows of one run.

    Args:
        variables: of its UpsertBucket operations, the later over the earlier ones.
        config: what was sent, as ``{key: value}``.
        history: the rows logged, in order.
        events: rows of system metrics.
        summary: the last value of each metric.
        exit_code: None until the run has ended.
        files: what was uploaded, by name.
        starts: how often a client began to write to it.
    """

    variables: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    starts: int = 0


class StandIn(ThreadingHTTPServer):
    """The server.

    Args:
        sweep_runs: what the agents of a sweep are told to run, an argument list each: ``{"optimizer.lr": 0.01}``.
    """

    daemon_threads = True

    def __init__(self, sweep_runs: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.operations: list[str] = []
        self.runs: dict[str, Run] = {}
        self.projects: set[str] = set()
        self.views: list[dict[str, Any]] = []
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.sweep_runs = list(sweep_runs)
        self.handed_out: dict[str, dict[str, Any]] = {}  # arguments by run id
        self.reported: list[dict[str, bool]] = []  # what agents said of their runs
        self.unknown: list[str] = []
        self.dead = False
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def history(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each run."""
        return {name: run.history for name, run in self.runs.items()}

    def environment(self) -> dict[str, str]:
        """The variables by which a process finds this server and has a key for it."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "a" * 40}

    def die(self) -> None:
        """Refuse every connection from now on, and cut those that are open."""
        self.dead = True
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no matter of the test's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, query: str, variables: dict[str, Any]) -> Answer:
        """Data or errors for one GraphQL operation."""
        words = query.replace("(", " ").replace("{", " ").split()
        operation = next(b for a, b in itertools.pairwise(words) if a in ("query", "mutation"))
        with self.lock:
            self.operations.append(operation)
            known = _OPERATIONS.get(operation.lower())
            if known is None:
                self.unknown.append(operation)
                return {"errors": [{"message": f"unknown operation {operation}"}]}
            return {"data": known(self, variables)}

    def stream(self, run: Run, sent: dict[str, Any]) -> None:
        """Rows, summary and end of a run."""
        files = sent.get("files") or {}
        for name, rows in (("wandb-history.jsonl", run.history), ("wandb-events.jsonl", run.events)):
            rows.extend(json.loads(line) for line in (files.get(name) or {}).get("content", []))
        for line in (files.get("wandb-summary.json") or {}).get("content", []):
            run.summary.update(json.loads(line))
        if sent.get("complete"):
            run.exit_code = sent.get("exitcode")

    def project_of(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("project") or variables.get("projectName") or "uncategorized"
        return {"id": f"project-{name}", "internalId": f"internal-{name}", "name": name, "entity": _entity()}


def _entity() -> Answer:
    return {"id": "entity", "name": ENTITY}


def _viewer(server: StandIn, variables: dict[str, Any]) -> Answer:
    viewer = {"id": "viewer", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}
    return {"viewer": viewer}


def _resume_status(server: StandIn, variables: dict[str, Any]) -> Answer:
    run = server.runs.get(variables["name"])
    known = run is not None and (run.starts > 0 or variables["name"] in server.handed_out)
    return {"model": {**server.project_of(variables), "bucket": _bucket(variables["name"], run) if known else None}}


def _bucket(name: str, run: Run | None) -> Answer:
    assert run is not None
    return {
        "id": f"run-{name}",
        "name": name,
        "displayName": run.variables.get("displayName"),
        "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": len(run.history),
        "eventsLineCount": len(run.events),
        "logLineCount": 0,
        "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
        "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
        "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
        "tags": run.variables.get("tags") or [],
        "notes": None,
        "wandbConfig": json.dumps({"t": 1} if run.starts else {}),
    }


def _upsert_run(server: StandIn, variables: dict[str, Any]) -> Answer:
    name = variables["name"]
    run = server.runs.setdefault(name, Run())
    inserted = run.starts == 0 and name not in server.handed_out
    run.starts += 1
    run.variables.update({key: value for key, value in variables.items() if value is not None})
    for key, value in json.loads(variables.get("config") or "{}").items():
        run.config[key] = value["value"] if isinstance(value, dict) and "value" in value else value
    project = server.project_of(variables)
    server.projects.add(project["name"])
    bucket = {
        "id": f"run-{name}",
        "name": name,
        "displayName": run.variables.get("displayName"),
        "description": None,
        "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
        "sweepName": run.variables.get("sweep"),
        "project": project,
        "historyLineCount": len(run.history),
    }
    return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}


def _create_files(server: StandIn, variables: dict[str, Any]) -> Answer:
    run = variables["run"]
    files = [{"name": name, "uploadUrl": f"{server.url}/upload/{run}/{name}"} for name in variables["files"]]
    return {"createRunFiles": {"runID": f"run-{run}", "uploadHeaders": [], "files": files}}


def _list_runs(server: StandIn, variables: dict[str, Any]) -> Answer:
    if variables["project"] not in server.projects:
        return {"project": None}
    wanted = json.loads(variables["filters"])
    assert set(wanted) == {"name"}, f"a filter that the stand-in does not understand: {wanted}"
    of_project = [n for n, run in server.runs.items() if run.variables.get("project") == variables["project"]]
    names = [name for name in of_project if name in wanted["name"]["$in"]]
    nodes = [
        {
            "id": f"run-{name}",
            "projectId": "1",
            "name": name,
            "displayName": server.runs[name].variables.get("displayName"),
            "tags": server.runs[name].variables.get("tags") or [],
            "state": "running" if server.runs[name].exit_code is None else "finished",
            "createdAt": "2025-01-01T00:00:00Z",
            "user": {"name": ENTITY, "username": ENTITY},
        }
        for name in names
    ]
    page = {
        "edges": [{"node": node, "cursor": node["name"]} for node in nodes],
        "pageInfo": {"endCursor": None, "hasNextPage": False},
    }
    project = {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": page}
    return {"project": project}


def _list_projects(server: StandIn, variables: dict[str, Any]) -> Answer:
    nodes = [
        {
            "__typename": "Project",
            "id": f"project-{name}",
            "name": name,
            "entityName": ENTITY,
            "createdAt": "2025-01-01T00:00:00Z",
            "isBenchmark": False,
            "user": None,
        }
        for name in sorted(server.projects)
    ]
    info = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
    return {"models": {"pageInfo": info, "edges": [{"node": node} for node in nodes]}}


def _upsert_view(server: StandIn, variables: dict[str, Any]) -> Answer:
    view = {key: value for key, value in variables.items() if value is not None}
    same = [each for each in server.views if each["id"] == view.get("id")]
    if same:
        same[0].update(view)
        view = same[0]
    else:
        view["id"] = f"view-{len(server.views)}"
        server.views.append(view)
    shown = {
        "id": view["id"],
        "type": view["type"],
        "name": view["name"],
        "displayName": view["displayName"],
        "description": view.get("description", ""),
        "project": {
            "id": f"project-{view['projectName']}",
            "name": view["projectName"],
            "entityName": view["entityName"],
        },
        "spec": view["spec"],
        "updatedAt": "2025-01-01T00:00:00Z",
    }
    return {"upsertView": {"view": shown, "inserted": not same}}


def _project_id(server: StandIn, variables: dict[str, Any]) -> Answer:
    project = server.project_of(variables)
    return {"project": project if project["name"] in server.projects else None}


def _upsert_sweep(server: StandIn, variables: dict[str, Any]) -> Answer:
    name = variables.get("id") or f"sweep{len(server.sweeps)}"
    server.sweeps.setdefault(name, {}).update(variables)
    sweep = {"name": name, "project": server.project_of(variables)}
    return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}


def _sweep_with_runs(server: StandIn, variables: dict[str, Any]) -> Answer:
    given = server.sweeps.get(variables["sweep"])
    if given is None:
        return {"project": {"sweep": None}}
    sweep = {"id": variables["sweep"], "name": variables["sweep"], "state": "RUNNING", "config": given["config"]}
    return {"project": {"sweep": {**sweep, "method": "random", "runs": {"edges": []}}}}


def _create_agent(server: StandIn, variables: dict[str, Any]) -> Answer:
    return {"createAgent": {"agent": {"id": f"agent-{variables['sweep']}"}}}


def _heartbeat(server: StandIn, variables: dict[str, Any]) -> Answer:
    """One run at a time; then the word to stop."""
    running = json.loads(variables["runState"] or "{}")
    server.reported.append(running)
    commands: list[dict[str, Any]] = []
    sweep = variables["id"].removeprefix("agent-")
    if not running:
        number = len(server.handed_out)
        if number < len(server.sweep_runs):
            name, arguments = f"agentrun{number}", {k: {"value": v} for k, v in server.sweep_runs[number].items()}
            server.handed_out[name] = server.sweep_runs[number]
            # The server has the run before the agent does, with the arguments in its config.
            server.runs[name] = Run({"sweep": sweep}, config=dict(server.sweep_runs[number]))
            program = _program(server.sweeps[sweep]["config"])
            commands = [{"type": "run", "run_id": name, "program": program, "args": arguments}]
        else:
            commands = [{"type": "exit"}]
    return {"agentHeartbeat": {"agent": {"id": variables["id"]}, "commands": json.dumps(commands)}}


def _program(config: str) -> str:
    """The programme of a sweep's YAML."""
    return next(line.partition(":")[2].strip() for line in config.splitlines() if line.startswith("program:"))


_OPERATIONS: dict[str, Callable[[StandIn, dict[str, Any]], Answer]] = {
    "viewer": _viewer,
    "getviewer": _viewer,
    "getdefaultentity": _viewer,
    "serverfeaturesquery": lambda server, variables: {"serverInfo": {"features": []}},
    "organizationcoreweaveorganizationid": lambda server, variables: {
        "entity": {"organization": {"coreWeaveOrganizationId": None}}
    },
    "runresumestatus": _resume_status,
    "upsertbucket": _upsert_run,
    "createrunfiles": _create_files,
    "runs": _list_runs,
    "getprojects": _list_projects,
    "upsertview2": _upsert_view,
    "upsertview": _upsert_view,
    "projectinternalid": _project_id,
    "upsertsweep": _upsert_sweep,
    "sweepwithruns": _sweep_with_runs,
    "createagent": _create_agent,
    "heartbeat": _heartbeat,
}


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({"ok": True})

    def do_PUT(self) -> None:
        body = self._body()
        if self.path.startswith("/upload/"):
            _, _, run, name = self.path.split("/", 3)
            with self.server.lock:
                self.server.runs[run].files[name] = body
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/graphql"):
            asked = json.loads(body)
            self._reply(self.server.answer(asked["query"], asked.get("variables") or {}))
            return
        if self.path.endswith("/file_stream"):
            with self.server.lock:
                self.server.stream(self.server.runs[self.path.split("/")[-2]], json.loads(body))
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
