"""``If-Match`` makes a change conditional on the plan version that the caller saw."""

import re
from dataclasses import replace

from flask import request

from schemas.changes import ChangeCommand

# RFC 9110, 8.8.3 and 5.6.1, which allow empty list elements. WSGI decodes the header as latin-1.
TAGS = r'[ \t]*(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*)?'
LIST = re.compile(rf"{TAGS}(?:,{TAGS})*")
# The start of one of our tags. If-Match never matches a weak tag. No version is longer, and int() limits the digits.
VERSION = re.compile(r'(?<!/)"([0-9]{1,18})[-"]')


def conditional(command: ChangeCommand) -> ChangeCommand:
    """Return the command with the plan versions that the caller names in ``If-Match``.

    An ETag of Plan Details holds the plan's version and a digest of everything shown, even of a new card. A change
    depends on the version alone. A foreign tag or a malformed list matches no version, because a caller that sends a
    condition does not want the change without it.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip(" \t") == "*":
        return command
    versions = VERSION.findall(header) if LIST.fullmatch(header) else []
    return replace(command, if_match=frozenset(map(int, versions)))
