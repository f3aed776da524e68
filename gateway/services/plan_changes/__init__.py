"""A plan change, from the request to the state in which it ends.

``request.py`` commits the intent before ``execute.py`` calls Stripe, and no transaction is open during a call. The
merge of the answer, a webhook or a refresh closes the change in ``plan_table/writer.close_changes``. If a process dies,
the completion job (``execute.finish_change``) asks Stripe and ends the change. The job of ``charge_check.py`` then
compares a quoted change with what Stripe charges.
"""
