"""Any seekable binary file -> the pickle streams in it, as the real loaders find them."""

from picklegate.containers.context import Stream
from picklegate.containers.reader import Contents, read

__all__ = ["Contents", "Stream", "read"]
