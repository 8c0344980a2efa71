"""The HTTP side of the gateway: routes, sizes, and errors in OpenAI's shape."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fedwright_agents.gateway.chat import MOST_BYTES, Json
from fedwright_agents.gateway.errors import STATUS, Code, GatewayError
from fedwright_agents.gateway.redaction import Redactor
from fedwright_agents.gateway.service import Service

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def application(redactor: Redactor, lifespan: Lifespan) -> Starlette:
    """`lifespan` puts the `Service` into the application's state before the first request."""

    async def refused(_request: Request, problem: Exception) -> Response:
        return _error(redactor, problem)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/search", search, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/usage", usage),
            Route("/healthz", healthz),
        ],
        exception_handlers=dict.fromkeys((GatewayError, HTTPException, ClientDisconnect, Exception), refused),
        lifespan=lifespan,
    )


async def complete(request: Request) -> Response:
    service = _service(request)
    allowance = service.allowance(request.headers.get("authorization", ""))
    return JSONResponse(await service.complete(allowance, await _body(request)))


async def search(request: Request) -> Response:
    service = _service(request)
    allowance = service.allowance(request.headers.get("authorization", ""))
    return JSONResponse(await service.search(allowance, await _body(request)))


async def models(request: Request) -> Response:
    service = _service(request)
    allowance = service.allowance(request.headers.get("authorization", ""))
    return JSONResponse({"object": "list", "data": [service.model(allowance)]})


async def usage(request: Request) -> Response:
    service = _service(request)
    return JSONResponse(await service.usage(service.holder(request.headers.get("authorization", ""))))


async def healthz(_request: Request) -> Response:
    return JSONResponse({"ok": True})


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise GatewayError(Code.BAD_REQUEST, f"the body has more than {MOST_BYTES // 2**20} MiB; shorten it")
    return bytes(body)


def _error(redactor: Redactor, problem: Exception) -> Response:
    """No client should try again by itself: the gateway has."""
    status, error = _told(problem)
    headers = {"x-should-retry": "false"}
    if seconds := error.details.get("retry_after"):
        headers["retry-after"] = f"{seconds:.0f}"
    body: Json = redactor.value(error.body())
    return JSONResponse(body, status_code=status, headers=headers)


def _told(problem: Exception) -> tuple[int, GatewayError]:
    match problem:
        case GatewayError():
            return STATUS[problem.code], problem
        case HTTPException():
            words = (
                f"{problem.detail}; ask POST /v1/chat/completions, POST /v1/search, GET /v1/models, GET /v1/usage"
                " or GET /healthz"
            )
            return problem.status_code, GatewayError(Code.BAD_REQUEST, words)
        case ClientDisconnect():
            return 400, GatewayError(Code.BAD_REQUEST, "the client left before its body had come")
        case _:
            return 500, GatewayError(Code.INTERNAL, "a fault of the gateway; its log has more")
