"""A comparison in W&B: a saved workspace and a report of its runs, made with the extra ``report``."""

import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from taskloom.comparing.answer import answer
from taskloom.comparing.wandb_panels import MOST, Panels, main_metrics, sections
from taskloom.errors import RunError
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_local import folders_to_sync, sync_command
from taskloom.tracking.wandb_mode import base_url, has_stored_key, no_long_tries, server_answers

Comparison = Mapping[str, Any]
_TITLE = 120  # W&B takes 128
_NOT_IN_NAMES = ("So", "Sk", "Sm", "Sc", "Cs")  # kinds of characters that W&B refuses in a workspace's name


class Known(NamedTuple):
    """A run of the comparison that W&B may have.

    Args:
        folder: its run folder.
        record: its run.json.
        id: its id in W&B.
        project: W&B's project that it is in, or will be.
        entity: the user or team; None where a run was offline, and takes the default of the key.
    """

    folder: Path
    record: Mapping[str, Any]
    id: str
    project: str
    entity: str | None


def publish(comparison: Comparison, entity: str | None = None, project: str | None = None) -> list[str]:
    """Makes a saved workspace and a report in W&B, and says where they are.

    Both show the comparison's own runs alone, grouped by configuration with the seeds as bands. A run that W&B does not
    have, because it was offline, is told with the command that sends it; what is published shows it once it is there.

    Args:
        comparison: see docs/compare.md.
        entity: the user or team; None takes that of the runs, else the default of the key.
        project: W&B's project; None takes that of the runs.

    Returns:
        The addresses of the workspace and of the report.

    Raises:
        RunError: wandb-workspaces, a key, the server or all of the runs are not there; the server refused.
    """
    _check_installed()
    runs = _in_wandb(comparison, project)
    _check_server()
    project = project or runs[0].project
    entity = entity or next((run.entity for run in runs if run.entity), None)
    try:
        entity = entity or _default_entity()
        missing = _missing(runs, entity, project)
    except Exception as error:
        raise RunError(_refused(error)) from None
    if missing:
        command = sync_command([_near(folder) for folder in folders_to_sync([(r.folder, r.record) for r in missing])])
        told = f"{len(missing)} of {len(runs)} runs are not in W&B's project {entity}/{project} yet"
        if len(missing) == len(runs):
            raise RunError(f"{told}: send them with `{command}`, then repeat this")
        print(f"{told}; `{command}` sends them, and the pages then show them", file=sys.stderr, flush=True)
    groups = {group for run in runs for group in run.record.get("choices") or {}}
    try:
        return _save(comparison, sections(comparison, groups), entity, project, [run.id for run in runs])
    except Exception as error:
        raise RunError(_refused(error)) from None


def _check_installed() -> None:
    try:
        import wandb_workspaces.reports.v2
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise RunError(
            f"wandb=true takes wandb-workspaces, which cannot be imported ({error}): install it with "
            "pip install 'taskloom[report]'"
        ) from None


def _in_wandb(comparison: Comparison, project: str | None) -> list[Known]:
    """The runs with an id in W&B, of one project.

    Raises:
        RunError: there are none, or several projects.
    """
    known = []
    for run in comparison["runs"]:
        folder = Path(run["folder"])
        try:
            record = RunFolder(folder).read()
        except RunError:  # deleted since the comparison was made
            continue
        wandb = record.get("wandb") or {}
        logger = ((record.get("config") or {}).get("logger") or {}).get("wandb") or {}
        if wandb.get("id"):
            place = (wandb.get("project") or logger.get("project"), wandb.get("entity") or logger.get("entity"))
            known.append(Known(folder, record, str(wandb["id"]), str(place[0]), place[1]))
    if not known:
        raise RunError(
            "none of the runs was kept for W&B (logger=none, or WANDB_MODE=disabled): train with logger=wandb"
        )
    projects = dict.fromkeys(run.project for run in known)
    if project is None and len(projects) > 1:
        raise RunError(
            f"the runs are in {len(projects)} projects of W&B ({', '.join(projects)}), and a workspace shows one: "
            "narrow them down with where=logger.wandb.project=<one>"
        )
    return known


