# SPDX-License-Identifier: Apache-2.0
"""The C library: its errors, its callbacks, and views of its memory."""

from __future__ import annotations

import dataclasses
import enum
import os
import threading
import warnings
from typing import Any, Callable, Mapping, Optional, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _native  # type: ignore[attr-defined]

ffi: Any = _native.ffi
lib: Any = _native.lib
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
H = TypeVar("H", bound="Handle")


class Status(enum.Enum):
    """The kind of an error (``xt_status``)."""

    ARGUMENT = lib.XT_STATUS_ARGUMENT
    """A value given by the caller is out of range or contradictory, or more memory would be needed
    than is allowed."""
    INPUT = lib.XT_STATUS_INPUT
    """A file or text is malformed, incomplete or inconsistent."""
    IO = lib.XT_STATUS_IO
    """The system refused to open, read or write a file."""
    UNSUPPORTED = lib.XT_STATUS_UNSUPPORTED
    """Well-formed, but of a kind that this build does not handle."""
    MEMORY = lib.XT_STATUS_MEMORY
    """The system refused to give memory."""
    CANCELLED = lib.XT_STATUS_CANCELLED
    """A callback asked to stop."""


class Error(Exception):
    """An error of the library, with its reason.

    Attributes:
        status: what went wrong, coarsely.
        message: what is wrong, and what would be right.
        file: path of the file that is meant, or ``""``.
        field: tensor's name, JSON key or option, or ``""``.
        offset: byte offset in ``file``; -1 where none applies.
    """

    def __init__(
        self,
        status: Union[int, Status],
        message: str,
        file: str = "",
        field: str = "",
        offset: int = -1,
    ) -> None:
        super().__init__(status, message, file, field, offset)
        self.status = Status(status)
        self.message = message
        self.file = file
        self.field = field
        self.offset = offset

    def __str__(self) -> str:
        place = [self.file, self.field, f"at byte {self.offset}" if self.offset >= 0 else ""]
        return ": ".join([part for part in place if part] + [self.message])


def version() -> str:
    """The library's version."""
    return to_str(lib.xt_version())


def git_hash() -> str:
    """The commit that the library was built from, or ``""`` where that is not known."""
    return to_str(lib.xt_git_hash())


# ---- callbacks


class Call:
    """A call of the library, with its callbacks, which run on the calling thread.

    An exception in a callback, also the KeyboardInterrupt of Ctrl-C, stops the library after its
    current step, and is raised again when the library has returned.
    """

    def __init__(
        self,
        progress: Optional[Callable[..., None]] = None,
        rows: Optional[Callable[[Any, int], None]] = None,
        stop: Optional[Callable[[Any], bool]] = None,
    ) -> None:
        self.progress = progress
        self.rows = rows
        self.stop = stop
        self.raised: Optional[BaseException] = None
        self.waited = False

    def run(self, function: Any, *arguments: Any) -> None:
        """Calls ``function(*arguments, error)``, and raises its error as an exception."""
        error = ffi.new("xt_error *")
        before = getattr(_current, "call", None)
        _current.call = self
        try:
            status = function(*arguments, error)
        finally:
            _current.call = before
        if self.raised is not None:
            raise self.raised
        if status:
            parts = (to_str(part) for part in (error.message, error.file, error.field))
            message, file, field = parts
            raise Error(status, message, file, field, error.offset)


_current = threading.local()


def run(function: Any, *arguments: Any) -> None:
    """Makes a call that has no callbacks."""
    Call().run(function, *arguments)


def _keep(_kind: Any, value: BaseException, _traceback: Any) -> None:
    call = _current.call
    if call.raised is None:
        call.raised = value


def _callback(**failed: Any) -> Callable[[F], F]:
    """Decorates a function that the library calls by its name. If the function raises, the library
    gets ``error`` as its result."""
    register: Callable[[F], F] = ffi.def_extern(onerror=_keep, **failed)
    return register


@_callback(error=True)
def xtpy_cancel(_user: Any) -> bool:
    return bool(_current.call.raised is not None)


@_callback(error=True)
def xtpy_stop(_user: Any, _request: int, ids: Any, count: int) -> bool:
    call = _current.call
    if call.raised is not None:
        return True
    stopped: bool = call.stop(np.frombuffer(ffi.buffer(ids, 4 * count), np.int32))
    return stopped


@_callback()
def xtpy_generate_progress(_user: Any, requests: float) -> None:
    _current.call.progress(requests)


@_callback()
def xtpy_job_progress(_user: Any, progress: Any) -> None:
    _current.call.progress(progress)


@_callback()
def xtpy_warn(_user: Any, message: Any) -> None:
    warnings.warn(to_str(message), stacklevel=5)


@_callback(error=True)
def xtpy_store_wait(_user: Any, wait: Any) -> bool:
    call = _current.call
    if not call.waited and wait.seconds > 1:
        call.waited = True
        warnings.warn(
            f"{to_str(wait.path)}: waiting for another process, {to_str(wait.name)}, which reads "
            "it. No response is lost; they are written as soon as it stops reading",
            stacklevel=5,
        )
    return bool(call.raised is not None)


@_callback()
def xtpy_write(user: Any, put: Any, source_layer: int) -> None:
    ffi.from_handle(user).append((ffi.new("xt_intervention *", put[0]), source_layer))


@_callback(error=lib.XT_STATUS_CANCELLED)
def xtpy_rows(_user: Any, rows: Any, count: int, _error: Any) -> int:
    _current.call.rows(rows, count)
    return int(lib.XT_STATUS_OK)


# ---- strings and arrays


