"""Arrays that grow on disk, in numpy's own format."""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray


class NpyWriter:
    """Writes an ``.npy`` file some rows at a time; nothing but those rows is held in memory.

    Args:
        path: of the file.
        dtype: of the numbers.
        shape: of the whole array.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.npy"
        >>> with NpyWriter(path, np.int32, (3,)) as out:
        ...     out.add(np.array([1, 2])); out.add(np.array([3]))
        >>> np.load(path).tolist()
        [1, 2, 3]
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape, self._written = np.dtype(dtype), shape, 0
        self._file: BinaryIO = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, values: NDArray) -> None:
        """Appends some rows."""
        assert values.shape[1:] == self.shape[1:]
        if values.size:
            self._file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self._written += len(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None and self._written != self.shape[0]:
            raise ValueError(f"{self._written} rows were written of {self.shape[0]}")
