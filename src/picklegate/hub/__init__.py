"""The Hub's front door: downloads judged before they arrive, repositories judged without a download.

This package can stand where ``huggingface_hub`` stood: it has the download functions under their own names.
"""

from picklegate.hub.download import (
    hf_hub_download,
    safe_hf_hub_download,
    safe_snapshot_download,
    scan_repo,
    snapshot_download,
)

__all__ = ["hf_hub_download", "safe_hf_hub_download", "safe_snapshot_download", "scan_repo", "snapshot_download"]
