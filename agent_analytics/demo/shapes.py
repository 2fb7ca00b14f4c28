"""What the demo's invented organizations look like: their agent types, models, errors, size, rhythm and story."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Model:
    """A model and, in nano-dollars a token, what an organization's own gateway bills for it."""

    name: str
    version: str | None
    input_rate: int
    output_rate: int


@dataclass(frozen=True)
class AgentType:
    """How the runs of one agent type usually go.

    `minutes`, `input` and `output` (tokens) are medians of log-normal draws, `spread` their sigma. `read` and
    `written` are the cached shares of the input, `reasoning` a share of the output. `models` and the
    organizations' mixes hold weights; of `errors` the first is the most frequent.
    """

    minutes: float
    spread: float
    input: int
    output: int
    failure: float
    cancel: float
    models: Mapping[str, float]
    errors: tuple[str, ...]
    read: float = 0.0
    written: float = 0.0
    reasoning: float = 0.0
    trigger: str = "manual"
    code: bool = False
    scheduled: bool = False


@dataclass(frozen=True)
class Unusual:
    """A working day, about `age` days before the story's last one, that went its own way."""

    age: int
    runs: float = 1.0
    failures: float = 1.0
    tokens: float = 1.0
    error: str | None = None


@dataclass(frozen=True)
class Switch:
    """From `age` days before the story's last one, `agent_type` uses `model` alone; no model: it starts then."""

    agent_type: str
    age: int
    model: str | None = None


@dataclass(frozen=True)
class Shape:
    """One organization: `runs` on a common working day, `growth` over the story, people and what they run."""

    runs: int
    growth: float
    people: int
    mix: Mapping[str, float]
    repositories: tuple[str, ...]
    holiday: int
    unusual: tuple[Unusual, ...]
    switch: Switch | None = None
    reports: Mapping[str, str] = field(default_factory=dict)


# `acme-coder-14b` is invented, so no price table knows it; the others are real.
MODELS = (
    Model("claude-sonnet-4-5", "20250929", 2_700, 13_500),
    Model("claude-opus-4-5", "20251101", 4_500, 22_500),
    Model("claude-haiku-4-5", "20251001", 900, 4_500),
    Model("gpt-5.2", "2025-12-11", 1_600, 12_600),
    Model("gpt-5-mini", "2025-08-07", 230, 1_800),
    Model("gemini-2.5-flash", None, 270, 2_250),
    Model("acme-coder-14b", "r7", 0, 0),
)

ERRORS = {
    "rate_limited": (
        "429 from the model provider: requests per minute exceeded, gave up after the last retry",
        "429 from the model provider: tokens per minute exceeded",
    ),
    "timeout": ("No answer from the model within 600 s", "The run's time limit was reached"),
    "tool_error": (
        "Tool 'shell' exited with status 137: out of memory",
        "Tool 'fetch' failed: connection reset by peer",
        "Tool 'search' returned malformed JSON",
    ),
    "context_length": ("The prompt is longer than the model's context window",),
    "tests_failed": ("3 of 412 tests still fail after 5 attempts", "The build fails: unresolved import"),
    "permission_denied": ("403 from the repository host: no write access to the branch",),
    "invalid_output": ("The answer does not match the schema: 'total' is missing",),
    "provider_unavailable": ("529 from the model provider: overloaded", "503 from the model provider"),
    "worker_lost": ("The worker stopped answering; when the run ended is not known",),
}

