"""Collect the bytes of one HTTP request as they arrive, and find its end.

The worker gives a request to a thread only when it is complete, so a slow client never occupies a thread. This module
does not judge a request. It calls a malformed request complete, and gunicorn's parser refuses it.
"""

import re

from gunicorn.http.errors import InvalidChunkSize, ParseException

from gateway.config import MAX_BODY_BYTES

HEAD_LIMIT = 64 * 1024  # bytes of the request line and the headers together
CHUNKED_LIMIT = 2 * MAX_BODY_BYTES  # bytes of a chunked body as sent, with the chunks' size lines
CHUNK_LINE_LIMIT = 1024  # bytes of a chunk's size line with its extensions, which we ignore
LINE_LOOKED_AT = 64  # bytes of the request line, more than the paths have that the worker looks for
END_OF_HEAD = b"\r\n\r\n"
BARE_LF = re.compile(rb"(?<!\r)\n")
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
EXPECT_CONTINUE = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
LENGTH = re.compile(rb"[0-9]{1,7}")
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?", re.DOTALL)


class HeadTooLarge(ParseException):
    """The request line and the headers are longer than we read."""


class BodyTooLarge(ParseException):
    """The chunked body is longer than we read."""


class RequestTooSlow(ParseException):
    """The request did not arrive in time."""


class Incoming:
    """One request that is arriving. Parsing takes time in proportion to its length, however small the pieces are."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self.expects_continue = False
        """Whether the client sends its body only after our 100 Continue."""
        self._excess: ParseException | None = None
        self._head_ended = False
        self._searched = 0
        """Where the search for the end of a line, or of the head, continues."""
        self._ends_at: int | None = None
        """Where the request ends, if it has a length. None for a chunked body."""
        self._chunk = 0
        """Where the size line of the next chunk begins."""
        self._trailers: int | None = None
        """Where the trailers begin, once the last chunk has arrived."""

    @property
    def target(self) -> bytes:
        """Return the target of the request line, cut off after ``LINE_LOOKED_AT`` bytes of the line."""
        words = bytes(self.data[:LINE_LOOKED_AT]).partition(b"\r\n")[0].split(b" ")
        return words[1] if len(words) > 1 else b""

    def feed(self, piece: bytes) -> None:
        """Add the bytes that arrived, and notice whether the request is complete now."""
        self.data += piece
        if not self._head_ended:
            self._find_end_of_head()
        if self._head_ended and self._ends_at is not None:
            self.complete = len(self.data) >= self._ends_at
        elif self._head_ended:
            self._find_end_of_chunks()

    def request(self) -> bytes:
        """Return the bytes. Raise HeadTooLarge or BodyTooLarge if we stopped reading before the end."""
        if self._excess is not None:
            raise self._excess
        return bytes(self.data)

    def _find_end_of_head(self) -> None:
        end = self.data.find(END_OF_HEAD, self._searched)
        if end >= 0:
            self._head_ended = True
            self._searched = end + len(END_OF_HEAD)
            self._read_head(bytes(self.data[: end + 2]), self._searched)
            return
        if len(self.data) > HEAD_LIMIT:
            self._stop(HeadTooLarge())
        elif BARE_LF.search(self.data, self._searched):
            self._stop()
        self._searched = max(0, len(self.data) - len(END_OF_HEAD) + 1)

    def _read_head(self, head: bytes, body: int) -> None:
        """Find out where the body ends that begins at ``body``."""
        self.expects_continue = EXPECT_CONTINUE.search(head) is not None
        lengths = CONTENT_LENGTH.findall(head)
        if CHUNKED.search(head) and not lengths:
            self._chunk = body
            return
        # gunicorn refuses other codings and several lengths. The application refuses a longer body by its length.
        length = int(lengths[0]) if len(lengths) == 1 and LENGTH.fullmatch(lengths[0].rstrip()) else 0
        self._ends_at = body + (length if length <= MAX_BODY_BYTES else 0)

    def _find_end_of_chunks(self) -> None:
        if self._trailers is not None:
            self._find_end_of_trailers(self._trailers)
            return
        while not self.complete and self._chunk < len(self.data):
            line_end = self.data.find(b"\r\n", max(self._searched, self._chunk))
            if line_end < 0:
                self._searched = len(self.data) - 1
                if len(self.data) - self._chunk > CHUNK_LINE_LIMIT:
                    self._stop(InvalidChunkSize(b"too long"))
                return
            size = CHUNK_SIZE.fullmatch(self.data, self._chunk, line_end)
            if size is None or line_end - self._chunk > CHUNK_LINE_LIMIT:
                self._stop(InvalidChunkSize(b"malformed"))
            elif int(size[1], 16) == 0:
                self._trailers = self._searched = line_end
                self._find_end_of_trailers(line_end)
                return
            else:
                self._chunk = line_end + 2 + int(size[1], 16) + 2
                if self._chunk > CHUNKED_LIMIT:
                    self._stop(BodyTooLarge())

    def _find_end_of_trailers(self, begin: int) -> None:
        """Look for the empty line that ends the request. Without trailers, it follows the last size line directly."""
        if self.data.find(END_OF_HEAD, self._searched) >= 0:
            self.complete = True
        elif len(self.data) - begin > HEAD_LIMIT:
            self._stop(HeadTooLarge())
        self._searched = max(begin, len(self.data) - len(END_OF_HEAD) + 1)

    def _stop(self, excess: ParseException | None = None) -> None:
        self.complete, self._excess = True, excess
