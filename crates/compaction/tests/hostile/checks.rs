//! What holds of each request, each result and each failure.

use longhaul_compaction::{
    Answer, Budget, Cause, Compacted, Error, Ladder, SUMMARIZATION_PROMPT, Verdict, View,
};
use longhaul_history::{History, Item, ItemKind, Role};
use longhaul_testkit::check::pairing;

use crate::case::{Case, Host, outline};
use crate::common::{IMAGE_TOKENS, applied, drive, history, sent, user};
use crate::naive::{
    ceiling, context_len, holds_in_order, is_users, last_user, prompt_tokens, quarter, text_of,
    with_counterparts, without_numbers,
};

impl Case {
    /// The whole property.
    pub(crate) fn check(&self) {
        let mut before = history(self.talk.clone());
        before.normalise();
        let budget = self.budget(before.prompt(self.filter).tokens());
        let view = self.view(before.clone(), &budget);
        let has_hook = !matches!(self.host, Host::None);
        let ladder = Ladder::new(&self.config(), view.clone(), budget, has_hook);
        let mut request = 0;
        let course = drive(
            ladder,
            |ask| {
                let input = before.composed(ask.input.iter().cloned()).unwrap();
                self.check_request(&before, &input, &budget, ask.trimmed_items);
                assert!(ask.tokens <= before.tokens() + self.overhead + prompt_tokens());
                request += 1;
                self.answer(request - 1, before.tokens())
            },
            |_| self.verdict(view.prefix_len()),
        );
        assert!(course.asked.len() <= 3);
        let counts: Vec<usize> = course.asked.iter().map(|ask| ask.trimmed_items).collect();
        assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
        match &course.end {
            Ok(compacted) => {
                assert_eq!(compacted.report.requests as usize, course.asked.len());
                self.check_result(&before, &view, &budget, compacted);
            }
            Err(error) => self.check_failure(&before, &view, &budget, error),
        }
    }

    fn check_request(&self, before: &History, input: &History, budget: &Budget, trimmed: usize) {
        assert_eq!(pairing(&sent(input, self.filter)), Ok(()));
        assert_eq!(input.clone().normalise(), vec![]);
        let seen = |history: &History| history.prompt(self.filter).item_count();
        assert_eq!(trimmed, seen(before) - seen(input));
        let stays: Vec<&Item> = before.iter().take(context_len(before)).collect();
        assert!(input.iter().take(stays.len()).eq(stays));
        assert!(holds_in_order(input, before.iter().filter(|item| item.is_pinned())));
        if let Some(last) = last_user(before) {
            assert!(input.iter().any(|item| item == last));
        }
        if let Some(ceiling) = ceiling(budget) {
            let mut prompt = input.prompt(self.filter);
            prompt.push(&user(SUMMARIZATION_PROMPT));
            // The frame of the prompt's own message is not counted beforehand.
            let request = budget.request(prompt.tokens() - 4);
            assert!(request <= ceiling, "{request} of {ceiling}");
        }
    }

    fn check_result(&self, before: &History, view: &View, budget: &Budget, compacted: &Compacted) {
        let json = serde_json::to_string(compacted).unwrap();
        let read: Compacted = serde_json::from_str(&json).unwrap();
        let after = applied(before, compacted);
        assert_eq!(applied(before, &read), after);
        assert_ne!(after, *before);

        // It can be sent.
        assert_eq!(pairing(&sent(&after, self.filter)), Ok(()));
        assert_eq!(after.clone().normalise(), vec![]);
        let (old, new) = (before.prompt(self.filter).tokens(), after.prompt(self.filter).tokens());
        assert_eq!(compacted.report.tokens_before, budget.request(old));
        assert_eq!(compacted.report.tokens_after, budget.request(new));
        if let Some(ceiling) = ceiling(budget) {
            assert!(budget.request(new) <= ceiling);
        }
        assert!(new <= 2_000 || budget.request(new) <= budget.request(old));

        // It holds what was promised.
        self.check_context(before, &after);
        assert!(holds_in_order(&after, before.iter().filter(|item| item.is_pinned())));
        self.check_last_message(before, &after, budget, compacted.report.cut_tokens);
        let is_edited =
            compacted.report.strategy != "summarise" && compacted.report.strategy != "extract";
        if !is_edited {
            assert_eq!(after.iter().filter(|item| item.is_bridge()).count(), 1);
            let ghosts = |history: &History| {
                history.iter().filter(|item| item.kind() == ItemKind::GhostSnapshot).count()
            };
            assert_eq!(ghosts(&after), ghosts(before));
            self.check_quotes(before, &after, budget);
            let has_added = matches!(self.host, Host::AddsNote);
            if compacted.report.strategy == "summarise" && !has_added {
                self.check_again(&after, budget);
            }
        }
        let pending = before.len() - view.prefix_len();
        assert!(after.iter().rev().take(pending).eq(before.iter().rev().take(pending)));
    }

