"""Notify other systems of what changed, as Standard Webhooks defines it: https://www.standardwebhooks.com.

``outbox`` writes the notifications in the transaction of the change. In the worker, ``delivery`` sends them, in order
by organization and receiver. ``records`` lists and replays them.
"""
