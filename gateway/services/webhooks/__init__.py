"""Store the webhooks that Stripe posts, and merge their events.

``inbox.Inbox.commit`` stores the event, and ``wakeup.Wakeup.request_drain`` enqueues the drain job. In the worker,
``drain_loop.DrainLoop.run`` claims events in batches, and ``drain.drain_batch`` merges each batch.
"""
