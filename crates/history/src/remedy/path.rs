//! The path of a field in a request, as servers write it: `input[3].content[0].image_url`.

/// A place within an item of `input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// The item's position.
    pub(super) index: usize,
    /// Names and positions from the item on; empty for the item itself.
    pub(super) steps: Vec<Step>,
}

/// One step on the way to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Position(usize),
}

/// More steps than any field of an item is deep.
const MAX_STEPS: usize = 16;

impl Path {
    /// Reads a path; `None` if it does not lead into an item of `input`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix("input")?;
        if !text.starts_with(['[', '.']) {
            return None;
        }
        let pieces = text.split(['.', '[', ']']).filter(|piece| !piece.is_empty());
        let steps: Vec<Step> = pieces.take(MAX_STEPS + 1).map(step).collect::<Option<_>>()?;
        match steps.split_first()? {
            (Step::Position(index), steps) if steps.len() < MAX_STEPS => {
                Some(Self { index: *index, steps: steps.to_vec() })
            }
            _ => None,
        }
    }

    /// The name of the field; `None` for an item or a part.
    pub(super) fn name(&self) -> Option<&str> {
        match self.steps.last()? {
            Step::Name(name) => Some(name),
            Step::Position(_) => None,
        }
    }

    /// The part of `content` or `output` that the path leads into; the item if it leads into none.
    pub(super) fn enclosing(&self) -> Self {
        let depth = if self.part().is_some() { 2 } else { 0 };
        Self { index: self.index, steps: self.steps[..depth].to_vec() }
    }

    /// The position of the part of `content` or `output` that the path leads into.
    pub(super) fn part(&self) -> Option<usize> {
        match self.steps.as_slice() {
            [Step::Name(list), Step::Position(part), ..]
                if list == "content" || list == "output" =>
            {
                Some(*part)
            }
            _ => None,
        }
    }

    /// The steps from the item on, in one way of writing.
    pub(super) fn within_item(&self) -> String {
        self.steps.iter().fold(String::new(), |mut path, step| {
            match step {
                Step::Name(name) if path.is_empty() => path.push_str(name),
                Step::Name(name) => path.extend([".", name]),
                Step::Position(position) => path.extend(["[", &position.to_string(), "]"]),
            }
            path
        })
    }
}

/// Reads a path that begins within an item, as [`Path::within_item`] writes it; empty for the item
/// itself. `None` if it is none.
pub(crate) fn steps(text: &str) -> Option<Vec<Step>> {
    Path::read(&format!("input[0].{text}")).map(|path| path.steps)
}

fn step(piece: &str) -> Option<Step> {
    if let Ok(position) = piece.parse() {
        return Some(Step::Position(position));
    }
    let is_name = piece.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| Step::Name(piece.to_owned()))
}
