"""The command line: one set of commands, on a data folder here or on a server elsewhere.

Commands are written once against the names the control plane's services and the SDK's `Client` share. Modules import
what is heavy inside functions, so ``vedette --help`` and completion are quick.
"""
