"""The costs in docs/models.md are those of the models; every backbone and kind of task has its line there."""

import inspect
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import members
import model_costs
from taskloom.config.heads import RUNTIME
from taskloom.heads import HEADS

PAGE = model_costs.PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_costs_of_every_member() -> None:
    made = model_costs.tables()
    for group, text in made.items():
        assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == members.names(group)
    assert model_costs.update(PAGE, made) == PAGE, "docs/models.md is out of date: python scripts/model_costs.py"


def test_costs_are_those_that_one_counts_by_hand() -> None:
    """Hard sharing over an mlp: 8 columns x 16, layers of 256 and 128, two towers of 64."""
    found = model_costs.cost(model_costs.build("hard_sharing", "mlp"))
    products = 128 * 256 + 256 * 128 + 2 * (128 * 64 + 64)
    assert found.network == products + 256 + 128 + 2 * (64 + 1)
    assert found.tables == 16 * sum(size for size, _ in model_costs.COLUMNS.values())
    assert found.flops == 2 * products


def test_histories_are_read() -> None:
    gru, fm = (model_costs.cost(model_costs.build("hard_sharing", name)).flops for name in ("gru", "fm"))
    assert 0 <= gru - fm - 2 * 6 * 16**2 * model_costs.LENGTH < 200


def test_attention_counts_whatever_kernel_runs_it() -> None:
    """One block of sasrec, of which the latest event alone is needed, as docs/models.md has it, and its layer."""
    sasrec, fm = (model_costs.cost(model_costs.build("hard_sharing", name)).flops for name in ("sasrec", "fm"))
    length, width = model_costs.LENGTH, 16
    block = 2 * length * width**2 + 2 * length * width + 4 * width**2
    assert 0 <= sasrec - fm - 2 * block < 200


def test_a_penalty_on_weights_is_no_rows_cost() -> None:
    sluice = model_costs.build("sluice", "mlp")
    once = model_costs.flops(sluice, 8) - 8 * model_costs.cost(sluice).flops
    assert once == 2 * 2 * (128 * 128 * 128 + 64 * 64 * 256)  # a pair of halves a task, for both layers


@pytest.mark.parametrize("name", members.names("backbone"))
def test_every_backbone_is_explained(name: str) -> None:
    (entry,) = re.findall(rf"^- \*\*`{name}`\*\*: (.*?)(?=^-|^#|\n\n)", PAGE, re.MULTILINE | re.DOTALL)
    words = " ".join(entry.split())
    for part in ("Choose it ", "Cost: ", *([] if name == "mlp" else ["Source: "])):
        assert part in words, part


def test_every_kind_of_task_is_explained() -> None:
    heads = PAGE.partition("\n## Heads\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", heads, re.MULTILINE)) == sorted(HEADS)
    assert set(re.findall(r"\*\*`(\w+)`\*\*", heads)) == set(HEADS)


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_the_options_of_a_kind_and_their_defaults_are_named(kind: str) -> None:
    """By the signature of its head; a default of None goes without saying."""
    (row,) = re.findall(rf"^\| `{kind}` \|(.*)\|$", PAGE, re.MULTILINE)
    own = inspect.signature(HEADS[kind].__init__).parameters.values()
    options = {p.name: p.default for p in own if p.kind is p.KEYWORD_ONLY and p.name not in RUNTIME}
    *_, cell = row.split(" | ")
    said = {part.split("`")[1]: part for part in cell.split(" · ") if "`" in part}
    assert set(said) == set(options)
    for name, default in options.items():
        if default is not None:
            shown = f"{default:g}" if isinstance(default, float) else str(default).lower()
            assert f"({shown.replace('(', '[').replace(')', ']')})" in said[name]


def test_the_cheapest_stands_first() -> None:
    costs = [("hard_sharing", model_costs.Cost(1, 2, 10)), ("b", model_costs.Cost(1, 2, 5))]
    lines = model_costs.table("model", costs).splitlines()
    assert lines[2:] == ["| `b` | 1 | 2 | 5 | 0.5 |", "| `hard_sharing` | 1 | 2 | 10 | 1.0 |"]
