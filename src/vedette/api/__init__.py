"""The control API: HTTP in, one call of the control plane, HTTP out. `app.create_app` makes it."""
