"""Friendli: OpenAI's chat completions; serverless at api.friendli.ai, dedicated at an address of one's own."""
from providers.openai import OpenAIChat
from service import as_bytes, whole_reply


class Friendli(OpenAIChat):
    name = plugin = "friendli"
    base_path = "/dedicated/v1"
    models = ["endpoint-1", "endpoint-2"]
    extra = {"min_p": 0.1, "repetition_penalty": 1.1, "chat_template_kwargs": {"enable_thinking": False}}
    aimock = "/dedicated/v1"

    def credentials(self, key):
        return {"token": key}

    def environment(self, base, key):
        return {"FRIENDLI_TOKEN": key, "FRIENDLI_ENDPOINT_URL": base}, {}

    def read(self, seen):
        """Both names of the limit are taken."""
        asked = super().read(seen)
        if "max_tokens" in asked.extra:
            asked.sampling["max_tokens"] = asked.extra.pop("max_tokens")
        return asked

    def other(self, seen, service):
        """The list of a dedicated endpoint is a bare array."""
        path = seen.path.removeprefix(self.base_path)
        rows = [{"id": m, "name": m} for m in service.models]
        return whole_reply(as_bytes(rows)) if path == "/models" else None
