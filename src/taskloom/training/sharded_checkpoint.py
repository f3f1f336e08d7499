"""Checkpoints of sharded tensors: a small file as ever, and a folder beside it to which each rank writes its rows."""

import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from taskloom.atomic import file_beside
from taskloom.distributed import from_first, rank
from taskloom.errors import RunError

Content = dict[str, Any]
#: where a small file names the folder of each tensor that is not in it, by the tensor's place, such as
#: ``state_dict/features.tables.0.weight``
SHARDS = "shards"
_FOLDER = "shards-"


def save_shards(content: Mapping[str, Any], path: Path) -> None:
    """Writes a checkpoint, shards and small file; every rank must call it.

    Args:
        content: as for ``write_shards``.
        path: of the small file.
    """
    small = write_shards(content, path)
    if rank() == 0:
        with file_beside(path) as beside:
            torch.save(small, beside)
        remove_old_shards(path.parent)


def write_shards(content: Mapping[str, Any], path: Path | str) -> Content:
    """Writes the ``DTensor`` of a checkpoint into a new folder beside it, in ``torch.distributed.checkpoint``'s format.

    Every rank must call it. The folder is complete when it returns, and belongs to no checkpoint until the small file
    is in place: a process that is killed before leaves the former checkpoint as it was.

    Args:
        content: nested dictionaries and lists; under ``shards`` what an earlier one wrote and this one keeps.
        path: of the small file; its folder counts.

    Returns:
        The content without those tensors, for the small file.

    Raises:
        RunError: the disk takes them not.
    """
    found = dict(_sharded(content))
    folders = dict(content.get(SHARDS, {}))
    if found:
        # One name for all ranks, that nothing has which a killed process left behind.
        name = from_first(_FOLDER + uuid.uuid4().hex[:8])
        folder = Path(path).parent / name
        try:
            with _quiet():
                dcp.save(found, storage_writer=dcp.FileSystemWriter(folder))  # flushes to the disk
        except CheckpointException as error:
            why = "; ".join(dict.fromkeys(str(failure[0]) for failure in error.failures.values()))
            raise RunError(
                f"{folder}: a checkpoint's shards cannot be written ({why}); the one before it is as it was: "
                "make room or mend the disk, then resume the run"
            ) from None
        folders |= dict.fromkeys(found, name)
    small: Content = _without(content)
    return {**small, SHARDS: folders} if folders else small


def remove_old_shards(folder: Path) -> None:
    """Removes shards that no checkpoint of a folder names any more; for one rank, when its small file is in place."""
    there = [path for path in folder.glob(_FOLDER + "*") if path.is_dir()]
    if there:
        files = [torch.load(path, map_location="cpu", weights_only=True) for path in folder.glob("*.ckpt")]
        named = {name for content in files for name in content.get(SHARDS, {}).values()}
        for path in there:
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)


def load_state(module: nn.Module, content: Mapping[str, Any], path: Path | str) -> None:
    """Gives a module a checkpoint's weights: each rank reads its own rows, on any number of ranks.

    Args:
        module: its sharded parameters are filled in place.
        content: of the small file.
        path: of the small file.

    Raises:
        RuntimeError: the weights are not those of such a module.
    """
    state, prefix = module.state_dict(), "state_dict/"
    places = {place: name for place, name in content.get(SHARDS, {}).items() if place.startswith(prefix)}
    known = {place: state[place.removeprefix(prefix)] for place in places if place.removeprefix(prefix) in state}
    _read(known, places, Path(path).parent)
    filled = {place.removeprefix(prefix): tensor for place, tensor in known.items()}
    module.load_state_dict({**content["state_dict"], **filled})


def load_shards(content: Mapping[str, Any], path: Path | str, mesh: DeviceMesh, section: str) -> Content:
    """A checkpoint's content with the tensors of a section in their places, each rank's own rows of them.

    Args:
        content: of the small file.
        path: of the small file.
        mesh: of all ranks.
        section: such as ``optimizer_states``.
    """
    folder = Path(path).parent
    places = {place: name for place, name in content.get(SHARDS, {}).items() if place.split("/")[0] == section}
    made: dict[str, Tensor] = {}
    for name in set(places.values()):
        described: dict[str, Any] = dcp.FileSystemReader(folder / name).read_metadata().state_dict_metadata
        for place in (place for place in places if places[place] == name):
            made[place] = _empty(described[place].size, described[place].properties.dtype, mesh)
    _read(made, places, folder)
    filled: Content = _copy(content)
    for place, tensor in made.items():
        *inner, last = place.split("/")
        node: Any = filled
        for key in inner:
            node = node[int(key) if isinstance(node, list) or key not in node else key]
        node[last] = tensor
    return filled


def by_rows(rows: Tensor, n: int, mesh: DeviceMesh) -> DTensor:
    """A tensor (n, ...) spread over the ranks, of which this rank has these rows."""
    shape, stride = torch.Size([n, *rows.shape[1:]]), rows.stride()
    return DTensor.from_local(rows, mesh, [Shard(0)], run_check=False, shape=shape, stride=stride)


def _empty(size: Sequence[int], dtype: torch.dtype, mesh: DeviceMesh) -> DTensor:
    share = -(-size[0] // mesh.size())
    mine = min(share, size[0] - mesh.get_local_rank() * share)
    return by_rows(torch.empty(mine, *size[1:], dtype=dtype, device=mesh.device_type), size[0], mesh)


def _read(tensors: Mapping[str, Tensor], folders: Mapping[str, str], folder: Path) -> None:
    """Fills tensors in place, each from its folder; ranks do not wait for each other."""
    for name in dict.fromkeys(folders[place] for place in tensors):
        wanted = {place: tensor for place, tensor in tensors.items() if folders[place] == name}
        with _quiet(), torch.no_grad():
            dcp.load(wanted, storage_reader=dcp.FileSystemReader(folder / name), no_dist=True)


def _sharded(node: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """The sharded tensors of nested containers by place."""
    if isinstance(node, DTensor):
        yield place, node.detach()
    elif isinstance(node, Mapping | list):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _sharded(value, f"{place}/{key}" if place else str(key))


def _without(node: Any) -> Any:
    """Nested containers without their sharded tensors."""
    if isinstance(node, Mapping):
        return {key: _without(value) for key, value in node.items() if not isinstance(value, DTensor)}
    return [_without(value) for value in node] if isinstance(node, list) else node


def _copy(node: Any) -> Any:
    """Nested containers anew, with the same tensors."""
    if isinstance(node, Mapping):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        yield
