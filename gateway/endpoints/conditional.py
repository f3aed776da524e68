"""``If-Match``: a change that is only wanted of the plan as the caller saw it."""

import re
from dataclasses import replace

from flask import request

from schemas.subscription import ChangeCommand

# By RFC 9110, 8.8.3 and 5.6.1: between the commas there may be nothing. In latin-1, as WSGI decodes it.
TAGS = r'[ \t]*(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*)?'
LIST = re.compile(rf"{TAGS}(?:,{TAGS})*")
# What begins one of ours; no weak one, for If-Match asks for more. No version has more digits, and int() has a limit.
VERSION = re.compile(r'(?<!/)"([0-9]{1,18})[-"]')


def conditional(command: ChangeCommand) -> ChangeCommand:
    """The command, held to the versions that the caller names.

    An ETag of Plan Details is the plan's version and a digest of all that is shown, a new card included; what a change
    rests on is the version alone. A tag that is none of ours matches nothing, and so does what is no list of tags: who
    sends a condition does not want the change without it.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip(" \t") == "*":
        return command
    versions = VERSION.findall(header) if LIST.fullmatch(header) else []
    return replace(command, if_match=frozenset(map(int, versions)))
