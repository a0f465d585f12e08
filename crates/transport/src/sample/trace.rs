//! What observers see of a step: spans and events of `tracing`.
//!
//! Attribute names are those of the OpenTelemetry conventions for generative AI and HTTP, where they
//! exist. Nothing here holds what was said, and nothing a secret.

use tracing::{Span, field};

use crate::retry::Verdict;
use crate::{ModelError, Provider, Request, ResponseEvent};

/// The name of a provider: that of the conventions, where they have one.
fn provider_name(server: &Provider) -> &str {
    match (server.vendor_headers, server.stores_responses) {
        (true, _) => "openai",
        (false, true) => "azure.ai.openai",
        (false, false) => &server.name,
    }
}

/// The span of a step, and that of its present attempt.
pub(super) struct Trace {
    step: Span,
    attempt: Span,
    attempts: u32,
    /// Whether the present attempt has brought an event.
    is_streaming: bool,
}

impl Trace {
    /// The span of a step that asks for `request`, a child of the current span.
    pub(super) fn new(request: &Request, server: Option<&Provider>) -> Self {
        let step = tracing::info_span!(
            "chat",
            otel.name = %format_args!("chat {}", request.model),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            gen_ai.request.model = request.model,
            gen_ai.request.stream = true,
            gen_ai.conversation.id = field::Empty,
            gen_ai.request.max_tokens = request.options.max_output_tokens,
            gen_ai.request.temperature = request.options.temperature,
            gen_ai.request.top_p = request.options.top_p,
            gen_ai.provider.name = server.map(provider_name),
            server.address = server.and_then(|server| server.base_url.host_str()),
            server.port = server.and_then(|server| server.base_url.port_or_known_default()),
            gen_ai.response.id = field::Empty,
            gen_ai.usage.input_tokens = field::Empty,
            gen_ai.usage.cache_read.input_tokens = field::Empty,
            gen_ai.usage.output_tokens = field::Empty,
            gen_ai.usage.reasoning.output_tokens = field::Empty,
            error.type = field::Empty,
            longhaul.task = request.task_kind.as_str(),
            longhaul.attempts = field::Empty,
        );
        if !request.session_id.is_empty() {
            step.record("gen_ai.conversation.id", &*request.session_id);
        }
        Self { step, attempt: Span::none(), attempts: 0, is_streaming: false }
    }

    /// The span to do the next thing in; `begins` opens that of a further attempt.
    pub(super) fn span(&mut self, begins: bool) -> Span {
        if begins {
            self.attempts = self.attempts.saturating_add(1);
            self.is_streaming = false;
            let attempt = tracing::debug_span!(
                parent: &self.step,
                "attempt",
                http.request.method = "POST",
                http.request.resend_count = self.attempts - 1,
                http.response.status_code = field::Empty,
                error.type = field::Empty,
            );
            self.attempt = attempt;
        }
        if self.attempt.is_none() { self.step.clone() } else { self.attempt.clone() }
    }

    /// Requests sent so far.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn event(&mut self, event: &ResponseEvent) {
        if event.is_progress() && !std::mem::replace(&mut self.is_streaming, true) {
            tracing::debug!("the first event");
        }
        let ResponseEvent::Completed(completed) = event else {
            return;
        };
        self.step.record("longhaul.attempts", self.attempts);
        if let Some(id) = &completed.response_id {
            self.step.record("gen_ai.response.id", &**id);
        }
        if let Some(usage) = &completed.usage {
            self.step.record("gen_ai.usage.input_tokens", usage.input);
            self.step.record("gen_ai.usage.cache_read.input_tokens", usage.cached_input);
            self.step.record("gen_ai.usage.output_tokens", usage.output);
            self.step.record("gen_ai.usage.reasoning.output_tokens", usage.reasoning_output);
        }
        tracing::debug!(attempts = self.attempts, "the response is complete");
    }

    /// An attempt failed, and this is what follows.
    pub(super) fn failed(&self, error: &ModelError, verdict: &Verdict) {
        self.attempt.record("error.type", error.code().as_str());
        if let Some(status) = error.status() {
            self.attempt.record("http.response.status_code", status);
        }
        tracing::info!(
            error.type = error.code().as_str(),
            http.response.status_code = error.status(),
            request_id = error.request_id(),
            attempts = self.attempts,
            ?verdict,
            "an attempt failed"
        );
    }

    /// The step failed.
    pub(super) fn ended(&self, error: &ModelError) {
        self.step.record("error.type", error.code().as_str());
        self.step.record("longhaul.attempts", self.attempts);
    }
}
