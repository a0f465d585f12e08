//! Who runs next, in every order of events.

use super::*;

fn start(turn_id: String) -> Start {
    Start { turn_id, cancel: CancellationToken::new(), kept: Kept::Starts }
}

fn turn_of(input: &impl ToString) -> String {
    input.to_string()
}

fn begin(queue: &TurnQueue<u32>) -> Option<(Vec<u32>, u32)> {
    let begun = queue.begin(|input| start(input.to_string()))?;
    Some((begun.kept, begun.input))
}

#[test]
fn turns_run_one_at_a_time_in_order() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    queue.submit(2).unwrap();
    assert_eq!(begin(&queue), Some((vec![], 1)));
    assert_eq!(begin(&queue), None, "one runs");
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), Some((vec![], 2)));
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), None);
}

#[test]
fn what_is_kept_waits_for_a_turn_that_takes_input() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    begin(&queue).unwrap();
    queue.steer(2, turn_of).unwrap();
    queue.end(true, |_| true);
    queue.submit(3).unwrap();
    let compaction = |input: &u32| Start { kept: Kept::Waits, ..start(input.to_string()) };
    let begun = queue.begin(compaction).unwrap();
    assert_eq!((begun.kept, begun.input), (vec![], 3));
    queue.steer(4, turn_of).unwrap();
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), Some((vec![2], 4)));
}

#[test]
fn what_is_kept_steers_a_turn_that_goes_on() {
    let queue = TurnQueue::default();
    queue.keep([1, 2]);
    queue.submit(9).unwrap();
    queue.steer(3, turn_of).unwrap();
    let begun = queue.begin(|_| Start { kept: Kept::Steers, ..start(String::new()) }).unwrap();
    assert_eq!((begun.kept, begun.input), (vec![], 9));
    assert_eq!(queue.take_input(), [1, 2, 3]);
}

#[test]
fn what_replaces_a_turn_only_if_it_may_sees_what_there_is() {
    let queue = TurnQueue::default();
    let look = |input, may: bool| {
        let mut seen = None;
        let checked = queue.replace_if(input, |standing| {
            let replacing = standing.replacing.into_iter().copied().collect::<Vec<u32>>();
            seen = Some((standing.is_running, replacing, standing.kept.to_vec()));
            if may { Ok(()) } else { Err(input) }
        });
        (checked, seen)
    };
    queue.keep([1, 2]);
    assert_eq!(look(8, false), (Ok(Err(8)), Some((false, vec![], vec![1, 2]))));
    assert_eq!(begin(&queue), None, "it was not let");
    assert_eq!(look(9, true), (Ok(Ok(())), Some((false, vec![], vec![1, 2]))));
    assert_eq!(look(8, false), (Ok(Err(8)), Some((false, vec![9], vec![1, 2]))));
    let cancel = CancellationToken::new();
    queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
    assert_eq!(look(8, false), (Ok(Err(8)), Some((true, vec![], vec![]))));
    assert!(!cancel.is_cancelled());
    assert_eq!(look(7, true), (Ok(Ok(())), Some((true, vec![], vec![]))));
    assert!(cancel.is_cancelled());
    queue.close();
    assert_eq!(look(6, true), (Err(QueueError::Closed), None));
}

#[test]
fn what_is_no_input_is_not_kept_after_an_interrupt() {
    let queue = TurnQueue::default();
    for input in [1, 9] {
        queue.submit(input).unwrap();
    }
    begin(&queue).unwrap();
    for steer in [2, 30, 4, 50] {
        queue.steer(steer, turn_of).unwrap();
    }
    queue.end(true, |input| *input < 10);
    assert_eq!(begin(&queue), Some((vec![2, 4], 30)));
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), Some((vec![], 50)));
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), Some((vec![], 9)));
}

