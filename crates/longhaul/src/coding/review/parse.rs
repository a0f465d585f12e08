//! Reading what a reviewer said.

use longhaul_state::protocol::ReviewOutput;

/// The review in `text`: the JSON object that it is or that it holds, or all of it as the
/// explanation.
///
/// ```
/// use longhaul::coding::review::parse;
///
/// let review = parse("Here you are: {\"overall_correctness\": \"patch is correct\"}");
/// assert_eq!(review.overall_correctness, "patch is correct");
/// assert_eq!(parse("Looks good.").overall_explanation, "Looks good.");
/// ```
pub fn parse(text: &str) -> ReviewOutput {
    let object = || text.get(text.find('{')?..=text.rfind('}')?);
    let read = |json: &str| serde_json::from_str::<ReviewOutput>(json).ok();
    let output = read(text).or_else(|| object().and_then(read));
    output.unwrap_or_else(|| ReviewOutput::explained(text.trim()))
}
