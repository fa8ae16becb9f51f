"""What type checkers and editors know of the downloads: the parameters of huggingface_hub 2, and ``policy``.

At run time the installed client's own signature counts (``inspect.signature``); a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol, overload

from picklegate.policy import PolicyOption


class HfHubDownload(Protocol):
    """``hf_hub_download`` with ``policy``: returns the path of one file."""

    __name__: str

    @overload
    def __call__(
        self,
        repo_id: str,
        filename: str,
        *,
        subfolder: str | None = ...,
        repo_type: str | None = ...,
        revision: str | None = ...,
        library_name: str | None = ...,
        library_version: str | None = ...,
        cache_dir: str | Path | None = ...,
        local_dir: str | Path | None = ...,
        user_agent: dict[str, Any] | str | None = ...,
        force_download: bool = ...,
        etag_timeout: float = ...,
        token: bool | str | None = ...,
        local_files_only: bool = ...,
        headers: dict[str, str] | None = ...,
        endpoint: str | None = ...,
        tqdm_class: type[Any] | None = ...,
        dry_run: Literal[False] = ...,
        policy: PolicyOption = ...,
    ) -> str: ...

    @overload
    def __call__(
        self,
        repo_id: str,
        filename: str,
        *,
        subfolder: str | None = ...,
        repo_type: str | None = ...,
        revision: str | None = ...,
        library_name: str | None = ...,
        library_version: str | None = ...,
        cache_dir: str | Path | None = ...,
        local_dir: str | Path | None = ...,
        user_agent: dict[str, Any] | str | None = ...,
        force_download: bool = ...,
        etag_timeout: float = ...,
        token: bool | str | None = ...,
        local_files_only: bool = ...,
        headers: dict[str, str] | None = ...,
        endpoint: str | None = ...,
        tqdm_class: type[Any] | None = ...,
        dry_run: Literal[True],
        policy: PolicyOption = ...,
    ) -> Any: ...


class SnapshotDownload(Protocol):
    """``snapshot_download`` with ``policy``: returns the path of a folder."""

    __name__: str

    @overload
    def __call__(
        self,
        repo_id: str,
        *,
        repo_type: str | None = ...,
        revision: str | None = ...,
        cache_dir: str | Path | None = ...,
        local_dir: str | Path | None = ...,
        library_name: str | None = ...,
        library_version: str | None = ...,
        user_agent: dict[str, Any] | str | None = ...,
        etag_timeout: float = ...,
        force_download: bool = ...,
        token: bool | str | None = ...,
        local_files_only: bool = ...,
        allow_patterns: list[str] | str | None = ...,
        ignore_patterns: list[str] | str | None = ...,
        max_workers: int = ...,
        tqdm_class: type[Any] | None = ...,
        headers: dict[str, str] | None = ...,
        endpoint: str | None = ...,
        dry_run: Literal[False] = ...,
        policy: PolicyOption = ...,
    ) -> str: ...

    @overload
    def __call__(
        self,
        repo_id: str,
        *,
        repo_type: str | None = ...,
        revision: str | None = ...,
        cache_dir: str | Path | None = ...,
        local_dir: str | Path | None = ...,
        library_name: str | None = ...,
        library_version: str | None = ...,
        user_agent: dict[str, Any] | str | None = ...,
        etag_timeout: float = ...,
        force_download: bool = ...,
        token: bool | str | None = ...,
        local_files_only: bool = ...,
        allow_patterns: list[str] | str | None = ...,
        ignore_patterns: list[str] | str | None = ...,
        max_workers: int = ...,
        tqdm_class: type[Any] | None = ...,
        headers: dict[str, str] | None = ...,
        endpoint: str | None = ...,
        dry_run: Literal[True],
        policy: PolicyOption = ...,
    ) -> Any: ...
