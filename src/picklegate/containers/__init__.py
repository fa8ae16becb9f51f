"""Any seekable binary file -> the pickle streams in it, as the real loaders find them."""

from picklegate.containers.contents import Contents, Stream
from picklegate.containers.reader import read

__all__ = ["Contents", "Stream", "read"]
