//! stub
use crate::Item;
/// stub
pub trait TokenCounter: Send + Sync {
    /// stub
    fn count_text(&self, text: &str) -> u64;
    /// stub
    fn count_item(&self, item: &Item) -> u64 {
        self.count_text(item.json())
    }
}
/// stub
#[derive(Debug, Default)]
pub struct Estimator {}
impl TokenCounter for Estimator {
    fn count_text(&self, text: &str) -> u64 {
        (text.len() / 4) as u64
    }
}
