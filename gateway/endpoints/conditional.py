"""``If-Match``: a change that is only wanted of the plan as the caller saw it."""

from dataclasses import replace

from flask import request

from schemas.subscription import ChangeCommand


def conditional(command: ChangeCommand) -> ChangeCommand:
    """The command, held to the versions that the caller names.

    An ETag of Plan Details is the plan's version and a digest of all that is shown, a new card included; what a change
    rests on is the version alone. A tag that is none of ours matches nothing.
    """
    tags = request.if_match
    if not tags or tags.star_tag:
        return command
    versions = (tag.partition("-")[0] for tag in tags)
    return replace(command, if_match=frozenset(int(version) for version in versions if version.isdecimal()))
