//! What a turn may cost.

use std::collections::BTreeMap;
use std::fmt;

use longhaul_history::usage::TokenUsage;

/// What tokens of a model cost, in whatever currency, for a million of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Price {
    /// Input that the server's cache did not have.
    pub input: f64,
    /// Input that it had.
    pub cached_input: f64,
    /// Output, reasoning included.
    pub output: f64,
}

impl Price {
    /// These prices for a million tokens.
    pub fn per_million(input: f64, cached_input: f64, output: f64) -> Self {
        Self { input, cached_input, output }
    }

    /// What `usage` costs.
    #[expect(clippy::cast_precision_loss, reason = "nobody pays for 2^53 tokens")]
    pub fn cost(&self, usage: &TokenUsage) -> f64 {
        let cached = usage.cached_input.min(usage.input);
        let of = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        of(usage.input - cached, self.input)
            + of(cached, self.cached_input)
            + of(usage.output, self.output)
    }
}

/// Prices by model. Empty by default: prices change, and this crate does not know yours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceTable(BTreeMap<String, Price>);

impl PriceTable {
    /// The same table with a price for models whose slug begins with `slug`.
    #[must_use]
    pub fn with(mut self, slug: impl Into<String>, price: Price) -> Self {
        self.0.insert(slug.into(), price);
        self
    }

    /// The price of a model: that of the longest entry that its slug begins with.
    pub fn find(&self, model: &str) -> Option<Price> {
        let matching = self.0.iter().filter(|(slug, _)| model.starts_with(slug.as_str()));
        matching.max_by_key(|(slug, _)| slug.len()).map(|(_, price)| *price)
    }
}

/// What a turn may use before it is stopped. It is looked at before each request: the response that
/// goes beyond it is whole, and the next one is not asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// Tokens, input and output together, compactions included. Default: no bound.
    pub tokens: Option<u64>,
    /// Cost by the [`PriceTable`], in its currency. Default: no bound.
    pub cost: Option<f64>,
    /// Requests, repeated ones and those of compactions included. Default: no bound.
    pub requests: Option<u32>,
}

impl Budget {
    /// A budget of tokens.
    pub fn tokens(tokens: u64) -> Self {
        Self { tokens: Some(tokens), ..Self::default() }
    }

    /// A budget of money.
    pub fn cost(cost: f64) -> Self {
        Self { cost: Some(cost), ..Self::default() }
    }

    /// A budget of requests.
    pub fn requests(requests: u32) -> Self {
        Self { requests: Some(requests), ..Self::default() }
    }

    /// What of the budget is used up, if anything is.
    pub fn exceeded(&self, spent: &Spent) -> Option<Exceeded> {
        let (tokens, cost, requests) = (spent.usage.total, spent.cost, spent.attempts);
        let by_tokens = self.tokens.filter(|limit| tokens >= *limit);
        let by_cost = self.cost.filter(|limit| cost >= *limit);
        let by_requests = self.requests.filter(|limit| requests >= *limit);
        by_tokens
            .map(|limit| Exceeded::Tokens { used: tokens, limit })
            .or(by_cost.map(|limit| Exceeded::Cost { used: cost, limit }))
            .or(by_requests.map(|limit| Exceeded::Requests { used: requests, limit }))
    }
}

/// What a turn has spent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Spent {
    /// The sum over its responses.
    pub usage: TokenUsage,
    /// Responses that it asked for.
    pub model_calls: u32,
    /// Requests that it sent, those of compactions included, and repeats from when they were decided.
    pub attempts: u32,
    /// What it cost, by the [`PriceTable`].
    pub cost: f64,
}

impl Spent {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.usage.add(&other.usage);
        self.model_calls = self.model_calls.saturating_add(other.model_calls);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.cost += other.cost;
    }

    /// What came to `earlier` until this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            usage: self.usage.since(&earlier.usage),
            model_calls: self.model_calls.saturating_sub(earlier.model_calls),
            attempts: self.attempts.saturating_sub(earlier.attempts),
            cost: self.cost - earlier.cost,
        }
    }
}

/// The part of a [`Budget`] that a turn has used up.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Exceeded {
    /// Its tokens.
    Tokens {
        /// So many were used.
        used: u64,
        /// So many may be.
        limit: u64,
    },
    /// Its money.
    Cost {
        /// So much was spent.
        used: f64,
        /// So much may be.
        limit: f64,
    },
    /// Its requests.
    Requests {
        /// So many were sent.
        used: u32,
        /// So many may be.
        limit: u32,
    },
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens { used, limit } => write!(f, "used {used} of {limit} tokens"),
            Self::Cost { used, limit } => write!(f, "cost {used:.4} of {limit:.4}"),
            Self::Requests { used, limit } => write!(f, "sent {used} of {limit} requests"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(tokens: u64, cost: f64, attempts: u32) -> Spent {
        let usage = TokenUsage { total: tokens, ..TokenUsage::default() };
        Spent { usage, attempts, cost, ..Spent::default() }
    }

    #[test]
    fn cached_input_has_its_own_price_and_reasoning_is_output() {
        let price = Price::per_million(2.0, 0.5, 10.0);
        let usage = TokenUsage {
            input: 1_000_000,
            cached_input: 400_000,
            output: 100_000,
            reasoning_output: 90_000,
            total: 1_100_000,
        };
        assert!((price.cost(&usage) - 2.4).abs() < 1e-9);
        let odd = TokenUsage { input: 10, cached_input: 20, ..TokenUsage::default() };
        assert!((price.cost(&odd) - 5e-6).abs() < 1e-12);
    }

    #[test]
    fn the_longest_slug_that_a_model_begins_with_has_its_price() {
        let price = |input| Price::per_million(input, 0.0, 0.0);
        let table = PriceTable::default().with("gpt-5", price(1.0)).with("gpt-5-mini", price(2.0));
        let input = |model| table.find(model).map(|price| price.input);
        let found = ["gpt-5-mini-2", "gpt-5-codex", "gpt-4"].map(input);
        assert_eq!(found, [Some(2.0), Some(1.0), None]);
    }

    #[test]
    fn a_budget_is_used_up_when_its_limit_is_reached() {
        let mut budget = Budget::tokens(10);
        budget.requests = Some(3);
        assert_eq!(budget.exceeded(&spent(9, 1e9, 2)), None);
        let tokens = Exceeded::Tokens { used: 10, limit: 10 };
        assert_eq!(budget.exceeded(&spent(10, 0.0, 3)), Some(tokens));
        let requests = Exceeded::Requests { used: 3, limit: 3 };
        assert_eq!(budget.exceeded(&spent(0, 0.0, 3)), Some(requests));
        let cost = Exceeded::Cost { used: 0.5, limit: 0.5 };
        assert_eq!(Budget::cost(0.5).exceeded(&spent(0, 0.5, 0)), Some(cost));
        assert_eq!(Budget::default().exceeded(&spent(u64::MAX, f64::MAX, u32::MAX)), None);
    }
}
