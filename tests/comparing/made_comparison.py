"""Comparisons made up for the tests of the page: a small one as a sweep leaves it, and a large search."""

import math
import random
import statistics
from itertools import product
from typing import Any

SMALL = {"like/auc": ("like", "auc", True, True), "rating/rmse": ("rating", "rmse", False, True)}
SMALL |= {
    "like/log_loss": ("like", "log_loss", False, False),
    "rating/mae": ("rating", "mae", False, False),
    "val/score": ("val", "score", True, False),
}


def small_comparison() -> dict[str, Any]:
    """3 models x 2 backbones x 3 seeds on two tasks, 20 epochs, one failed run, two floors."""
    draw = random.Random(0)
    made = Maker("model × backbone on movielens_100k", SMALL)
    gains = {"single_task": (0.0, 0.0), "hard_sharing": (0.0056, 0.011), "soft_sharing": (0.0062, 0.007)}
    for model, backbone in product(gains, ("mlp", "fm")):
        point = made.point(f"{model} · {backbone}", {"model": model, "backbone": backbone}, model == "single_task")
        for seed in (1, 2, 3):
            if (model, backbone, seed) == ("hard_sharing", "mlp", 3):
                made.run(point, seed, reason="the loss is not a number at step 412; try a smaller optimizer.lr")
                continue
            deeper = 0.003 if backbone == "fm" else 0.0
            quality = gains[model][0] + deeper + draw.gauss(0, 0.0009)
            test = {
                "like/auc": 0.7935 + quality,
                "rating/rmse": 0.9395 - gains[model][1] - deeper + draw.gauss(0, 0.0012),
                "like/log_loss": 0.5491 - quality,
                "rating/mae": 0.7391 - quality,
            }
            conflict = None if model == "single_task" else 0.25
            made.run(point, seed, test=test, curves=curves(draw, test, made.metrics, conflict=conflict))
    made.floors = {
        "constant": {"like/auc": 0.5, "rating/rmse": 1.1161},
        "mean of user and item": {"like/auc": 0.7791, "rating/rmse": 0.9442, "like/log_loss": 0.5634},
    }
    made.importance = {
        "like/auc": [{"key": "model", "share": 0.71, "se": 0.06}, {"key": "backbone", "share": 0.29, "se": 0.05}],
        "rating/rmse": [],
    }
    made.notes = ["1 run of another data set was left out: logs/train/runs/2026-11-20_10-11-12"]
    return made.comparison()


def large_comparison(points: int = 50) -> dict[str, Any]:
    """A search of 100 runs: 50 points of 2 seeds, 5 tasks, numeric hyper-parameters, no baseline."""
    draw = random.Random(1)
    tasks = ("click", "like", "share", "dwell", "purchase")
    metrics: dict[str, tuple[str, str, bool, bool]] = {}
    for task in tasks:
        name, up = ("rmse", False) if task == "dwell" else ("auc", True)
        metrics[f"{task}/{name}"] = (task, name, up, True)
        metrics[f"{task}/{'mae' if task == 'dwell' else 'log_loss'}"] = (
            task,
            "mae" if task == "dwell" else "log_loss",
            False,
            False,
        )
    metrics["val/score"] = ("val", "score", True, False)
    made = Maker("search of mmoe and ple on kuairand", metrics)
    for number in range(points):
        settings = {
            "model": draw.choice(("mmoe", "ple")),
            "optimizer.lr": float(f"{10 ** draw.uniform(-4.5, -1.5):.3g}"),
            "model.experts": draw.choice((2, 4, 8, 16)),
            "backbone.dropout": round(draw.uniform(0, 0.5), 2),
            "balancer": draw.choice(("equal", "uncertainty", "gradnorm")),
        }
        label = f"{settings['model']} · {settings['balancer']} · lr={settings['optimizer.lr']:g} · #{number}"
        point = made.point(label, settings, False)
        quality = -0.012 * (math.log10(settings["optimizer.lr"]) + 3) ** 2 + 0.002 * math.log2(
            settings["model.experts"]
        )
        for seed in (1, 2):
            test = {}
            for i, (metric, (_, _, up, _)) in enumerate(metrics.items()):
                if metric == "val/score":
                    continue
                trade = 0.004 * (i - 4) * (settings["balancer"] == "gradnorm")
                value = quality + trade + draw.gauss(0, 0.002)
                test[metric] = (0.70 + 0.02 * i + value) if up else (0.9 - value)
            made.run(point, seed, test=test, curves=curves(draw, test, made.metrics, conflict=0.1))
    for metric in [name for name, kind in metrics.items() if kind[3]]:
        made.importance[metric] = [
            {"key": "optimizer.lr", "share": 0.62, "se": 0.05},
            {"key": "model.experts", "share": 0.2, "se": 0.04},
            {"key": "balancer", "share": 0.1, "se": 0.03},
            {"key": "backbone.dropout", "share": 0.05, "se": 0.03},
            {"key": "model", "share": 0.03, "se": 0.02},
        ]
    made.floors = {"constant": {f"{task}/auc": 0.5 for task in tasks if task != "dwell"}}
    return made.comparison()


