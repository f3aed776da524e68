from tests.sandbox.conftest import _quiet_sdk, account, clock, sandbox

__all__ = ["_quiet_sdk", "account", "clock", "sandbox"]