def _check_server() -> None:
    if os.environ.get("WANDB_MODE", "").strip().lower() in ("offline", "dryrun", "disabled"):
        raise RunError(f"wandb=true takes W&B's server, and WANDB_MODE={os.environ['WANDB_MODE']} forbids it: unset it")
    if not has_stored_key():
        raise RunError("wandb=true takes a key of W&B: `wandb login` stores one, or set WANDB_API_KEY")
    if not server_answers(base_url()):
        raise RunError(f"W&B's server {base_url()} does not answer; the local page has the same panels")
    no_long_tries()


def _default_entity() -> str:
    import wandb

    found = wandb.Api().default_entity
    if not found:
        raise RunError("the key has no default entity; set logger.wandb.entity")
    return str(found)


def _missing(runs: Sequence[Known], entity: str, project: str) -> list[Known]:
    """The runs that the server does not have."""
    import wandb

    wanted = {"name": {"$in": [run.id for run in runs]}}
    try:
        there = {run.id for run in wandb.Api().runs(f"{entity}/{project}", filters=wanted, per_page=500)}
    except ValueError as error:
        if "Could not find project" not in str(error):
            raise
        there = set()  # nothing was ever sent to it
    return [run for run in runs if run.id not in there]


def _save(comparison: Comparison, made: list[Panels], entity: str, project: str, ids: Sequence[str]) -> list[str]:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    title = str(comparison["title"])[:_TITLE]
    only = [ws.Metric("ID").isin(list(ids))]
    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name="".join("-" if unicodedata.category(sign) in _NOT_IN_NAMES else sign for sign in title),
        sections=[ws.Section(name=each.name, panels=each.panels, is_open=True) for each in made],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=MOST),
        runset_settings=ws.RunsetSettings(
            filters=only,
            groupby=[ws.Metric("Group")],
            pinned_columns=[f"summary:test/{name}" for name in main_metrics(comparison)],
        ),
    )
    workspace.save()
    runs = wr.Runset(entity=entity, project=project, name=title, filters=only, groupby=["Group"])
    blocks: list[Any] = [wr.MarkdownBlock(text="\n".join(_text(comparison)))]
    for number, each in enumerate(made):
        grid = wr.PanelGrid(runsets=[runs], panels=each.panels, hide_run_sets=number < len(made) - 1)
        blocks += [wr.H1(text=each.name), grid]
    report = wr.Report(entity=entity, project=project, title=title, width="fluid", blocks=blocks)
    report.save()
    return [str(workspace.url), str(report.url)]


def _text(comparison: Comparison) -> list[str]:
    """What the numbers say, and the table: W&B itself has no paired tests."""
    mains = main_metrics(comparison)
    lines = [f"{sentence}\n" for sentence in answer(comparison)]
    if not comparison["points"]:
        return lines
    gains = any(point["delta_m"] for point in comparison["points"])
    head = ["configuration", "n", *(f"{name} {'↑' if up else '↓'}" for name, up in mains.items())]
    rows = [[*head, *(["Δm %"] if gains else [])]]
    rows.append(["---"] * len(rows[0]))
    for point in comparison["points"]:
        cells = [_cell(point["metrics"].get(name)) for name in mains]
        gain = point["delta_m"]
        extra = [_number(gain, 2, "+") if gain else "–"] if gains else []
        rows.append([point["label"].replace("|", "\\|"), str(point["seeds"]), *cells, *extra])
    lines += [f"| {' | '.join(row)} |" for row in rows]
    near = "≈ not told apart from the best by a t-test, paired where seeds are the same"
    return [*lines, "", f"Mean ± standard error over seeds; **best**; {near}."]


def _cell(score: Mapping[str, Any] | None) -> str:
    if not score or score["mean"] is None:
        return "–"
    shown = _number(score, 4)
    return f"**{shown}**" if score["best"] else f"≈ {shown}" if score["within_noise"] else shown


def _number(score: Mapping[str, Any], digits: int, sign: str = "") -> str:
    spread = f" ± {score['se']:.{digits}f}" if score["se"] is not None else ""
    return f"{score['mean']:{sign}.{digits}f}{spread}"


def _refused(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"W&B did not take the comparison ({type(error).__name__}: {lines[0][:200] if lines else 'no reason given'})"


def _near(path: Path) -> str:
    """As a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else os.fspath(path)