    fn check_context(&self, before: &History, after: &History) {
        let old: Vec<&Item> = before.iter().take(context_len(before)).collect();
        if self.context.is_empty() {
            assert!(after.iter().take(old.len()).eq(old));
        } else {
            let developers =
                old.iter().copied().filter(|item| item.kind() != ItemKind::Message(Role::User));
            assert!(holds_in_order(after, developers));
            assert!(holds_in_order(after, &self.context));
        }
    }

    fn check_last_message(&self, before: &History, after: &History, budget: &Budget, cut: u64) {
        let Some(last) = last_user(before) else { return };
        if after.iter().any(|item| item == last) {
            return;
        }
        let bridge = after.iter().rfind(|item| item.is_bridge()).unwrap();
        let quoted = bridge.bridge_parts().unwrap().user_messages;
        let text = without_numbers(&text_of(last));
        let most = self.message_tokens.min(quarter(budget));
        if text.is_empty() {
            return;
        }
        let Some(quote) = quoted.last().map(|quote| without_numbers(quote)) else {
            panic!("nothing is quoted")
        };
        if text.len().div_ceil(4) as u64 + 4 <= most {
            assert_eq!((quote, cut), (text, 0));
        } else if quote != text {
            assert!(quote.len().div_ceil(4) as u64 <= most && cut > 0);
            let (start, end) = quote.split_once('…').unwrap_or((&quote, "…\n"));
            assert!(text.starts_with(start));
            assert!(text.ends_with(end.split_once("…\n").unwrap().1));
        }
    }

    /// The user's messages are quoted in order, the newest first in the budget.
    fn check_quotes(&self, before: &History, after: &History, budget: &Budget) {
        let bridge = after.iter().find(|item| item.is_bridge()).unwrap();
        let quoted = bridge.bridge_parts().unwrap().user_messages;
        let most = self.message_tokens.min(quarter(budget));
        let tokens = |quote: &String| quote.len().div_ceil(4) as u64;
        let total: u64 = quoted.iter().map(tokens).sum();
        // What the last one takes above an eighth is on top.
        let on_top = quoted.last().map_or(0, tokens).saturating_sub(most / 8);
        assert!(total <= most + on_top, "{total} of {most} and {on_top}");
        let carried =
            before.iter().filter_map(Item::bridge_parts).flat_map(|parts| parts.user_messages);
        let own = before.iter().filter(|item| is_users(item)).map(text_of);
        let said: Vec<String> = carried.chain(own).map(|text| without_numbers(&text)).collect();
        let mut said = said.iter();
        for quote in quoted.iter().map(|quote| without_numbers(quote)) {
            let start = quote.split('…').next().unwrap();
            assert!(said.any(|text| *text == quote || text.starts_with(start)), "{quote}");
        }
        assert!(bridge.json().matches("https://").count() as u64 <= 6_000 / IMAGE_TOKENS);
    }

    /// Running it again changes nothing: it fits now, so nobody but the user can want it. An extract may
    /// keep a tail that a model could sum up.
    fn check_again(&self, after: &History, budget: &Budget) {
        let mut budget = *budget;
        budget.cause = Cause::Manual;
        let view = self.view(after.clone(), &budget);
        let ladder = Ladder::new(&self.config(), view, budget, false);
        let course = drive(ladder, |_| Answer::Text("again".into()), |_| Verdict::Accept);
        let is_over = matches!(course.end, Err(Error::NothingToDo));
        let again = course.end.as_ref().map(|compacted| outline(&applied(after, compacted)));
        assert!(is_over, "{again:?} of {:?}", outline(after));
        assert_eq!(course.asked, []);
    }

    /// It may fail, but not where the last rung can help.
    fn check_failure(&self, before: &History, view: &View, budget: &Budget, error: &Error) {
        let is_left_alone = matches!(self.host, Host::None | Host::Accepts) && !self.is_refusing;
        let Some(room) = ceiling(budget).map(|ceiling| budget.items_within(ceiling)) else {
            return;
        };
        if !budget.is_required() || !is_left_alone || before.prompt(self.filter).tokens() <= room {
            return;
        }
        let count = |items: &[&Item]| history(items.iter().copied().cloned()).tokens();
        let stays: Vec<&Item> = view.history().iter().skip(view.prefix_len()).collect();
        let kept = with_counterparts(before);
        let context: Vec<&Item> =
            before.iter().take(context_len(before)).chain(&self.context).collect();
        let quarter = self.message_tokens.min(quarter(budget));
        let least = count(&stays) + count(&kept) + count(&context) + quarter + 150;
        assert!(least > room, "{error}: {least} of {room}");
    }
}
