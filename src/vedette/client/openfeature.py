"""An OpenFeature provider that answers in this process, word for word as OFREP at the gateway does.

Needs the extra ``openfeature``. What flags there are and what they say is in `vedette.routing.flags`.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.event import ProviderEventDetails
    from openfeature.exception import (
        ErrorCode,
        FlagNotFoundError,
        GeneralError,
        ProviderNotReadyError,
        TypeMismatchError,
    )
    from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
    from openfeature.provider import AbstractProvider, Metadata
except ImportError as error:
    raise ImportError("the OpenFeature provider needs openfeature-sdk: pip install 'vedette[openfeature]'") from error

from vedette.client.assigner import Assigner
from vedette.routing.flags import Flag, flag_of, plan_of_experiment, unit_of

T = TypeVar("T")


class VedetteProvider(AbstractProvider):
    """Answers flags by the plans of an `Assigner`, which it starts and closes; nothing is asked of a server meanwhile.

    It is ready once each domain has a plan, stale while plans cannot be followed, and tells of plans that changed.
    """

    def __init__(self, assigner: Assigner) -> None:
        super().__init__()
        self._assigner = assigner
        self._stale = False

    def get_metadata(self) -> Metadata:
        """Give its name."""
        return Metadata(name="vedette")

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002 - the protocol's
        """Look at the plans and follow them; also where they cannot be had yet, and then this raises."""
        self._assigner.start(self._hear, patient=True)
        self._stale = bool(self._assigner.problem)
        if missing := self._assigner.missing:
            raise GeneralError(f"no plan of {', '.join(missing)}: {self._assigner.problem or 'there is none'}")

    def shutdown(self) -> None:
        """Follow plans no longer."""
        self._assigner.close()

    def _hear(self, changed: Sequence[str], problem: str) -> None:
        """Tell the SDK what became of the plans."""
        assigner = self._assigner
        if problem:
            self._stale = True
            details = ProviderEventDetails(message=problem, error_code=ErrorCode.GENERAL)
            (self.emit_provider_error if assigner.missing else self.emit_provider_stale)(details)
        elif self._stale and not assigner.missing:
            self._stale = False
            self.emit_provider_ready(ProviderEventDetails())
        if changed:
            plans = [assigner.plans[domain] for domain in changed if domain in assigner.plans]
            names = [name for plan in plans if plan.experiments for name in plan.experiments.running]
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=[*changed, *names]))

    # Evaluation.

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Give a domain's version."""
        return self._resolve(flag_key, default_value, str, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Give an experiment's arm and the values it gives."""
        return self._resolve(flag_key, default_value, Mapping, evaluation_context)

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - the protocol's
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Refuse: no flag is a truth."""
        return self._resolve(flag_key, default_value, bool, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Refuse: no flag is a number."""
        return self._resolve(flag_key, default_value, int, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Refuse: no flag is a number."""
        return self._resolve(flag_key, default_value, float, evaluation_context)

    def _resolve(self, key: str, default: T, kind: type, context: EvaluationContext | None) -> FlagResolutionDetails[T]:
        flag = self._flag(key, context or EvaluationContext())
        if flag.value is not None and not isinstance(flag.value, kind):
            what = (
                "a domain: its version is text"
                if isinstance(flag.value, str)
                else "an experiment: its arm is an object"
            )
            raise TypeMismatchError(f"{key!r} is {what}")
        return FlagResolutionDetails(
            value=default if flag.value is None else flag.value,  # type: ignore[arg-type]  # of the kind asked for, as the check above says
            variant=flag.variant,
            reason=Reason(flag.reason),
            flag_metadata=flag.metadata,
        )

    def _flag(self, key: str, context: EvaluationContext) -> Flag:
        plans = self._assigner.plans
        plan = plans.get(key) or plan_of_experiment(plans, key)
        if plan is None:
            if self._assigner.missing:
                raise ProviderNotReadyError(f"no plan of {', '.join(self._assigner.missing)} is known yet")
            raise FlagNotFoundError(f"there is no domain and no experiment {key!r}")
        said: dict[str, object] = {"targetingKey": context.targeting_key or "", **context.attributes}
        unit = unit_of(said.pop("targetingKey"), said)
        if unit.error:
            raise ErrorCode.to_exception(ErrorCode(unit.error), unit.details)
        return flag_of(plan, key, unit)
