"""The files of the pages. A process reads each one on its first request, and then keeps it in memory."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Response, request
from werkzeug.exceptions import NotFound


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """A file in memory, plain and compressed."""

    content: bytes
    compressed: bytes
    content_type: str
    tag: str

    def answer(self) -> Response:
        """Return the file, or 304 if the browser has it. A browser asks each time, so that it never mixes releases."""
        is_compressed = request.accept_encodings.quality("gzip") > 0
        response = Response(self.compressed if is_compressed else self.content, content_type=self.content_type)
        if is_compressed:
            response.content_encoding = "gzip"
        response.vary.add("Accept-Encoding")
        response.cache_control.no_cache = True
        response.set_etag(self.tag)
        response.make_conditional(request)
        return response


@cache
def load_files(folder: Path) -> dict[str, StaticFile]:
    """Read all files in the folder. The keys are their paths in it."""
    return {
        path.relative_to(folder).as_posix(): load_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


@cache
def load_file(path: Path) -> StaticFile:
    """Read one file."""
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind == "application/json"
    return StaticFile(
        content=content,
        compressed=gzip.compress(content, mtime=0),
        content_type=f"{kind}; charset=utf-8" if is_text else kind,
        tag=hashlib.sha256(content).hexdigest()[:32],
    )


def find_file(files: Mapping[str, StaticFile], name: str) -> Response:
    """Answer with the file of that name. Raise NotFound."""
    if name not in files:
        raise NotFound
    return files[name].answer()
