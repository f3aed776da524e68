"""Lists with cursors (https://docs.stripe.com/api/pagination)."""

from collections.abc import Callable, Iterable
from itertools import islice

from gateway.sandbox.errors import invalid, missing
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

CURSORS = "limit starting_after ending_before"
_DEFAULT_LIMIT, _MAX_LIMIT = 10, 100
_RANGES: dict[str, Callable[[int, int], bool]] = {
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}


def page(work: Work, rows: Iterable[Json], params: Json, *, kind: str, url: str) -> Json:
    """Return one page of ``rows``, which come in list order (newest first).

    A limit of 0 gives one row and 101 gives 100, as recorded from Stripe's API, 2026-08-26.dahlia.
    """
    limit = min(max(params.get("limit", _DEFAULT_LIMIT), 1), _MAX_LIMIT)
    after, before = params.get("starting_after"), params.get("ending_before")
    _refuse_both(params)
    if before:
        newer = list(_beyond(work, rows, before, "ending_before", kind))
        return _list(newer[-limit:], more=len(newer) > limit, url=url)
    if after:
        rows = _beyond(work, rows, after, "starting_after", kind)
    found = list(islice(rows, limit + 1))
    return _list(found[:limit], more=len(found) > limit, url=url)


def _refuse_both(params: Json) -> None:
    if params.get("starting_after") and params.get("ending_before"):
        raise invalid("Received both starting_after and ending_before parameters. Please pass in only one.")


def page_of(rows: list[Json], params: Json, *, kind: str, url: str) -> Json:
    """Return one page of rows that the store does not list. A cursor must name one of these rows."""
    _refuse_both(params)
    places = {row["id"]: place for place, row in enumerate(rows)}
    for name in ("starting_after", "ending_before"):
        if params.get(name) and params[name] not in places:
            raise missing(kind, params[name], param=name, status=400)
    limit = min(max(params.get("limit", _DEFAULT_LIMIT), 1), _MAX_LIMIT)
    if params.get("ending_before"):
        newer = rows[: places[params["ending_before"]]]
        return _list(newer[-limit:], more=len(newer) > limit, url=url)
    rest = rows[places[params["starting_after"]] + 1 :] if params.get("starting_after") else rows
    return _list(rest[:limit], more=len(rest) > limit, url=url)


def _beyond(work: Work, rows: Iterable[Json], cursor: str, param: str, kind: str) -> Iterable[Json]:
    place = work.store.position(cursor)
    if place is None:
        raise missing(kind, cursor, param=param, status=400)
    older = param == "starting_after"
    return (row for row in rows if _is_beyond(work.store.position(row["id"]), place, older=older))


def _is_beyond(position: int | None, place: int, *, older: bool) -> bool:
    return position is not None and (position < place if older else position > place)


def _list(rows: list[Json], *, more: bool, url: str) -> Json:
    return {"object": "list", "data": rows, "has_more": more, "url": url}


def in_range(moment: int, wanted: int | Json | None) -> bool:
    """Return whether ``moment`` passes a ``created`` filter, which is a time or bounds such as ``{"gte": …}``."""
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return moment == wanted
    return all(_RANGES[name](moment, bound) for name, bound in wanted.items())
