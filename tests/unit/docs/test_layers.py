"""The architecture page lists the layers that import-linter enforces."""

import tomllib

from tests.support.documents import FENCE, ROOT, document


def test_layers_are_those_of_the_contracts() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    enforced = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    described = FENCE.findall(document("docs/architecture.md").section("Layers"))
    assert enforced
    assert [block.splitlines() for _, block in described] == enforced
