"""Compiles each URL rule once per process. Each test creates two Flask applications with the same rules."""

from collections.abc import Hashable

from werkzeug.routing import Rule

WHAT_COMPILING_SETS = ("_parts", "_trace", "_converters", "arguments")
COMPILED: dict[Hashable, Rule] = {}
compile_rule = Rule.compile


def compile_once(rule: Rule) -> None:
    """Compile the rule, or copy what an equal one was compiled to."""
    key = (type(rule), rule.rule, rule.subdomain, rule.merge_slashes, rule.host, str(rule.defaults))
    compiled = COMPILED.setdefault(key, rule)
    if compiled is rule:
        compile_rule(rule)
        return
    for name in WHAT_COMPILING_SETS:
        setattr(rule, name, getattr(compiled, name))
    for name in ("_build", "_build_unknown"):  # functions that are bound to the rule
        setattr(rule, name, getattr(compiled, name).__func__.__get__(rule))


def install() -> None:
    """Let all applications of this process compile their rules so."""
    Rule.compile = compile_once  # type: ignore[assignment, method-assign]  # werkzeug keeps nothing itself
