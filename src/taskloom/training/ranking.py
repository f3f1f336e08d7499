"""Whole-catalogue ranking after the test: does the model find what each user chose next?"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from taskloom.data.datamodule import DataModule
from taskloom.data.loader import ColumnLoader, Extras
from taskloom.distributed import objects_at_first, rank, world_size
from taskloom.metrics.ranking import ranking_metrics, ranks
from taskloom.module import MultiTaskModule
from taskloom.schema import Batch, concatenate
from taskloom.tasks import Task

PAIRS = 65_536  # of a user and an item, scored at once


class CatalogueRanking:
    """Each test user's row against every item of training.

    A user is asked once, in the state (context, history) of the earliest of their positive test rows (the first in
    the order of the source among those of one moment), so that no history tells what is to be found: the items of all
    of their positive test rows. Candidates are the items that
    training saw by then, less those of the user's own training rows.

    Args:
        data: set up; its ``ranking`` says of which task, at which cut-offs, and how many users.
        part: test, or a further test set.
    """

    def __init__(self, data: DataModule, part: str = "test") -> None:
        assert data.ranking is not None
        self.spec, self.data = data.ranking, data
        self.catalogue, self.pairs = data.store.catalogue(), data.store.pairs()
        columns = data.store.split(part)
        target = columns.targets[:, data.schema.columns_of(self._task)[0]]
        positive = (target == 1).nonzero().squeeze(1)
        users, place = columns.group[positive].unique(return_inverse=True)
        # Events are sorted by user and time, so that a user's earlier row has fewer of them behind it.
        assert columns.reach is not None
        when = (columns.reach if columns.history is None else columns.history)[positive, 1].long()
        by_time = torch.from_numpy(np.lexsort((positive.numpy(), when.numpy())))
        earliest = torch.full((len(users),), len(positive)).scatter_reduce(
            0, place[by_time], torch.arange(len(positive)), "amin"
        )
        first = positive[by_time[earliest]]
        chosen = torch.arange(len(users))
        if self.spec.users is not None and len(users) > self.spec.users:
            shuffled = torch.randperm(len(users), generator=torch.Generator().manual_seed(self.spec.seed))
            chosen = shuffled[: self.spec.users].sort().values
        item = self._item_places(columns.categorical[positive])
        order = place.argsort(stable=True)
        wanted = item[order].split(place.bincount(minlength=len(users)).tolist())
        self.users = users[chosen]
        self.wanted = [wanted[int(user)] for user in chosen]
        rows = columns.select(first[chosen])
        assert rows.reach is not None
        self.known_by_then = rows.reach[:, 0]
        plain = replace(rows, drawn=None, reach=None)
        extras = Extras(data.store.events(), None, data.prior)
        loader = ColumnLoader(plain, data.task_columns, max(1, len(plain)), extras=extras)
        self.rows: Batch = concatenate(list(loader))

    @property
    def _task(self) -> Task:
        return next(task for task in self.data.tasks if task.name == self.spec.task)

    def _item_places(self, categorical: Tensor) -> Tensor:
        """The place in the catalogue of each row's item; -1 for one that training never saw."""
        names = [feature.name for feature in self.data.schema.of_kind("categorical")]
        column = names.index(self.data.store.meta["negatives"]["item"])
        known = self.catalogue.categorical[:, column].long()
        table = torch.full((self.data.schema.of_kind("categorical")[column].size,), -1)
        table[known] = torch.arange(len(known))
        return table[categorical[:, column].long()]

    def of_model(self, module: MultiTaskModule) -> dict[str, float] | None:
        """The metrics of a model, keyed ``task/metric``; several ranks share the users. None on ranks but the first."""
        k = [task.name for task in self.data.tasks].index(self.spec.task)
        device, was = module.device, module.training
        module.eval()
        together = max(1, PAIRS // len(self.catalogue))
        users, world = len(self.users), world_size()
        # Equally many on each rank, some twice: a layer may need all ranks for its answer.
        mine = torch.arange(rank(), -(-users // world) * world, world) % max(1, users)
        found: dict[int, Tensor] = {}
        with torch.inference_mode():
            for chosen in mine.split(together):
                filled = torch.empty(len(chosen), len(self.catalogue))
                some = self.rows.select(chosen)
                for which, items, batch in self.catalogue.score_batches(some, PAIRS, self.data.prior):
                    predicted = module.predict(batch.to(device))[k].float().cpu()
                    filled[which, items] = predicted.view(which.stop - which.start, -1)
                found |= zip(chosen.tolist(), self._ranks(filled, chosen), strict=True)
        module.train(was)
        shares = objects_at_first(found)
        if shares is None:
            return None
        whole = {user: places for share in shares for user, places in share.items()}
        return self._metrics([whole[user] for user in range(users)])

    def of_popularity(self) -> dict[str, float]:
        """The metrics of recommending to everybody what most training rows have: the floor of a ranking."""
        popularity = self.data.store.popularity().long().bincount(minlength=len(self.catalogue)).float()
        users = torch.arange(len(self.users))
        return self._metrics(self._ranks(popularity.expand(len(users), -1), users))

    def _ranks(self, scores: Tensor, users: Tensor) -> list[Tensor]:
        """The ranks of the wanted items of some users, whose scores (U, I) these are."""
        found = []
        for user, row in zip(users.tolist(), scores, strict=True):
            candidate = torch.arange(len(row)) < self.known_by_then[user]
            candidate[self.pairs.of(int(self.users[user]))] = False
            wanted = self._candidates(user, candidate)
            found.append(ranks(row, wanted, candidate, seed=self.spec.seed))
        return found

    def _candidates(self, user: int, candidate: Tensor) -> Tensor:
        wanted = self.wanted[user].unique()
        wanted = wanted[wanted >= 0]
        return wanted[candidate[wanted]]

    def _metrics(self, found: list[Tensor]) -> dict[str, float]:
        total = [len(wanted[wanted >= 0].unique()) + int((wanted < 0).sum()) for wanted in self.wanted]
        missed = [n - len(rank) for n, rank in zip(total, found, strict=True)]
        values = ranking_metrics(found, missed, self.spec.at)
        values["rankable"] = 1 - sum(missed) / max(1, sum(total))
        return {f"{self.spec.task}/{name}": value for name, value in values.items()}
