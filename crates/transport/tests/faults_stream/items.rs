//! Items are what the server finished, each by itself: never merged, never made up.

use std::io;
use std::slice::from_ref;
use std::sync::{Arc, Mutex};

use longhaul_transport::ResponseEvent;
use serde_json::{Value, json};

use super::support::{body, completed, done, events, item, items, reconciled};

fn call(id: &str, call_id: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "id": id, "call_id": call_id, "name": "t", "arguments": arguments})
}

fn added(item: &Value) -> Value {
    json!({"type": "response.output_item.added", "item": item})
}

fn arguments_delta(item_id: &str, delta: &str) -> Value {
    json!({"type": "response.function_call_arguments.delta", "item_id": item_id, "delta": delta})
}

fn arguments_done(item_id: &str, arguments: &str) -> Value {
    json!({"type": "response.function_call_arguments.done", "item_id": item_id, "arguments": arguments})
}

fn completed_with(output: &[Value]) -> Value {
    json!({"type": "response.completed", "response": {"id": "r", "output": output}})
}

#[tokio::test]
async fn f044_items_need_no_beginning_and_deltas_no_item() {
    let (a, b) = (call("a", "1", "{\"a\":1}"), call("b", "2", "{\"b\":2}"));
    let finished = vec![item(&a), item(&b)];
    let odd_orders = [
        vec![done(&a), done(&b)],
        vec![done(&a), added(&a), added(&a), done(&b)],
        vec![added(&b), arguments_delta("b", "{\"a\":1}"), done(&a), done(&b)],
        vec![arguments_delta("nobody", "x"), done(&a), arguments_delta("a", "late"), done(&b)],
        vec![
            added(&a),
            added(&b),
            arguments_delta("b", "{"),
            arguments_delta("a", "{"),
            done(&a),
            done(&b),
        ],
    ];
    for order in odd_orders {
        let events = events(body(&order) + &body(&[completed()])).await;
        assert_eq!(events.len(), order.len() + 1, "each event is given");
        assert_eq!(items(&events), finished);
        assert_eq!(reconciled(&events), finished);
    }
    // An item that never ends is none.
    let events =
        events(body(&[added(&a), arguments_delta("a", "{}"), done(&b), completed()])).await;
    assert_eq!(reconciled(&events), [item(&b)]);
}

/// Arguments alone make no call: where the finished item is missing, it is taken from the end of the response or
/// not at all.
#[tokio::test]
async fn f045_an_item_that_was_left_out_comes_from_the_end_of_the_response_alone() {
    let (a, b) = (call("a", "1", "{\"a\":1}"), call("b", "2", "{\"b\":2}"));
    let streamed = [added(&a), arguments_delta("a", "{\"a\":1}"), arguments_done("a", "{\"a\":1}")];
    let with_end = |more: &[Value], end: Value| body(&streamed) + &body(more) + &body(&[end]);
    let from = async |stream: String| {
        let events = events(stream).await;
        reconciled(&events)
    };
    let both = [a.clone(), b.clone()];
    assert_eq!(from(with_end(&[], completed_with(from_ref(&a)))).await, [item(&a)]);
    assert_eq!(from(with_end(&[done(&b)], completed_with(&both))).await, [item(&a), item(&b)]);
    assert_eq!(from(with_end(&[], completed_with(&[]))).await, []);
    assert_eq!(from(with_end(&[], completed())).await, []);
    assert_eq!(from(with_end(&[done(&b)], completed())).await, [item(&b)]);
}

/// The items that were streamed are the truth; what the end says otherwise is only noted.
#[tokio::test]
async fn f046_where_the_end_differs_the_streamed_items_count() {
    let streamed = call("a", "1", "{\"a\":1}");
    let others = [
        vec![call("a", "1", "{\"a\":2}")],
        vec![call("a", "other", "{\"a\":1}")],
        vec![call("b", "2", "{}")],
        vec![call("b", "2", "{}"), call("c", "3", "{}")],
        vec![json!({"type": "message", "id": "a", "role": "assistant", "content": []})],
    ];
    for output in others {
        let events = events(body(&[done(&streamed), completed_with(&output)])).await;
        assert_eq!(reconciled(&events), [item(&streamed)], "{output:?}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn f046_a_difference_at_the_end_is_noted_without_its_content() {
    let (a, b) = (call("a", "1", "{\"a\":1}"), call("b", "2", "{\"b\":2}"));
    let noted = async |output: &[Value]| {
        let events = events(body(&[done(&a), completed_with(output)])).await;
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer({
                let log = log.clone();
                move || log.clone()
            })
            .finish();
        tracing::subscriber::with_default(subscriber, || reconciled(&events));
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    };
    let log = noted(&[a.clone(), b.clone()]).await;
    assert!(log.contains("the end of a response repeats other items"), "{log}");
    assert!(log.contains("streamed=1") && log.contains("at_end=2"), "{log}");
    assert!(!log.contains('{'), "{log}");
    assert_eq!(noted(from_ref(&a)).await, "");
    assert_eq!(noted(&[]).await, "");
}

/// Ids are the model's words and need not differ. Each call is given as it came, in order; which output answers
/// which call, the history decides.
#[tokio::test]
async fn f048_calls_that_share_an_id_are_all_given() {
    let long = "x".repeat(10_000);
    let calls = [
        call("a", "same", "{}"),
        call("b", "same", "{}"),
        call("c", "same", "{\"other\":1}"),
        call("a", "same", "{}"),
        call("d", "", "{}"),
        call("e", &long, "{}"),
        json!({"type": "function_call", "name": "t", "arguments": "{}"}),
    ];
    let stream: Vec<Value> = calls.iter().map(done).chain([completed_with(&calls)]).collect();
    let events = events(body(&stream)).await;
    let expected: Vec<_> = calls.iter().map(item).collect();
    assert_eq!(items(&events), expected);
    assert_eq!(reconciled(&events), expected);
    let ids = items(&events);
    assert_eq!(ids[5].call_id(), Some(long.as_str()));
    assert!(matches!(events.last(), Some(ResponseEvent::Completed(_))));
}
