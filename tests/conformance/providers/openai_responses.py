"""OpenAI's Responses: items instead of messages, flat tools, numbered events, no [DONE]."""
import json

from harness.daemon import BUILD
from providers.openai import OpenAIChat
from service import body_of, pieces_of, sse
from words import Asked, Call, Image, Result, Text, Thinking


def read_content(content):
    if isinstance(content, str):
        return [Text(content)]
    parts = []
    for part in content:
        if part["type"] in ("input_text", "output_text"):
            parts.append(Text(part["text"]))
        else:
            assert part["type"] == "input_image", part
            head, data = part["image_url"].split(",", 1)
            parts.append(Image(head.removeprefix("data:").removesuffix(";base64"), data))
    return parts


def read_output(output):
    parts = [Text(output)] if isinstance(output, str) else read_content(output)
    text = "\n".join(p.text for p in parts if isinstance(p, Text))
    return text, [p for p in parts if isinstance(p, Image)]


def read_item(asked, item):
    kind = item.get("type", "message")
    if kind == "message":
        if item["role"] in ("system", "developer"):
            asked.system += "".join(p.text for p in read_content(item["content"]))
        else:
            asked.add(item["role"], read_content(item["content"]))
    elif kind == "function_call":
        assert isinstance(item["arguments"], str), item
        asked.add("assistant", [Call(item["call_id"], item["name"], json.loads(item["arguments"]))])
    elif kind == "function_call_output":
        text, images = read_output(item["output"])
        asked.add("user", [Result(item["call_id"], None, text.removeprefix("Error: "), text.startswith("Error: "))] + images)
    else:
        assert kind == "reasoning" and "id" in item, item
        asked.add("assistant", [Thinking("".join(s["text"] for s in item["summary"]), item.get("encrypted_content"))])


