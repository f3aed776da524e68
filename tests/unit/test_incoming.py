"""The end of a request is found wherever the network splits it, and where gunicorn's parser sees it."""

from itertools import pairwise

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import MAX_BODY_BYTES
from gateway.web_server.incoming import CHUNKED_LIMIT, HEAD_LIMIT, BodyTooLarge, HeadTooLarge, Incoming

LINE = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


def fed(*pieces: bytes) -> Incoming:
    incoming = Incoming()
    for piece in pieces:
        incoming.feed(piece)
    return incoming


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return a valid request and its body."""
    body = draw(st.binary(max_size=60))
    headers = draw(st.sampled_from([b"", b"A: b\r\n", b"Content-Type: text/plain\r\n"]))
    if draw(st.booleans()):
        return LINE + headers + b"content-LENGTH: %d\r\n\r\n" % len(body) + body, body
    cuts = sorted(draw(st.sets(st.integers(0, len(body)))) | {0, len(body)})
    pieces = [body[start:end] for start, end in pairwise(cuts)]
    extension = draw(st.sampled_from([b"", b";a", b' ; a="b;\\"c"']))
    trailers = draw(st.sampled_from([b"", b"T: v\r\n", b"T: v\r\nU: w\r\n"]))
    chunks = b"".join(b"%X%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return LINE + headers + b"Transfer-Encoding: Chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + b"\r\n", body


@given(requests(), st.data())
def test_end_is_found_however_the_request_is_split(request: tuple[bytes, bytes], data: st.DataObject) -> None:
    sent, body = request
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1))))
    incoming = Incoming()
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        assert not incoming.complete
        incoming.feed(sent[start:end])
    assert incoming.complete
    assert incoming.request() == sent
    parsed = next(RequestParser(Config(), iter([sent]), ("127.0.0.1", 1)))
    assert parsed.body.read() == body


@given(requests(), st.integers(1, len(NEXT)))
def test_following_request_does_not_move_the_end(request: tuple[bytes, bytes], length: int) -> None:
    sent, _ = request
    assert fed(sent + NEXT[:length]).complete
    assert not fed(sent[:-1]).complete


@pytest.mark.parametrize("size", [0, MAX_BODY_BYTES])
def test_length_within_the_limit_is_waited_for(size: int) -> None:
    head = LINE + b"Content-Length: %d\r\n\r\n" % size
    assert fed(head).complete == (size == 0)
    assert fed(head, b"x" * size).complete


@pytest.mark.parametrize("length", [b"%d" % (MAX_BODY_BYTES + 1), b"9" * 5_000, b"-1", b"x", b"1\r\nContent-Length: 2"])
def test_length_that_will_be_refused_is_not_waited_for(length: bytes) -> None:
    assert fed(LINE + b"Content-Length: " + length + b"\r\n\r\n").complete


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (LINE + b"A: bcdefgh\r\n" * HEAD_LIMIT, HeadTooLarge),
        (LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * CHUNKED_LIMIT, BodyTooLarge),
        (LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"FFFFFF\r\n", BodyTooLarge),
        (LINE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: bcdefgh\r\n" * HEAD_LIMIT, HeadTooLarge),
        (LINE + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 2_000, ParseException),
        (LINE + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", ParseException),
    ],
)
def test_reading_stops_when_the_request_is_too_large(sent: bytes, error: type[Exception]) -> None:
    incoming = Incoming()
    read = 0
    while not incoming.complete:
        incoming.feed(sent[read : read + 4_096])
        read += 4_096
    assert len(incoming.data) <= CHUNKED_LIMIT + 3 * HEAD_LIMIT
    with pytest.raises(error):
        incoming.request()


@pytest.mark.parametrize(
    ("request_line", "target"),
    [
        (b"GET /health/live HTTP/1.1", b"/health/live"),
        (b"GET /health/live?a HTTP/1.1", b"/health/live?a"),
        (b"GET", b""),
    ],
)
def test_target_is_read_from_the_request_line(request_line: bytes, target: bytes) -> None:
    assert fed(request_line + b"\r\nHost: x\r\n\r\n").target == target
