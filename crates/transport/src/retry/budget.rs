//! A bound on retries that many sessions share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A hundredth of a retry: what a budget counts in.
const RETRY: u64 = 100;

/// How many retries all who share it may make, in proportion to their first tries: when a server
/// fails for everyone, the retries of everyone must not keep it down. Cloning shares.
///
/// It holds a reserve at first. Each first try adds a part of a retry, up to the reserve; each retry
/// takes one. It knows no clock.
///
/// ```
/// use longhaul_transport::retry::RetryBudget;
///
/// let budget = RetryBudget::new(1, 50);
/// assert!(budget.withdraw());
/// assert!(!budget.withdraw());
/// budget.deposit();
/// budget.deposit();
/// assert!(budget.withdraw());
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    balance: AtomicU64,
    limit: u64,
    deposit: u64,
}

impl RetryBudget {
    /// A budget of `reserve` retries, and `percent` further retries for each 100 first tries.
    pub fn new(reserve: u32, percent: u32) -> Self {
        let limit = u64::from(reserve) * RETRY;
        let deposit = u64::from(percent);
        Self(Arc::new(Account { balance: AtomicU64::new(limit), limit, deposit }))
    }

    /// Counts a first try.
    pub fn deposit(&self) {
        let Account { balance, limit, deposit } = &*self.0;
        let add = |balance: u64| Some((balance + deposit).min(*limit));
        // The closure always gives a value, so there is no failure to look at.
        let _ = balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes a retry, if there is one.
    pub fn withdraw(&self) -> bool {
        let take = |balance: u64| balance.checked_sub(RETRY);
        self.0.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_stay_within_the_reserve_and_the_share(
            reserve in 0_u32..20,
            percent in 0_u32..200,
            steps in prop::collection::vec(any::<bool>(), 0..300),
        ) {
            let budget = RetryBudget::new(reserve, percent);
            let (mut tries, mut retries) = (0_u32, 0_u32);
            for is_retry in steps {
                if is_retry {
                    retries += u32::from(budget.withdraw());
                } else {
                    budget.deposit();
                    tries += 1;
                }
                prop_assert!(retries * 100 <= reserve * 100 + tries * percent);
            }
        }
    }

    #[test]
    fn what_is_saved_never_exceeds_the_reserve() {
        let budget = RetryBudget::new(2, 100);
        (0..50).for_each(|_| budget.deposit());
        let taken = (0..50).filter(|_| budget.withdraw()).count();
        assert_eq!(taken, 2);
    }

    #[test]
    fn clones_share() {
        let budget = RetryBudget::new(1, 0);
        assert!(budget.clone().withdraw());
        assert!(!budget.withdraw());
    }
}
