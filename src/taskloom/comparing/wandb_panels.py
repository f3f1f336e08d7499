"""The panels of a comparison in W&B: those of the local page, drawn by W&B from the runs that it has."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any, NamedTuple

Comparison = Mapping[str, Any]

SCORE = "val/score"
#: of cost against quality, beside the names that the runs give them in W&B
COSTS = {"rows_per_s": "training rows/s", "parameters": "parameters", "seconds": "seconds of training"}
#: groups, runs and bars to a panel; W&B shows no more than a hundred
MOST = 100
_MAINS = 3  # metrics that cost is drawn against; the page has all of them
_WIDE = {"x": 0, "y": 0, "w": 24, "h": 10}


class Panels(NamedTuple):
    """Panels under a heading.

    Args:
        name: the heading.
        panels: of ``wandb_workspaces.reports.v2``.
    """

    name: str
    panels: list[Any]


def sections(comparison: Comparison, groups: Collection[str]) -> list[Panels]:
    """All panels of a comparison, by section; a section without panels is left out.

    Runs are grouped by their group in W&B, which all seeds of a configuration share: lines are means with a band of
    one standard deviation, bars are means with standard errors.

    Args:
        comparison: see docs/compare.md.
        groups: the config groups that there are.
    """
    made = [
        Panels("Learning curves", _learning_curves(comparison)),
        Panels("Final scores", _final_scores(comparison)),
        Panels("Between tasks", _between_tasks(comparison)),
        Panels("Settings", _settings(comparison, groups)),
        Panels("Gradient conflict", _conflict(comparison)),
        Panels("Cost against quality", _cost(comparison)),
        Panels("Differences of configuration", _differences()),
    ]
    return [section for section in made if section.panels]


def main_metrics(comparison: Comparison) -> dict[str, bool]:
    """Each task's main metric as ``task/metric``, and whether higher is better."""
    return {name: bool(kind["higher_is_better"]) for name, kind in comparison["metrics"].items() if kind["main"]}


def config_key(key: str, groups: Collection[str]) -> str:
    """A setting's place in the config that W&B shows: the member of a group is under ``choices``.

    Example:
        >>> config_key("model", ["model", "data"]), config_key("optimizer.lr", ["model"])
        ('choices.model', 'optimizer.lr')
    """
    return f"choices.{key}" if key in groups else key


def _learning_curves(comparison: Comparison) -> list[Any]:
    known = dict.fromkeys(name for run in comparison["runs"] for name in run["curves"])
    mains = main_metrics(comparison)
    wanted = [(SCORE, "validation score"), ("train/loss", "training loss")]
    for name in mains:
        task, _, metric = name.partition("/")
        wanted += [(f"val/{name}", f"{task}: validation {metric}"), (f"train/{task}/loss", f"{task}: training loss")]
    return [_lines([name], title) for name, title in wanted if name in known]


def _final_scores(comparison: Comparison) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.BarPlot(
            title=f"{name} ({_better(higher)}), test rows",
            metrics=[f"test/{name}"],
            groupby="Group",
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_bars_to_show=MOST,
            max_runs_to_show=MOST,
        )
        for name, higher in main_metrics(comparison).items()
    ]


def _between_tasks(comparison: Comparison) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    mains = main_metrics(comparison)
    return [
        wr.ScatterPlot(
            title=f"{y} ({_better(mains[y])}) against {x} ({_better(mains[x])}), test rows",
            x=wr.SummaryMetric(f"test/{x}"),
            y=wr.SummaryMetric(f"test/{y}"),
        )
        for x, y in combinations(mains, 2)
    ]


def _settings(comparison: Comparison, groups: Collection[str]) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    mains = main_metrics(comparison)
    if not comparison["keys"] or not mains:
        return []
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.Config(config_key(key["key"], groups)), display_name=key["key"], log=key["log"] or None
        )
        for key in comparison["keys"]
    ]
    columns += [
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.SummaryMetric(f"test/{name}"), display_name=name, inverted=None if higher else True
        )
        for name, higher in mains.items()
    ]
    coordinates = wr.ParallelCoordinatesPlot(
        title="settings that differ, and what came of them", columns=columns, layout=wr.Layout(**_WIDE)
    )
    return [coordinates, *(wr.ParameterImportancePlot(with_respect_to=f"test/{name}") for name in mains)]


def _conflict(comparison: Comparison) -> list[Any]:
    known = dict.fromkeys(name for run in comparison["runs"] for name in run["curves"])
    named = [name for name in known if name.startswith("conflict/")]
    pairs = [name for name in named if "~" in name]
    share = [
        _lines([name], "share of pairs of tasks that pull against each other") for name in named if "~" not in name
    ]
    each = [_lines([name], f"cosine of the gradients of {' and '.join(name[9:].split('~'))}") for name in pairs]
    return [*each, *share]


def _cost(comparison: Comparison) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    known = [name for name in COSTS if any(point["cost"].get(name) is not None for point in comparison["points"])]
    return [
        wr.ScatterPlot(
            title=f"{metric} against {COSTS[cost]}",
            x=wr.SummaryMetric(f"cost/{cost}"),
            y=wr.SummaryMetric(f"test/{metric}"),
            log_x=True if cost == "parameters" else None,
        )
        for metric in list(main_metrics(comparison))[:_MAINS]
        for cost in known
    ]


def _differences() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.RunComparer(diff_only="split", layout=wr.Layout(**_WIDE))]


def _lines(names: list[Any], title: str) -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.LinePlot(
        title=title,
        x="epoch",
        y=names,
        groupby="Group",
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=MOST,
    )


def _better(higher: bool) -> str:
    return "higher is better" if higher else "lower is better"