class OpenAIResponses(OpenAIChat):
    name = "openai_responses"
    settings = {"api": "responses"}
    models = ["gpt-model-1", "gpt-model-2"]
    stops = {"end_turn": "completed", "max_tokens": "max_output_tokens", "filter": "content_filter", "tool_use": "completed"}
    stop_raw_is_word = False
    opaque_on = "thinking"
    no_sampling = ("stop",)
    not_applicable = {}
    types = 'import type { ResponseCreateParams } from "openai/resources/responses/responses";\ntype Params = ResponseCreateParams;'

    def missing(self):
        plugin = BUILD / "plugins" / "openai.so"
        if not plugin.exists():
            return "plugin not built"
        return None if b"\nconfig api " in plugin.read_bytes() else "plugin has no Responses yet"

    def chat_path(self, model, stream):
        return self.base_path + "/responses"

    def is_chat(self, seen):
        return seen.path.endswith("/responses")

    # ---- requests ----

    def read(self, seen):
        b = body_of(seen)
        asked = Asked(b.pop("model"), b.pop("stream", False), b.pop("instructions", ""))
        items = b.pop("input")
        for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
            read_item(asked, item)
        for tool in b.pop("tools", []):
            assert tool["type"] == "function" and "function" not in tool, "tools are flat here"
            asked.tools[tool["name"]] = (tool.get("description", ""), tool["parameters"])
        choice = b.pop("tool_choice", "auto")
        asked.choice = "tool:" + choice["name"] if isinstance(choice, dict) else {"required": "any"}.get(choice, choice)
        for ours, theirs in (("max_tokens", "max_output_tokens"), ("temperature",) * 2, ("top_p",) * 2):
            if theirs in b:
                asked.sampling[ours] = b.pop(theirs)
        reasoning = b.pop("reasoning", {})
        if "effort" in reasoning:
            asked.sampling["reasoning"] = reasoning.pop("effort")
        reasoning.pop("summary", None)
        assert b.pop("store", False) is False, "a conversation is kept here, not there"
        assert b.pop("include", []) in ([], ["reasoning.encrypted_content"])
        asked.extra = {**b, **({"reasoning": reasoning} if reasoning else {})}
        return asked

    # ---- answers ----

    def usage(self, usage):
        return {"input_tokens": usage["input"], "output_tokens": usage["output"], "total_tokens": usage["input"] + usage["output"],
                **({"input_tokens_details": {"cached_tokens": usage["cache_read"]}} if "cache_read" in usage else {}),
                **({"output_tokens_details": {"reasoning_tokens": usage["reasoning"]}} if "reasoning" in usage else {})}

    def item(self, i, p):
        if isinstance(p, Call):
            return {"id": f"fc_{i}", "type": "function_call", "status": "completed", "call_id": p.id, "name": p.name, "arguments": json.dumps(p.args)}
        if isinstance(p, Thinking):
            return {"id": f"rs_{i}", "type": "reasoning", "summary": [{"type": "summary_text", "text": p.text}], "encrypted_content": p.opaque}
        return {"id": f"msg_{i}", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": p.text, "annotations": []}]}

    def response(self, says, model, status, items, usage=None):
        word = self.stops[says.stop]
        return {"id": says.id, "object": "response", "created_at": 1700000000, "status": status, "model": model or self.models[0], "output": items,
                "error": None, "incomplete_details": {"reason": word} if status == "incomplete" else None, "usage": usage and self.usage(usage)}

    def last_status(self, says):
        return "completed" if self.stops[says.stop] == "completed" else "incomplete"

    def whole(self, says, model):
        return self.response(says, model, self.last_status(says), [self.item(i, p) for i, p in enumerate(says.parts)], says.usage)

    def item_events(self, i, p):
        item = self.item(i, p)
        at = {"item_id": item["id"], "output_index": i}
        yield "response.output_item.added", {"output_index": i, "item": self.begun(item, p)}
        if isinstance(p, Call):
            for t in pieces_of(item["arguments"], 5):
                yield "response.function_call_arguments.delta", {**at, "delta": t}
            yield "response.function_call_arguments.done", {**at, "arguments": item["arguments"], "name": p.name}
        elif isinstance(p, Thinking):
            for t in pieces_of(p.text):
                yield "response.reasoning_summary_text.delta", {**at, "summary_index": 0, "delta": t}
        else:
            yield "response.content_part.added", {**at, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}
            for t in pieces_of(p.text):
                yield "response.output_text.delta", {**at, "content_index": 0, "delta": t, "logprobs": []}
            yield "response.output_text.done", {**at, "content_index": 0, "text": p.text, "logprobs": []}
        yield "response.output_item.done", {"output_index": i, "item": item}

    def begun(self, item, part):
        """An item as it is announced, before its contents."""
        empty = {Call: {"arguments": ""}, Thinking: {"summary": [], "encrypted_content": None}, Text: {"content": []}}
        return {**item, **empty[type(part)], **({"status": "in_progress"} if "status" in item else {})}

    def stream(self, says, model):
        running = {"response": self.response(says, model, "in_progress", [])}
        events = [("response.created", running), ("response.in_progress", running)]
        for i, p in enumerate(says.parts):
            events += self.item_events(i, p)
        events.append(("response." + self.last_status(says), {"response": self.whole(says, model)}))
        return [sse({"type": kind, "sequence_number": n, **value}, kind) for n, (kind, value) in enumerate(events)]

    def mid_stream(self):
        wrong = {"type": "error", "sequence_number": 9, "code": "server_error", "message": "The server had an error", "param": None}
        failed = {"id": "answer-1", "object": "response", "status": "failed", "output": [], "usage": None,
                  "error": {"code": "rate_limit_exceeded", "message": "Rate limit reached"}}
        return [([sse(wrong, "error")], "upstream_failed", "server_error"),
                ([sse({"type": "response.failed", "sequence_number": 9, "response": failed}, "response.failed")], "rate_limited", "rate_limit_exceeded")]