def to_str(text: Any) -> str:
    """A C string as a str. It is UTF-8; a path has the bytes that the file system has."""
    return "" if text == ffi.NULL else ffi.string(text).decode("utf-8", "surrogateescape")


def to_bytes(text: Any, field: str) -> bytes:
    """Encodes an argument that has to be a text."""
    if not isinstance(text, str):
        raise Error(Status.ARGUMENT, f"{text!r} is no text", field=field)
    return text.encode()


def to_c(text: Any, field: str) -> bytes:
    """Encodes an argument that the C library reads up to its NUL."""
    encoded = to_bytes(text, field)
    if b"\0" in encoded:
        raise Error(Status.ARGUMENT, f"{text!r} has a NUL in it", field=field)
    return encoded


def to_texts(given: Any, field: str) -> list[str]:
    """A list of texts, of one or several."""
    listed = [given] if isinstance(given, str) or not hasattr(given, "__iter__") else list(given)
    for each in listed:
        to_c(each, field)
    return listed


def to_ids(ids: Any, field: str) -> npt.NDArray[Any]:
    """Token ids as the C library has them, int32 ``[tokens]``."""
    try:
        array = np.asarray(ids)
    except (ValueError, TypeError):  # a list of lists of different lengths
        array = np.asarray(None)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise Error(
            Status.ARGUMENT,
            f"{_short(ids)} is no list of token ids, which are whole numbers",
            field=field,
        )
    if array.size and not -(2**31) <= array.min() <= array.max() < 2**31:
        raise Error(
            Status.ARGUMENT, f"{_short(ids)} has ids that need more than 32 bits", field=field
        )
    return np.ascontiguousarray(array, np.int32)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}.."


def fill(struct: Any, given: Mapping[str, Any]) -> None:
    """Sets members of a C struct, which have the names of the arguments that give them."""
    kind = ffi.typeof(struct)
    kinds = dict((kind.item if kind.kind == "pointer" else kind).fields)
    for name, value in given.items():
        try:
            setattr(struct, name, value)
        except OverflowError:
            raise Error(Status.ARGUMENT, f"{value!r} is out of range", field=name) from None
        except TypeError:
            wanted = {"_Bool": "True or False", "float": "a number", "double": "a number"}
            what = wanted.get(kinds[name].type.cname, "a whole number")
            raise Error(Status.ARGUMENT, f"{value!r} is not {what}", field=name) from None


def to_facts(kind: type[T], struct: Any) -> T:
    """Makes a dataclass from the fields of a C struct that have the same names."""
    names = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    given = {name: getattr(struct, name) for name in names}
    texts = {name: to_str(value) for name, value in given.items() if isinstance(value, ffi.CData)}
    return kind(**{**given, **texts})


def to_path(path: Any) -> bytes:
    """Encodes a path for the C library."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError("a path cannot have a NUL in it")
    return encoded


def view(pointer: Any, shape: tuple[int, ...], dtype: Any, owner: Any) -> npt.NDArray[Any]:
    """Makes a read-only array over memory of the library. The array keeps ``owner``, to which the
    memory belongs, alive."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    if size == 0:
        return locked(np.zeros(shape, kind))
    held = ffi.gc(pointer, lambda _pointer, _owner=owner: None)
    return locked(np.frombuffer(ffi.buffer(held, size), kind).reshape(shape))


def locked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, read-only from now on."""
    array.flags.writeable = False
    return array


# ---- handles


def owned(pointer: Any, free: Callable[[Any], None], owner: Any = None) -> Any:
    """A pointer to what is freed when nothing refers to the pointer any more, in the process that
    made it. It keeps ``owner``, which has to be freed later, alive."""

    def release(of: Any, _owner: Any = owner, pid: Any = os.getpid, made: int = os.getpid()) -> None:
        if pid() == made:
            free(of)

    return ffi.gc(pointer, release)


class Handle:
    """The owner of an object of the library, which is freed when the owner is garbage collected, by
    ``close()``, or at the end of a ``with`` block."""

    _what = "object"

    def __init__(self) -> None:
        self._process = os.getpid()
        self._open = True
        self._lock = threading.Lock()
        self._holder = 0

    def _free(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Frees the object now. Arrays that were taken from it stay valid."""
        if self._process == os.getpid():
            if self._holder == threading.get_ident():
                raise Error(
                    Status.ARGUMENT, f"this {self._what} is in use: a callback cannot close it"
                )
            with self._lock:
                self._release()

    def _release(self) -> None:
        if (
            getattr(self, "_open", False) and self._process == os.getpid()
        ):  # after a fork it is the parent's
            self._open = False
            self._free()

    def _need_open(self) -> None:
        if not self._open:
            raise Error(
                Status.ARGUMENT,
                f"this {self._what} is closed: close(), or the end of its with block, freed it",
            )

    def __enter__(self: H) -> H:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._release()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {self._what} cannot be sent to another process; open it there")

    def _use(self) -> _Use:
        return _Use(self)


class _Use:
    """Lets one thread at a time use a handle, in the process that opened it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __enter__(self) -> None:
        handle = self._handle
        if handle._process != os.getpid():
            raise Error(
                Status.UNSUPPORTED,
                f"this {handle._what} was opened before os.fork(); its threads and files are the "
                "parent's. Open it in the child, or start processes by multiprocessing's 'spawn'",
            )
        if handle._holder == threading.get_ident():
            raise Error(
                Status.ARGUMENT, f"this {handle._what} is in use: a callback cannot call it again"
            )
        handle._lock.acquire()
        handle._holder = threading.get_ident()
        try:
            handle._need_open()
        except Error:
            self.__exit__()
            raise

    def __exit__(self, *_exception: object) -> None:
        self._handle._holder = 0
        self._handle._lock.release()
