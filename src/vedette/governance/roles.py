"""Who may do what: three roles, three permissions, and a table between them. What is not in the table is denied."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from vedette.kernel.errors import Denied
from vedette.kernel.records import record


class Role(StrEnum):
    """What somebody is here."""

    VIEWER = "viewer"  # looks
    OPERATOR = "operator"  # looks, and changes domains, versions, rollouts, experiments
    ADMIN = "admin"  # all that, and decides who else may


class Permission(StrEnum):
    """What a request needs."""

    READ = "read"
    OPERATE = "operate"
    ADMINISTER = "administer"


GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.ADMIN: frozenset(Permission),
}
"""What each role may."""

_NEEDED = {permission: next(role for role in Role if permission in GRANTS[role]) for permission in Permission}


@record
class Caller:
    """Who makes a request: the name that goes into the audit log, the role, and how it is known who it is.

    ``trusted`` is whoever reaches a server of which nobody has taken possession yet; it has no name of its own.
    """

    name: str
    role: Role
    kind: Literal["person", "token", "trusted"]

    def may(self, permission: Permission) -> bool:
        """Say whether the caller's role has a permission."""
        return permission in GRANTS[self.role]


def permit(caller: Caller, permission: Permission) -> None:
    """Let the caller pass.

    Raises:
        Denied: the role lacks the permission.
    """
    if not caller.may(permission):
        raise Denied(
            f"{caller.name} is a {caller.role}, and this takes an {_NEEDED[permission]}",
            hint="ask an admin for another role",
        )