AGENT_TYPES = {
    "code-review": AgentType(
        3.2, 0.7, 38_000, 2_400, 0.04, 0.01,
        {"claude-sonnet-4-5": 0.8, "gpt-5.2": 0.2},
        ("rate_limited", "context_length", "timeout"),
        read=0.55, written=0.12, trigger="pull_request", code=True,
    ),
    "bug-fix": AgentType(
        14.0, 0.9, 420_000, 11_000, 0.17, 0.06,
        {"claude-opus-4-5": 0.45, "gpt-5.2": 0.55},
        ("tests_failed", "tool_error", "context_length", "timeout"),
        read=0.82, written=0.07, code=True,
    ),
    "test-writer": AgentType(
        8.0, 0.8, 110_000, 9_000, 0.11, 0.03,
        {"claude-haiku-4-5": 0.6, "acme-coder-14b": 0.4},
        ("tests_failed", "tool_error", "timeout"),
        read=0.5, written=0.1, code=True,
    ),
    "docs-writer": AgentType(
        4.0, 0.6, 45_000, 3_500, 0.03, 0.02,
        {"gemini-2.5-flash": 1.0},
        ("permission_denied", "timeout"),
        code=True, scheduled=True,
    ),
    "incident-triage": AgentType(
        2.1, 0.8, 60_000, 1_800, 0.07, 0.005,
        {"claude-haiku-4-5": 1.0},
        ("tool_error", "rate_limited", "timeout"),
        read=0.3, written=0.2, trigger="alert", scheduled=True,
    ),
    "research": AgentType(
        22.0, 1.0, 180_000, 14_000, 0.09, 0.08,
        {"gpt-5.2": 1.0},
        ("timeout", "tool_error", "rate_limited"),
        read=0.2, reasoning=0.6,
    ),
    "support-reply": AgentType(
        0.6, 0.6, 6_500, 420, 0.025, 0.015,
        {"claude-haiku-4-5": 0.5, "gpt-5-mini": 0.5},
        ("invalid_output", "rate_limited"),
        trigger="ticket",
    ),
    "dispatch-planner": AgentType(
        6.5, 0.5, 85_000, 12_000, 0.06, 0.02,
        {"gpt-5.2": 0.7, "gpt-5-mini": 0.3},
        ("invalid_output", "timeout"),
        reasoning=0.5, trigger="api",
    ),
    "invoice-reader": AgentType(
        0.9, 0.5, 14_000, 900, 0.05, 0.0,
        {"gemini-2.5-flash": 1.0},
        ("invalid_output", "tool_error"),
        trigger="api", scheduled=True,
    ),
    "report-writer": AgentType(
        5.0, 0.6, 70_000, 6_000, 0.05, 0.03,
        {"claude-sonnet-4-5": 1.0},
        ("invalid_output", "tool_error", "timeout"),
        scheduled=True,
    ),
    "sql-assistant": AgentType(
        0.8, 0.7, 9_000, 700, 0.08, 0.04,
        {"gpt-5-mini": 1.0},
        ("tool_error", "invalid_output"),
        reasoning=0.3,
    ),
    # Watches for some four hours and hands over to the next one, so there is always a run to see.
    "log-watch": AgentType(
        275.0, 0.02, 600_000, 8_000, 0.0, 0.0,
        {"gpt-5-mini": 1.0},
        ("tool_error",),
        read=0.6, trigger="schedule",
    ),
}  # fmt: skip
WATCH = "log-watch"

# `reports`: what cost the organization's records bring along ("parts" with their sum, or the "total" alone).
SHAPES = {
    "acme": Shape(
        1300, 0.5, 84,
        {
            "code-review": 0.34, "bug-fix": 0.17, "test-writer": 0.15, "docs-writer": 0.07,
            "incident-triage": 0.09, "research": 0.05, "support-reply": 0.13,
        },
        ("acme/checkout", "acme/robot-arm", "acme/fleet-api", "acme/search-index", "acme/website"),
        holiday=63,
        unusual=(Unusual(26, 0.8, 5.0, error="provider_unavailable"), Unusual(75, 1.5)),
        switch=Switch("code-review", 18, "claude-opus-4-5"),
    ),
    "globex": Shape(
        630, 0.2, 40,
        {
            "dispatch-planner": 0.3, "invoice-reader": 0.25, "support-reply": 0.25,
            "code-review": 0.12, "incident-triage": 0.08,
        },
        ("globex/router", "globex/warehouse-app", "globex/edi"),
        holiday=49,
        unusual=(Unusual(11, 1.1, tokens=5.0), Unusual(52, 0.6, 3.0, error="rate_limited")),
        switch=Switch("dispatch-planner", 80),
        reports={"invoice-reader": "total"},
    ),
    "initech": Shape(
        215, -0.1, 16,
        {"sql-assistant": 0.45, "report-writer": 0.35, "code-review": 0.2},
        ("initech/ledger", "initech/reports"),
        holiday=35,
        unusual=(Unusual(20, 2.4),),
        reports={"sql-assistant": "parts", "report-writer": "parts"},
    ),
}  # fmt: skip

FIRST_NAMES = (
    "amara ben chiara david elif farid greta hugo ines jonas kavya liam mira noor oskar priya quentin rosa sven "
    "tara umar vera wen xenia yusuf zoe anika bruno celia dmitri esther finn"
)
LAST_NAMES = (
    "abe baker castro dahl evans fischer garcia haddad ito jensen kumar larsen moreau nguyen olsen petrov quist "
    "rossi schmidt tanaka ueda vogel weber xu yilmaz zimmer adeyemi bianchi costa duarte engel farkas"
)
