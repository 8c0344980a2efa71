"""What of the model a client sees."""

from dataclasses import dataclass

from fedwright_federation.algorithm import Role, View

NORM: frozenset[Role] = frozenset({"bn_affine", "bn_stat"})
HEAD: frozenset[Role] = frozenset({"head"})


@dataclass(frozen=True)
class PrivateRoles(View):
    """Keys of these roles stay at the client: all of batch norm for FedBN, the head for FedRep and FedPer."""

    roles: frozenset[Role] = frozenset()

    @property
    def features(self) -> frozenset[str]:
        named = {"private-norm": self.roles & NORM, "private-head": self.roles & HEAD, "private-keys": self.roles}
        return frozenset(feature for feature, present in named.items() if present)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(({"batch_norm"} if self.roles & NORM else set()) | ({"body"} if self.roles & HEAD else set()))

    def shared(self, key: str, role: Role) -> bool:
        del key
        return role not in self.roles
