"""The dashboard: pages rendered here, live by server-sent events, complete without JavaScript.

`app.create_app` makes the whole site: pages at ``/``, the control API at ``/api``. A view is a function from `ask.Ask`
to a response, listed as a `ask.Way` with the permission it takes; one module a noun, as on every floor.
"""