#[test]
fn a_steer_is_taken_once_or_starts_the_next_turn() {
    let queue = TurnQueue::default();
    assert_eq!(queue.steer(1, turn_of), Ok(Steered::Queued));
    begin(&queue).unwrap();
    queue.submit(9).unwrap();
    let running = Steered::Running { turn_id: "1".into() };
    assert_eq!(queue.steer(2, turn_of), Ok(running.clone()));
    assert_eq!(queue.take_input(), [2]);
    assert_eq!(queue.take_input(), [0; 0]);
    assert_eq!(queue.steer(5, turn_of), Ok(running.clone()));
    assert_eq!(queue.steer(6, turn_of), Ok(running.clone()));
    assert_eq!(queue.take_input_if(|input| *input == 6), [6]);
    assert_eq!(queue.take_input(), [5], "what was not wanted then");
    assert_eq!(queue.steer(3, turn_of), Ok(running.clone()));
    assert_eq!(queue.steer(4, turn_of), Ok(running));
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), Some((vec![], 3)), "before what waited for its own turn");
    assert_eq!(queue.take_input(), [4], "one turn takes all that came too late");
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), Some((vec![], 9)));
}

#[test]
fn an_interrupt_is_not_meant_for_another_input() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    assert!(queue.interrupt());
    assert_eq!(queue.withdraw(|input| *input == 1), [1]);
    queue.submit(2).unwrap();
    let cancel = CancellationToken::new();
    queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
    assert!(!cancel.is_cancelled());
}

#[test]
fn after_an_interrupt_steers_wait_for_the_next_turn() {
    let queue = TurnQueue::default();
    assert!(!queue.interrupt());
    queue.submit(1).unwrap();
    let cancel = CancellationToken::new();
    queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
    queue.steer(2, turn_of).unwrap();
    assert!(queue.interrupt());
    assert!(cancel.is_cancelled());
    queue.end(true, |_| true);
    assert_eq!(begin(&queue), None, "an interrupt starts nothing");
    queue.submit(3).unwrap();
    assert_eq!(begin(&queue), Some((vec![2], 3)));
}

#[test]
fn a_turn_that_is_about_to_begin_can_be_interrupted() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    queue.submit(2).unwrap();
    assert!(queue.interrupt());
    for is_cancelled in [true, false] {
        let cancel = CancellationToken::new();
        queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
        assert_eq!(cancel.is_cancelled(), is_cancelled);
        queue.end(is_cancelled, |_| true);
    }
}

#[test]
fn what_is_kept_never_keeps_the_next_turn_out() {
    let queue = TurnQueue::default();
    queue.submit(0).unwrap();
    begin(&queue).unwrap();
    for i in 1..=64 {
        queue.steer(i, turn_of).unwrap();
    }
    assert_eq!(queue.steer(65, turn_of), Err(QueueError::Full));
    queue.end(true, |_| true);
    assert_eq!(queue.kept(|i| (i % 32 == 0).then_some(*i)), [32, 64]);
    queue.submit(65).unwrap();
    assert_eq!(queue.submit(66), Err(QueueError::Full));
    assert_eq!(begin(&queue), Some(((1..=64).collect(), 65)));
}

#[test]
fn waiting_inputs_can_be_taken_back() {
    let queue = TurnQueue::default();
    queue.submit(0).unwrap();
    begin(&queue).unwrap();
    queue.steer(1, turn_of).unwrap();
    queue.steer(2, turn_of).unwrap();
    queue.end(true, |_| true);
    queue.submit(3).unwrap();
    queue.submit(4).unwrap();
    assert_eq!(queue.withdraw(|i| i % 2 == 1), [1, 3]);
    assert_eq!(begin(&queue), Some((vec![2], 4)));
}

#[test]
fn after_a_stop_no_turn_begins_and_nothing_is_lost() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    let cancel = CancellationToken::new();
    queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
    queue.steer(2, turn_of).unwrap();
    queue.submit(3).unwrap();
    assert_eq!(queue.stop(), [3]);
    assert!(cancel.is_cancelled());
    queue.end(false, |_| true);
    assert_eq!(begin(&queue), None);
    assert_eq!(queue.drain(), [2]);
    assert_eq!(queue.submit(4), Err(QueueError::Closed));
}

#[test]
fn the_queue_is_bounded_and_gives_back_what_is_left() {
    let queue = TurnQueue::default();
    for i in 0..MAX_WAITING {
        queue.submit(i).unwrap();
    }
    assert_eq!(queue.submit(0), Err(QueueError::Full));
    assert_eq!(queue.steer(0, turn_of), Err(QueueError::Full));
    queue.close();
    assert_eq!(queue.submit(0), Err(QueueError::Closed));
    assert_eq!(queue.drain().len(), MAX_WAITING);
}

