"""Rules that decide whether arms of an experiment differ: vedette's, and those of its peers as they publish them.

`pair` is about two arms looked at again and again, the other modules take what it gives; `several` is about which of
several arms is the best. Peers' rules are written anew from their source or the paper they name, said where.
"""
