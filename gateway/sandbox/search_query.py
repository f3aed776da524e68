"""Stripe's search query language (https://docs.stripe.com/search#search-query-language).

It joins clauses such as ``metadata['key']:'value'``, ``email~'part'`` or ``-name:'x'`` by AND or by OR.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json

_CLAUSE = re.compile(
    r"""\s*(?P<minus>-?)(?P<field>\w+)(?:\[(?P<q>["'])(?P<key>[^"']+)(?P=q)\])?(?P<sign>:|~|>=|<=|>|<)"""
    r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>null|\d+))(?=\s|$)"""
)
_JOIN = re.compile(r"\s+(and|or)(?=\s)", re.IGNORECASE)
_FIELDS = ("email", "metadata", "name", "phone")
_SHORTEST_PART = 3
"""Stripe's shortest value for ``~``."""


@dataclass(frozen=True)
class _Clause:
    field: str
    key: str | None
    part: bool
    value: str | None
    negated: bool

    def matches(self, customer: Json) -> bool:
        found = customer["metadata"].get(self.key) if self.key else customer[self.field]
        if self.value is None:
            return (found is None) != self.negated
        held, wanted = str(found or "").casefold(), self.value.casefold()
        return (found is not None and (wanted in held if self.part else wanted == held)) != self.negated


def parse(query: str) -> Callable[[Json], bool]:
    """Return the test whether a customer matches the query. Raise 400 for a query that Stripe or the sandbox lacks."""
    clauses, joins, at = [], set(), 0
    while True:
        clause = _CLAUSE.match(query, at)
        if clause is None:
            raise invalid(f"We were unable to parse your search query near: {query[at:]}", param="query")
        clauses.append(_read(clause))
        join = _JOIN.match(query, clause.end())
        if join is None:
            break
        joins.add(join[1].lower())
        at = join.end()
    if query[clause.end() :].strip():
        raise invalid(f"We were unable to parse your search query near: {query[clause.end() :]}", param="query")
    if len(joins) > 1:
        raise invalid("You cannot combine AND and OR in one search query.", param="query")
    combine = any if joins == {"or"} else all
    return lambda customer: combine(each.matches(customer) for each in clauses)


def _read(clause: re.Match[str]) -> _Clause:
    name, key, sign = clause["field"], clause["key"], clause["sign"]
    if name not in _FIELDS or (name == "metadata") != (key is not None):
        raise not_built(f"the search of customers by `{name}`", "query")
    if sign not in (":", "~"):
        raise invalid(f"The operator `{sign}` does not apply to `{name}`.", param="query")
    quoted = clause["double"] if clause["double"] is not None else clause["single"]
    if quoted is None and clause["bare"] != "null":
        raise invalid(f"The value of `{name}` must be quoted.", param="query")
    value = None if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    if sign == "~" and len(value or "") < _SHORTEST_PART:
        raise invalid("Substring match values must have at least 3 characters.", param="query")
    return _Clause(name, key, sign == "~", value, negated=bool(clause["minus"]))
