"""One call from the bearer to the answer: what is checked, in which order, and what is written down. No HTTP."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, time

from fedwright_agents.gateway.call import Answerers, Call, Outcome
from fedwright_agents.gateway.chat import Asked, Json, parse, prompt_bytes, read
from fedwright_agents.gateway.errors import Code, GatewayError
from fedwright_agents.gateway.ledger import NANO
from fedwright_agents.gateway.purse import Purse
from fedwright_agents.gateway.redaction import Redactor
from fedwright_agents.gateway.search.query import Query
from fedwright_agents.gateway.transcripts import Transcripts
from fedwright_crds.allowance import Allowance, AllowanceError, verify
from fedwright_crds.profiles import Profiles
from fedwright_crds.search_profiles import SearchProfile
from fedwright_crds.transcript import Account, Charge, Transcript, Usage, call_digest

LONGEST_TEXT_OF_A_TOKEN = 16
"""Bytes that a token stands for on average, at the very most; prose and code have about 4."""
MOST_MODEL = 1024
"""Characters of a model's name, as the provider tells it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    profiles: Profiles
    secret: bytes
    redactor: Redactor
    purse: Purse
    transcripts: Transcripts
    answerers: Answerers

    def holder(self, authorization: str) -> Allowance:
        """The allowance of an `Authorization` header. GatewayError unauthorized."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise GatewayError(Code.UNAUTHORIZED, "there is no bearer; send the allowance of this work as one")
        try:
            return verify(token.strip(), self.secret, time())
        except AllowanceError as problem:
            raise GatewayError(Code.UNAUTHORIZED, str(problem)) from None

    def allowance(self, authorization: str) -> Allowance:
        """One whose profile there is. GatewayError unauthorized, unknown_profile."""
        found = self.holder(authorization)
        if found.profile not in self.profiles.by_name:
            known = ", ".join(self.profiles.by_name)
            raise GatewayError(Code.UNKNOWN_PROFILE, f"there is no profile {found.profile}; this gateway has {known}")
        return found

    def model(self, allowance: Allowance) -> Json:
        """What a mind may know of the profile that it is allowed."""
        profile = self.profiles.by_name[allowance.profile]
        return {
            "id": profile.name,
            "object": "model",
            "created": 0,
            "owned_by": "fedwright",
            "context_tokens": profile.context_tokens,
            "max_output_tokens": profile.max_output_tokens,
            "logprobs": profile.logprobs,
            "call_seconds": self.profiles.call_seconds(profile.name),
        }

    async def complete(self, allowance: Allowance, data: bytes) -> Json:
        """The answer to a body. GatewayError, with the transcript written all the same where the body was a question."""
        started = monotonic()
        asked = parse(data, self.redactor)
        self._check(allowance, asked)
        body = asked.body()
        call = _call(allowance, allowance.profile, body, started + self.profiles.call_seconds(allowance.profile))
        return await self._through(call, started, self.answerers.chats.answer)

    async def search(self, allowance: Allowance, data: bytes) -> Json:
        """What the web has to a question. GatewayError, with the transcript written all the same where the body was one."""
        started = monotonic()
        profile = self._search_profile(allowance)
        body = read(Query, data, self.redactor, "query").model_dump()
        call = _call(allowance, profile.name, body, started + profile.search_seconds)
        return await self._through(call, started, self._searched)

    def _search_profile(self, allowance: Allowance) -> SearchProfile:
        """The one that the allowance names. GatewayError unauthorized, unknown_profile."""
        if allowance.search is None:
            raise GatewayError(
                Code.UNAUTHORIZED, "the allowance is for no search of the web; name a profile in spec.minds.search"
            )
        known = self.profiles.search_by_name
        if allowance.search not in known:
            have = ", ".join(known) or "none"
            raise GatewayError(
                Code.UNKNOWN_PROFILE, f"there is no search profile {allowance.search}; this gateway has {have}"
            )
        return known[allowance.search]

    async def _searched(self, call: Call) -> Outcome:
        """Counted before it is asked, so that no kill makes a request's searches more."""
        most = self.profiles.search_by_name[call.profile].most_searches
        if await self.purse.begin_search(call.allowance.request_uid, most):
            return await self.answerers.searches.answer(call)
        refusal = GatewayError(
            Code.BUDGET_EXHAUSTED,
            f"budget exhausted: searches of the request: 0 left of {most}; go on without, or raise mostSearches of {call.profile}",
            budget="searches",
            scope="request",
            left=0,
            needed=1,
            limit=most,
        )
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Outcome(attempts=(), charged=Charge(), date=now, problem=refusal)

    async def _through(self, call: Call, started: float, answer: Callable[[Call], Awaitable[Outcome]]) -> Json:
        """One question numbered, answered, cleaned and written down."""
        number = await self.purse.next_number(call.allowance.request_uid)
        outcome = self._clean(await answer(call))
        transcript = _transcript(number, call, outcome, monotonic() - started)
        await asyncio.to_thread(self.transcripts.write, transcript)
        log.info("%s", _line(transcript))
        if outcome.answer is None:
            assert outcome.problem is not None
            raise outcome.problem
        return outcome.answer

    async def usage(self, holder: Allowance) -> Json:
        """What the holder's request was charged so far, open reservations included, beside the limits of the allowance.

        A profile that is gone since has been charged all the same, so it may be asked by any allowance.
        """
        roles = await self.purse.charged_by_role(holder.request_uid)
        whole = sum(roles.values(), Charge())
        usage = Usage(
            request=Account(charged=whole, limits=holder.request_limits),
            role=Account(charged=roles.get(holder.role, Charge()), limits=holder.role_limits),
            roles=roles,
        )
        return usage.to_wire()

    def _check(self, allowance: Allowance, asked: Asked) -> None:
        profile = self.profiles.by_name[allowance.profile]
        if asked.model != profile.name:
            raise GatewayError(
                Code.UNKNOWN_PROFILE, f"model is another than the allowance's profile {profile.name}; write that"
            )
        if (asked.max_tokens or 0) > profile.max_output_tokens:
            raise GatewayError(
                Code.BAD_REQUEST,
                f"max_tokens is {asked.max_tokens:,}, more than {profile.name} allows; lower it to {profile.max_output_tokens:,}",
            )
        if (size := prompt_bytes(asked.body())) > profile.context_tokens * LONGEST_TEXT_OF_A_TOKEN:
            raise GatewayError(
                Code.CONTEXT_TOO_LONG,
                f"the prompt has {size:,} bytes, more than {profile.context_tokens:,} tokens of context can hold; shorten it",
            )

    def _clean(self, outcome: Outcome) -> Outcome:
        """An answer without secrets. Log-probabilities repeat it token by token, so they go where something was cut out."""
        if outcome.answer is None:
            return outcome
        answer = self.redactor.value(outcome.answer)
        if answer != outcome.answer:
            for choice in answer.get("choices", ()):
                choice.pop("logprobs", None)
        return replace(outcome, answer=answer)