def curves(draw: random.Random, test: dict, metrics: dict, conflict: float | None, epochs: int = 20) -> dict:
    """What a run logs at each epoch: a curve that comes to its test value, with noise on the way."""
    names: dict[str, list] = {"train/loss": [], "val/score": []}
    for epoch in range(1, epochs + 1):
        left = math.exp(-epoch / 3.5)
        for metric, value in test.items():
            worse = -0.12 if metrics[metric]["higher_is_better"] else 0.12
            names.setdefault(f"val/{metric}", []).append([epoch, value + worse * left + draw.gauss(0, 0.0008)])
        for task in {kind["task"] for kind in metrics.values()} - {"val"}:
            names.setdefault(f"train/{task}/loss", []).append([epoch, 0.5 + 0.3 * left + draw.gauss(0, 0.002)])
        names["train/loss"].append([epoch, 1.0 + 0.6 * left + draw.gauss(0, 0.003)])
        names["val/score"].append([epoch, 0.14 - 0.08 * left + draw.gauss(0, 0.001)])
        if conflict is not None:
            tasks = sorted({kind["task"] for kind in metrics.values()} - {"val"})
            for i, one in enumerate(tasks):
                for other in tasks[i + 1 :]:
                    cosine = conflict * (1.4 * left - 0.2) + draw.gauss(0, 0.03)
                    names.setdefault(f"conflict/{one}~{other}", []).append([epoch, cosine])
            names.setdefault("conflict/share", []).append([epoch, 0.35 - 0.2 * left + draw.gauss(0, 0.02)])
    return names


