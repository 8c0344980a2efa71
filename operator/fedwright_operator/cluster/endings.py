"""How a step ended: from its launcher's last message where that is one, else from what the API says of its container.

The message is written by trusted code beside hostile code, so it is read as hostile: it counts only as a whole, for its own
step, and with the exit code of its reason, which no program in a cell can choose.
"""

from pydantic import ValidationError

from fedwright_boxes.pod.contract import EXIT_CODES, Ending
from fedwright_crds.work import Reason, Step, Verdict
from fedwright_operator.cluster.pods import Container

_BY_EXIT_CODE = {code: reason for reason, code in EXIT_CODES.items()}
_MESSAGE_LETTERS = 4000


def ending_of(step: Step, container: Container) -> Ending:
    """Of a step whose container has ended."""
    told = _told(step, container)
    if container.out_of_memory:
        return _seen(step, container, told, Reason.OUT_OF_MEMORY, "")
    if told:
        return told
    if container.completed and step.fleet:
        return _seen(
            step, container, None, Reason.PLATFORM, "its launcher left no whole message, so its messages are uncounted"
        )
    reason = Reason.PLATFORM if container.exit_code is None else _BY_EXIT_CODE.get(container.exit_code, Reason.PLATFORM)
    why = (
        f"its launcher ended with {container.exit_code} and left no whole message" if reason is Reason.PLATFORM else ""
    )
    return _seen(step, container, None, reason, why)


def words(step: str, ending: Ending) -> str:
    """Why a work ends with this step, as local boxes say it."""
    start = f"step {step}: "
    why = printable(ending.message.removeprefix(start)) or ending.verdict.reason.value
    return start + why


def printable(text: str) -> str:
    """Text of the API or a launcher as ASCII that a terminal and a document bear."""
    plain = text[:_MESSAGE_LETTERS].encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in plain)


def _told(step: Step, container: Container) -> Ending | None:
    message = container.message
    if not message.isascii():
        return None
    try:
        ending = Ending.model_validate_json(message)
    except ValidationError:
        return None
    verdict = ending.verdict
    if verdict.step != step.name or EXIT_CODES[verdict.reason] != container.exit_code or not _sound(step, verdict):
        return None
    text = "" if step.quiet else printable(verdict.text)
    return Ending(verdict=verdict.model_copy(update={"text": text}), message=ending.message)


def _sound(step: Step, verdict: Verdict) -> bool:
    """Figures are none below zero; messages are counted for fleets alone, and for each that completed."""
    counted = [one for one in (verdict.rounds, verdict.bytes_up, verdict.bytes_down) if one is not None]
    if counted and not step.fleet:
        return False
    if step.fleet and verdict.reason is Reason.COMPLETED and len(counted) < 3:
        return False
    return all(one >= 0 for one in (verdict.wall_seconds, verdict.cpu_seconds, verdict.peak_memory_mib or 0, *counted))


def _seen(step: Step, container: Container, told: Ending | None, reason: Reason, why: str) -> Ending:
    """By what the API says; of what the launcher said, its figures alone."""
    verdict = told.verdict if told else Verdict(step=step.name, reason=reason, wall_seconds=container.seconds)
    return Ending(verdict=verdict.model_copy(update={"reason": reason}), message=why)