def _call(allowance: Allowance, profile: str, body: Json, deadline: float) -> Call:
    return Call(allowance, profile, body, call_digest(allowance.role, profile, body), deadline)


def _transcript(number: int, call: Call, outcome: Outcome, seconds: float) -> Transcript:
    holder = call.allowance
    return Transcript(
        number=number,
        digest=call.digest,
        request_uid=holder.request_uid,
        namespace=holder.namespace,
        name=holder.name,
        role=holder.role,
        candidate=holder.candidate,
        work_id=holder.work_id,
        profile=call.profile,
        answered_by=outcome.answered_by,
        model=outcome.answer["model"][:MOST_MODEL] if outcome.answer and "model" in outcome.answer else None,
        endpoint=outcome.endpoint,
        date=outcome.date,
        replayed=outcome.replayed,
        asked=call.body,
        answer=outcome.answer,
        problem=outcome.problem.problem if outcome.problem else None,
        attempts=outcome.attempts,
        charged=outcome.charged,
        cost_usd=outcome.charged.nano_usd / NANO,
        latency_seconds=round(seconds, 3),
    )


def _line(transcript: Transcript) -> str:
    """Of the log."""
    end = transcript.problem.code if transcript.problem else f"answered by {transcript.answered_by}"
    return (
        f"{transcript.request_uid} {transcript.number} {transcript.role} of {transcript.work_id}: {end},"
        f" {transcript.charged.tokens:,} tokens, {transcript.cost_usd:.6f} USD, {transcript.latency_seconds:.1f} s"
    )
