"""litellm, imported so that it downloads nothing, reads no `.env` file and says nothing. Import it from here alone."""

import logging
import os

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download at import
    "LITELLM_MODE": "PRODUCTION",  # reads no .env
    "LITELLM_LOG": "ERROR",
}

import litellm
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from litellm.utils import _should_retry as should_retry

litellm.suppress_debug_info = True
litellm.drop_params = False
litellm.modify_params = False
for _name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
    logging.getLogger(_name).handlers.clear()  # the root's handler redacts, these do not

__all__ = ["AsyncHTTPHandler", "litellm", "should_retry"]
