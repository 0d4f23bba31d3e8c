"""Azure OpenAI, in both forms of its addresses: by deployment with an api-version, and v1."""
from providers.openai import OpenAIChat
from service import sse, whole_reply
from words import Says, Text

VERSION = "2024-10-21"


class Azure(OpenAIChat):
    name = plugin = "azure"
    base_path = ""
    models = ["deployment-1", "deployment-2"]
    aimock = ""

    def configure(self, key, model):
        return {**super().configure(key, model), "azure_deployment_details": self.details(None, model)}

    def details(self, endpoint, model):
        return {"deployment_name": model, "api_version": VERSION, **({"endpoint": endpoint} if endpoint else {})}

    def override(self, base):
        return {"base_url": base}

    def environment(self, base, key):
        return {"AZURE_OPENAI_API_KEY": key, "AZURE_OPENAI_ENDPOINT": base, "OPENAI_API_VERSION": VERSION}, {}

    def key_of(self, seen):
        return seen.headers.get("api-key", "")

    def check_headers(self, seen):
        assert "authorization" not in seen.headers, "the key goes as api-key"

    def chat_path(self, model, stream):
        return f"/openai/deployments/{model}/chat/completions?api-version={VERSION}"

    def read(self, seen):
        """The deployment stands in the path; the body need not say it again, but may."""
        asked = super().read(seen)
        if seen.path.startswith("/openai/deployments/"):
            asked.model = seen.path.split("/")[3]
        return asked

    def stream(self, says, model):
        """The first chunk has no choice, and nothing in it but what the filter said."""
        filtered = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]}
        return [sse({"choices": [], "created": 0, "id": "", "model": "", "object": "", **filtered})] + super().stream(says, model)

    def listed(self, user):
        return [user.model]

    def other(self, seen, service):
        return None

    def own_cases(self):
        return [filter_results_in_choices]


class AzureV1(Azure):
    name = "azure_v1"
    base_path = aimock = "/openai/v1"

    def details(self, endpoint, model):
        return {"deployment_name": model, "api_version": "v1", **({"endpoint": endpoint} if endpoint else {})}

    def environment(self, base, key):
        return {"AZURE_OPENAI_API_KEY": key, "AZURE_OPENAI_ENDPOINT": base.removesuffix(self.base_path), "OPENAI_API_VERSION": "v1"}, {}

    def chat_path(self, model, stream):
        return "/openai/v1/chat/completions"

    def other(self, seen, service):
        path = seen.path.split("?")[0].removeprefix(self.base_path)
        if path == "/models":
            return whole_reply({"object": "list", "data": [{"id": m, "object": "model"} for m in service.models]})
        return None


def filter_results_in_choices(b):
    """Choices carry what the filter said of them."""
    u = b.user()
    body = b.provider.whole(Says([Text("mild")]), u.model)
    body["choices"][0]["content_filter_results"] = {"violence": {"filtered": False, "severity": "safe"}}
    x = b.exchange(u, [whole_reply(body)], stream=False)
    assert x.result and x.result["text"] == "mild", x.error and x.error.message