#[test]
fn a_steer_joins_the_turn_that_is_about_to_begin() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    queue.submit(2).unwrap();
    assert_eq!(queue.steer(3, turn_of), Ok(Steered::Running { turn_id: "1".into() }));
    assert_eq!(begin(&queue), Some((vec![], 1)));
    assert_eq!(queue.take_input(), [3]);
}

#[test]
fn steers_stay_in_order_whatever_comes_between() {
    for interrupted in [false, true] {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        queue.steer(2, turn_of).unwrap();
        queue.replace(9).unwrap();
        assert_eq!(begin(&queue), Some((vec![], 9)), "it takes none of them");
        queue.steer(3, turn_of).unwrap();
        queue.end(interrupted, |_| true);
        assert_eq!(begin(&queue), Some((vec![], 1)));
        assert_eq!(queue.take_input(), [2, 3], "none is lost, and none overtakes");
    }
}

#[test]
fn what_is_taken_back_leaves_its_steers_a_turn() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    queue.steer(2, turn_of).unwrap();
    queue.steer(3, turn_of).unwrap();
    assert_eq!(queue.withdraw(|input| *input == 1), [1]);
    assert_eq!(begin(&queue), Some((vec![], 2)));
    assert_eq!(queue.take_input(), [3]);
}

#[test]
fn of_tasks_that_replace_each_other_the_newest_runs() {
    let queue = TurnQueue::default();
    for task in [1, 2] {
        queue.replace(task).unwrap();
    }
    for is_cancelled in [true, false] {
        let cancel = CancellationToken::new();
        queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
        assert_eq!(cancel.is_cancelled(), is_cancelled);
        let reason = if is_cancelled { AbortReason::Replaced } else { AbortReason::Interrupted };
        assert_eq!(queue.abort_reason(), reason);
        queue.end(is_cancelled, |_| true);
    }
    assert_eq!(queue.submit_if_idle(3), Ok(()));
    assert_eq!(queue.submit_if_idle(4), Err(QueueError::Full));
}

#[test]
fn steers_of_a_replaced_turn_have_one_of_their_own_unless_somebody_wants_quiet() {
    for interrupts in [false, true] {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        begin(&queue).unwrap();
        queue.steer(2, turn_of).unwrap();
        queue.replace(9).unwrap();
        if interrupts {
            assert!(queue.interrupt());
        }
        assert_eq!(queue.abort_reason(), AbortReason::Replaced);
        queue.end(true, |_| true);
        let cancel = CancellationToken::new();
        queue
            .begin(|_| Start { cancel: cancel.clone(), kept: Kept::Waits, ..start(String::new()) })
            .unwrap();
        assert_eq!(cancel.is_cancelled(), interrupts);
        queue.end(interrupts, |_| true);
        assert_eq!(begin(&queue), (!interrupts).then(|| (vec![], 2)));
    }
}

#[test]
fn an_interrupt_is_for_the_task_that_comes_to_run_whatever_it_replaces() {
    for interrupted_before in [false, true] {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        begin(&queue).unwrap();
        if interrupted_before {
            queue.interrupt();
        }
        for task in [8, 9] {
            queue.replace(task).unwrap();
        }
        assert!(queue.interrupt());
        queue.end(true, |_| true);
        for reason in [AbortReason::Replaced, AbortReason::Interrupted] {
            let cancel = CancellationToken::new();
            queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
            assert_eq!((cancel.is_cancelled(), queue.abort_reason()), (true, reason));
            queue.end(true, |_| true);
        }
        queue.submit(2).unwrap();
        assert_eq!(begin(&queue), Some((vec![], 2)));
        assert!(!queue.lock().active.as_ref().unwrap().cancel.is_cancelled(), "it was for those");
    }
}

#[test]
fn an_interrupt_before_anything_begins_is_for_what_was_first_then() {
    let queue = TurnQueue::default();
    queue.submit(1).unwrap();
    assert!(queue.interrupt());
    queue.replace(8).unwrap();
    let mut begun = Vec::new();
    for _ in 0..2 {
        let cancel = CancellationToken::new();
        let next = queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) });
        begun.push((next.unwrap().input, cancel.is_cancelled()));
        queue.end(false, |_| true);
    }
    assert_eq!(begun, [(8, false), (1, true)]);
}
