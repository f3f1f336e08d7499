"""Chains of tasks: who is whose parent, and what private networks on a chain read."""

from collections.abc import Sequence
from dataclasses import replace

from taskloom.errors import ConfigError
from taskloom.features.embedded import View
from taskloom.sharing.sharing import cut
from taskloom.tasks import Task


def places_of_parents(tasks: Sequence[Task]) -> list[int | None]:
    """Where the parent of each task stands among the tasks; None where it has none among them.

    Example:
        >>> places_of_parents([Task("buy", "binary", parent="click"), Task("click", "binary", parent="seen")])
        [1, None]
    """
    places = {task.name: k for k, task in enumerate(tasks)}
    return [None if task.parent is None else places.get(task.parent) for task in tasks]


def top_down(tasks: Sequence[Task], parents: Sequence[int | None]) -> list[int]:
    """The places of the tasks, each behind its parent's and else in their order.

    Args:
        tasks: the K tasks.
        parents: where the parent of each stands, or None.

    Raises:
        ConfigError: tasks that are one another's parents.

    Example:
        >>> top_down([Task("buy", "binary"), Task("click", "binary"), Task("stay", "binary")], [1, None, None])
        [1, 0, 2]
    """
    order: list[int] = []
    while left := [k for k in range(len(tasks)) if k not in order]:
        ready = [k for k in left if parents[k] is None or parents[k] in order]
        if not ready:
            names = ", ".join(tasks[k].name for k in left)
            raise ConfigError(f"data.tasks: {names} are one another's parents; set the parent of one of them to null")
        order.append(ready[0])
    return order


def check_chosen(tasks: Sequence[Task], child: Task, why: str) -> None:
    """Whether a task's parent is among the tasks.

    Args:
        tasks: the K tasks.
        child: one of them, with a parent.
        why: what the scheme wants the parent for, the beginning of the message.

    Raises:
        ConfigError: it is not.
    """
    names = [task.name for task in tasks]
    if child.parent not in names:
        raise ConfigError(
            f"model: {why}, and {child.parent} is not among the tasks {', '.join(names)}: add it, as in "
            f"tasks=[{','.join([str(child.parent), *names])}], or set data.tasks.{child.name}.parent=null"
        )


def cut_view(view: View) -> View:
    """The same view as nodes of their own, for private networks that read it beside shared ones (see Shared)."""
    return replace(view, fields=cut(view.fields), history=None if view.history is None else cut(view.history))
