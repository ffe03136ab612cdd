"""The typed SDK: a control plane that runs elsewhere, by the names it has here.

`Client` has the services of `vedette.ControlPlane` (``domains``, ``versions``, ``canary``, ``experiments``,
``traffic``, ``outcomes``, ``governance``), with the same methods, arguments, records and errors. What needs the
server's own threads and files is left out. `Assigner` tells here which version and arms a unit has, and
`VedetteProvider` to OpenFeature.
"""