class Maker:
    """Puts runs into points, and the statistics that the page shows beside them."""

    def __init__(self, title: str, metrics: dict[str, tuple[str, str, bool, bool]]) -> None:
        self.title = title
        self.metrics = {
            name: {"task": task, "metric": metric, "higher_is_better": up, "main": main}
            for name, (task, metric, up, main) in metrics.items()
        }
        self.runs: list[dict] = []
        self.points: list[dict] = []
        self.floors: dict[str, dict] = {}
        self.importance: dict[str, list] = {}
        self.notes: list[str] = []

    def point(self, label: str, settings: dict, baseline: bool) -> dict:
        made = {
            "id": len(self.points),
            "label": label,
            "settings": settings,
            "baseline": baseline,
            "runs": [],
            "data": "made",
        }
        self.points.append(made)
        return made

    def run(
        self, point: dict, seed: int, test: dict | None = None, curves: dict | None = None, reason: str = ""
    ) -> None:
        number = len(self.runs)
        name = "_".join(f"{key.split('.')[-1]}-{value}" for key, value in {**point["settings"], "seed": seed}.items())
        values = {f"{key}": value[-1][1] for key, value in (curves or {}).items() if key.startswith("val/")}
        done = test is not None
        wide = 1 + 0.3 * len(str(point["settings"]))
        self.runs.append(
            {
                "id": number,
                "folder": f"logs/train/multiruns/models/{name}",
                "state": "done" if done else "failed",
                "reason": reason or None,
                "point": point["id"],
                "seed": seed,
                "name": name,
                "tags": ["paper"] if seed == 1 else [],
                "created": f"2026-11-21T20:{number % 60:02d}:00+00:00",
                "settings": {**point["settings"], "seed": seed},
                "test": test or {},
                "val": {key.removeprefix("val/"): value for key, value in values.items()},
                "rows_per_s": 90000 / wide + 211 * seed if done else None,
                "seconds": 3.1 * wide + 0.4 * seed if done else None,
                "parameters": int(8000 * wide) if done else None,
                "peak_memory_mb": None,
                "wandb": f"https://wandb.ai/lab/taskloom/runs/r{number}" if number % 2 else None,
                "curves": curves or {},
            }
        )
        point["runs"].append(number)

    def comparison(self) -> dict[str, Any]:
        for point in self.points:
            runs = [self.runs[i] for i in point["runs"]]
            done = [run for run in runs if run["state"] == "done"]
            point |= {"seeds": len(done), "failed": len(runs) - len(done), "metrics": {}, "delta_m": None, "front": {}}
            for metric in self.metrics:
                values = [run["val"]["score"] if metric == "val/score" else run["test"][metric] for run in done]
                std = statistics.stdev(values)
                point["metrics"][metric] = {"mean": statistics.mean(values), "se": std / len(values) ** 0.5, "std": std}
                point["metrics"][metric] |= {"n": len(values), "values": values, "p": None, "delta": None}
            point["cost"] = {
                key: statistics.mean(run[key] for run in done) if done and done[0][key] is not None else None
                for key in ("rows_per_s", "seconds", "parameters", "peak_memory_mb")
            }
        self._judge()
        keys = {key: [point["settings"][key] for point in self.points] for key in self.points[0]["settings"]}
        return {
            "created": "2026-11-22T00:10:00+00:00",
            "title": self.title,
            "data": ["made"],
            "shown": [name for name, kind in self.metrics.items() if kind["main"] or name == "val/score"],
            "baseline": "single_task",
            "importance_method": "by a forest of trees",
            "runs": self.runs,
            "points": self.points,
            "floors": [
                {
                    "name": name,
                    "data": "made",
                    "metrics": {key: {"mean": value, "n": 3} for key, value in values.items()},
                }
                for name, values in self.floors.items()
            ],
            "metrics": self.metrics,
            "keys": [self._key(key, values) for key, values in keys.items()],
            "importance": self.importance,
            "fronts": self._fronts(),
            "notes": self.notes,
        }

    def _judge(self) -> None:
        baseline = next((point for point in self.points if point["baseline"]), None)
        for metric, kind in self.metrics.items():
            sign = 1 if kind["higher_is_better"] else -1
            best = max(self.points, key=lambda point: sign * point["metrics"][metric]["mean"])["metrics"][metric]
            for point in self.points:
                own = point["metrics"][metric]
                gap = abs(best["mean"] - own["mean"]) / ((best["se"] ** 2 + own["se"] ** 2) ** 0.5)
                own |= {"best": own is best, "within_noise": own is not best and gap < 2, "compared": own is not best}
                own["p"] = None if own is best else math.erfc(gap / 2**0.5)
                if baseline and not point["baseline"] and metric != "val/score":
                    base = baseline["metrics"][metric]["mean"]
                    own["delta"] = sign * (own["mean"] - base) / abs(base) * 100
        for point in self.points:
            gains = [own["delta"] for name, own in point["metrics"].items() if self.metrics[name]["main"]]
            if None not in gains:
                point["delta_m"] = {"mean": statistics.mean(gains), "se": 0.06, "n": point["seeds"]}

    def _fronts(self) -> list[dict]:
        found = []
        mains = [name for name, kind in self.metrics.items() if kind["main"]]
        for i, x in enumerate(mains):
            for y in mains[i + 1 :]:
                signs = [1 if self.metrics[name]["higher_is_better"] else -1 for name in (x, y)]
                at = {
                    point["id"]: tuple(
                        sign * point["metrics"][name]["mean"] for sign, name in zip(signs, (x, y), strict=True)
                    )
                    for point in self.points
                }
                front = [
                    own
                    for own, here in at.items()
                    if not any(there != here and there[0] >= here[0] and there[1] >= here[1] for there in at.values())
                ]
                for point in self.points:
                    point["front"][f"{x}|{y}"] = point["id"] in front
                found.append({"x": x, "y": y, "data": "made", "points": front})
        return found

    @staticmethod
    def _key(key: str, values: list) -> dict:
        kinds = {type(value) for value in values}
        number = kinds <= {int, float}
        return {
            "key": key,
            "kind": "number" if number else "category",
            "log": key == "optimizer.lr",
            "values": sorted(set(values), key=None if number else str),
        }
